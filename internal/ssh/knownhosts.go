package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pawl-dev/pawl/internal/fault"
)

// knownHosts checks one host's key against the known_hosts file and remembers the verdict.
type knownHosts struct {
	cfg        Config
	verify     gossh.HostKeyCallback
	known      []knownhosts.KnownKey // the file's lines for this host
	algorithms []string              // what to ask the host for; empty means anything

	mu       sync.Mutex // the handshake has goroutines of its own, which may outlive it when the connection is closed
	accepted bool       // the host's key was seen and is good
	refused  error      // the host's key was seen and is not good
}

// verdict says what became of the host's key; both are unset when none was seen.
func (k *knownHosts) verdict() (accepted bool, refused error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.accepted, k.refused
}

func readKnownHosts(cfg Config) (*knownHosts, error) {
	verify, err := knownhosts.New(cfg.KnownHostsFile)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "read known_hosts file", cfg.KnownHostsFile, withoutPath(err),
			"list the hosts' keys in it, as ssh does")
	}
	k := &knownHosts{cfg: cfg, verify: verify}
	// No host has the key noKey, so the answer lists what the file has for this host.
	var mismatch *knownhosts.KeyError
	if errors.As(verify(cfg.hostPort(), &net.TCPAddr{}, noKey{}), &mismatch) {
		k.known = mismatch.Want
	}
	k.algorithms = k.wanted()
	return k, nil
}

// wanted are the host key algorithms that the known_hosts file can verify. Without this choice the host would send
// whichever key it prefers, and a host that is known by another of its keys would look like an impostor
// (https://github.com/golang/go/issues/29286).
func (k *knownHosts) wanted() []string {
	var algorithms []string
	for _, key := range k.known {
		switch {
		case isAuthority(key):
			algorithms = append(algorithms, gossh.CertAlgoED25519v01, gossh.CertAlgoECDSA256v01, gossh.CertAlgoECDSA384v01,
				gossh.CertAlgoECDSA521v01, gossh.CertAlgoRSASHA512v01, gossh.CertAlgoRSASHA256v01)
		case key.Key.Type() == gossh.KeyAlgoRSA:
			// One key type, several signature algorithms (RFC 8332); the one with SHA-1 is not asked for.
			algorithms = append(algorithms, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSASHA256)
		default:
			algorithms = append(algorithms, key.Key.Type())
		}
	}
	return algorithms
}

// isAuthority reports whether the line vouches for certificates. Package knownhosts does not tell.
func isAuthority(key knownhosts.KnownKey) bool {
	text, err := os.ReadFile(key.Filename)
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return key.Line <= len(lines) && strings.HasPrefix(strings.TrimSpace(lines[key.Line-1]), "@cert-authority")
}

// check is the gossh.HostKeyCallback.
func (k *knownHosts) check(address string, remote net.Addr, key gossh.PublicKey) error {
	err := k.verify(address, remote, key)
	if err != nil {
		err = k.refusal(key, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.accepted, k.refused = err == nil, err
	return err
}

// refusal is the fault of a host key that package knownhosts does not accept.
func (k *knownHosts) refusal(key gossh.PublicKey, err error) error {
	var revoked *knownhosts.RevokedError
	var mismatch *knownhosts.KeyError
	offered := key.Type() + " " + gossh.FingerprintSHA256(key)
	switch {
	case errors.As(err, &revoked):
		return fault.New(fault.Unauthorized, "connect to", k.cfg.target(),
			fmt.Sprintf("the host's key %s is revoked in %s line %d", offered, revoked.Revoked.Filename, revoked.Revoked.Line), "")
	case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
		return k.changed("the host's key is now " + offered)
	case errors.As(err, &mismatch):
		return fault.New(fault.Unauthorized, "connect to", k.cfg.target(),
			fmt.Sprintf("the host's key %s is not in %s", offered, k.cfg.KnownHostsFile),
			fmt.Sprintf("compare it with what `%s` prints on the host's own console, then add the line that `%s` prints",
				"ssh-keygen -lf /etc/ssh/ssh_host_<type>_key.pub", k.keyscan()))
	}
	if cert, ok := key.(*gossh.Certificate); ok {
		return k.refusedCertificate(cert, err)
	}
	return fault.Wrap(fault.Unauthorized, "check the host key of", k.cfg.target(), err, "")
}

// refusedCertificate is the fault of a host's certificate that is out of time or for another host, or whose CA is unknown.
func (k *knownHosts) refusedCertificate(cert *gossh.Certificate, err error) error {
	host, _, _ := net.SplitHostPort(k.cfg.hostPort())
	remedy := "have the CA sign a new one, with " + host + " among its principals"
	trusted := slices.ContainsFunc(k.known, func(known knownhosts.KnownKey) bool {
		return bytes.Equal(known.Key.Marshal(), cert.SignatureKey.Marshal())
	})
	if !trusted {
		remedy = fmt.Sprintf("if that CA is yours, add to %s: @cert-authority %s %s", k.cfg.KnownHostsFile, knownhosts.Normalize(k.cfg.hostPort()),
			strings.TrimSpace(string(gossh.MarshalAuthorizedKey(cert.SignatureKey))))
	}
	return fault.Wrap(fault.Unauthorized, "connect to", k.cfg.target(), fmt.Errorf("the host's certificate %q is not accepted: %w", cert.KeyId, err), remedy)
}

// changed is the fault of a host whose key is another than the known one.
func (k *knownHosts) changed(fact string) error {
	first := k.known[0]
	return fault.New(fault.Unauthorized, "connect to", k.cfg.target(),
		fmt.Sprintf("%s, another one is known: %s line %d; somebody may be in between, or the host was installed anew",
			fact, first.Filename, first.Line),
		fmt.Sprintf("compare the key with what `%s` prints on the host's own console; if it is right, replace line %d by what `%s` prints",
			"ssh-keygen -lf /etc/ssh/ssh_host_<type>_key.pub", first.Line, k.keyscan()))
}

// keyscan is the command that shows the host's keys as the network shows them, which proves nothing by itself.
func (k *knownHosts) keyscan() string {
	host, port, err := net.SplitHostPort(k.cfg.hostPort())
	if err != nil || port == "22" {
		return "ssh-keyscan " + host
	}
	return "ssh-keyscan -p " + port + " " + host
}

// noKey is a public key that no host has.
type noKey struct{}

func (noKey) Type() string                          { return "none" }
func (noKey) Marshal() []byte                       { return nil }
func (noKey) Verify([]byte, *gossh.Signature) error { return errors.New("not a key") }
