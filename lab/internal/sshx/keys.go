// Package sshx makes SSH keys and runs commands on the nodes. Rule: every host
// key is known before the first connection; nothing is trusted on first use.
package sshx

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Key is an SSH key pair in OpenSSH's file formats.
type Key struct {
	Private []byte // PEM, no passphrase
	Public  string // one line, as in authorized_keys
	Signer  ssh.Signer
}

// NewKey makes an Ed25519 key pair.
func NewKey(comment string) (Key, error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make ssh key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return Key{}, fmt.Errorf("make ssh key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		return Key{}, fmt.Errorf("make ssh key: %w", err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return Key{Private: pem.EncodeToMemory(block), Public: line + " " + comment, Signer: signer}, nil
}

// WithHost is a known_hosts file in which the key is the only one under these
// names; a key that is nil leaves none.
func WithHost(file []byte, key ssh.PublicKey, names ...string) []byte {
	var b strings.Builder
	for line := range strings.Lines(string(file)) {
		hosts, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.ContainsFunc(strings.Split(hosts, ","), func(h string) bool { return slices.Contains(names, h) }) {
			continue
		}
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	if key != nil {
		b.WriteString(knownhosts.Line(names, key) + "\n")
	}
	return []byte(b.String())
}
