package ssh

import (
	"bytes"
	"errors"
	"net"
	"os"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/pawl-dev/pawl/internal/fault"
)

// keys are what we authenticate with.
type keys struct {
	signers []gossh.Signer
	from    string   // where they come from, for errors
	remedy  string   // what helps when the host refuses them; "" means the usual
	agent   net.Conn // signs on our behalf during the handshake; nil without an agent
}

func (k keys) close() {
	if k.agent != nil {
		_ = k.agent.Close()
	}
}

// loadKeys finds the keys, and the certificate that belongs to one of them.
func loadKeys(cfg Config) (keys, error) {
	found, err := findKeys(cfg)
	if err != nil {
		return keys{}, err
	}
	certified, err := found.certify(cfg)
	if err != nil {
		found.close()
		return keys{}, err
	}
	return certified, nil
}

// findKeys reads the key file, or asks ssh-agent when no key file is given or when the file is protected by a
// passphrase: pawl never asks for one.
func findKeys(cfg Config) (keys, error) {
	if cfg.KeyFile == "" {
		return agentKeys(cfg, nil)
	}
	text, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		return keys{}, fault.Wrap(fault.InvalidInput, "read SSH key", cfg.KeyFile, withoutPath(err), "")
	}
	signer, err := gossh.ParsePrivateKey(text)
	var locked *gossh.PassphraseMissingError
	if errors.As(err, &locked) {
		return agentKeys(cfg, locked.PublicKey)
	}
	if err != nil {
		return keys{}, fault.Wrap(fault.InvalidInput, "read SSH key", cfg.KeyFile, err, "")
	}
	return keys{signers: []gossh.Signer{signer}, from: "key " + cfg.KeyFile}, nil
}

// agentKeys takes all keys of ssh-agent, or the one whose public half is only.
func agentKeys(cfg Config, only gossh.PublicKey) (keys, error) {
	if cfg.AgentSocket == "" {
		if cfg.KeyFile == "" {
			return keys{}, fault.New(fault.InvalidInput, "connect to", cfg.target(), "there is neither a key file nor an ssh-agent",
				"name a key file, or set SSH_AUTH_SOCK")
		}
		return keys{}, passphraseFault(cfg, "there is no ssh-agent")
	}
	conn, err := net.Dial("unix", cfg.AgentSocket)
	if err != nil {
		return keys{}, fault.Wrap(fault.Unauthorized, "ask ssh-agent", cfg.AgentSocket, err, "start ssh-agent, or name a key file")
	}
	all, err := agent.NewClient(conn).Signers()
	if err != nil {
		_ = conn.Close()
		return keys{}, fault.Wrap(fault.Unauthorized, "ask ssh-agent", cfg.AgentSocket, err, "")
	}
	found := keys{agent: conn, from: "the keys of ssh-agent"}
	for _, signer := range all {
		if only == nil || bytes.Equal(signer.PublicKey().Marshal(), only.Marshal()) {
			found.signers = append(found.signers, signer)
		}
	}
	switch {
	case len(found.signers) > 0:
		return found, nil
	case cfg.KeyFile != "":
		found.close()
		return keys{}, passphraseFault(cfg, "ssh-agent does not hold it")
	}
	found.close()
	return keys{}, fault.New(fault.Unauthorized, "ask ssh-agent", cfg.AgentSocket, "it holds no keys", "run ssh-add, or name a key file")
}

func passphraseFault(cfg Config, fact string) error {
	return fault.New(fault.Unauthorized, "read SSH key", cfg.KeyFile, "the key is protected by a passphrase and "+fact,
		"run ssh-add "+cfg.KeyFile+" and start pawl with SSH_AUTH_SOCK set")
}

// withoutPath strips the path from an error of package os, for messages that name it already.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
