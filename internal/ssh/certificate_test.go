package ssh_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/ssh"
)

// authority is an SSH CA: a key that the real ssh-keygen signs with.
type authority struct {
	file   string
	public gossh.PublicKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca")
	public := writeKey(t, file, "ed25519")
	return authority{file, public}
}

// sign makes FILE-cert.pub for the key in file.
func (a authority) sign(t *testing.T, file string, options ...string) string {
	t.Helper()
	public, err := exec.Command("ssh-keygen", "-y", "-f", file).Output()
	if err != nil {
		t.Fatalf("ssh-keygen -y: %v", err)
	}
	writeFile(t, file+".pub", public)
	args := append(append([]string{"-q", "-s", a.file, "-I", "test"}, options...), file+".pub")
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
	return file + "-cert.pub"
}

// trustUsers lets the server accept the CA's certificates and no key by itself.
func (a authority) trustUsers(t *testing.T, s *server) {
	t.Helper()
	file := filepath.Join(s.dir, "user_ca.pub")
	writeFile(t, file, gossh.MarshalAuthorizedKey(a.public))
	s.restart(t, "TrustedUserCAKeys "+file+"\nAuthorizedKeysFile none\n")
}

// expired and lasting are ssh-keygen's words for when a certificate is valid.
const expired, lasting = "20200101000000Z:20200102000000Z", "-5m:+1h"

func TestUserCertificates(t *testing.T) {
	s, ca := startServer(t), newAuthority(t)
	ca.trustUsers(t, s)
	_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unauthorized, "the host refused key "+s.clientKey, "add the public key")

	beside := ca.sign(t, s.clientKey, "-n", s.user, "-V", lasting)
	run(t, s.client(t, nil), "true") // where ssh would find it

	named := filepath.Join(s.dir, "elsewhere")
	if err := os.Rename(beside, named); err != nil {
		t.Fatal(err)
	}
	with := func(cfg *ssh.Config) { cfg.CertificateFile = named }
	run(t, s.client(t, with), "true")

	t.Run("of another user", func(t *testing.T) {
		defer os.Remove(ca.sign(t, s.clientKey, "-n", "nobody-else", "-V", lasting))
		_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, "the host refused key "+s.clientKey+" with certificate "+beside,
			"trusts the CA "+gossh.FingerprintSHA256(ca.public), "principals (nobody-else) log in as "+s.user)
	})
	t.Run("expired, beside the key", func(t *testing.T) {
		defer os.Remove(ca.sign(t, s.clientKey, "-n", s.user, "-V", expired))
		_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, "its certificate "+beside+" was left out: it expired at 2020-01-02T00:00:00Z")
	})
	t.Run("expired, then renewed", func(t *testing.T) {
		network := &cable{}
		c := s.client(t, func(cfg *ssh.Config) { cfg.CertificateFile, cfg.Dial = beside, network.dial })
		ca.sign(t, s.clientKey, "-n", s.user, "-V", expired)
		_, err := c.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, "connect to "+s.user+"@"+s.address, "the certificate "+beside+" expired at 2020-01-02T00:00:00Z; have the CA sign a new one")
		if network.count() != 0 {
			t.Error("it connected all the same")
		}
		ca.sign(t, s.clientKey, "-n", s.user, "-V", lasting)
		run(t, c, "true")
		network.cut()
		ca.sign(t, s.clientKey, "-n", s.user, "-V", "20900101000000Z:20910101000000Z")
		_, err = c.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, "is not valid before 2090-01-01T00:00:00Z")
	})
	t.Run("files that hold something else", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other")
		writeKey(t, other, "ed25519")
		for file, says := range map[string]string{
			ca.sign(t, other, "-n", s.user, "-V", lasting): "it was signed for another key than key " + s.clientKey,
			other + ".pub": "it holds a public key (ssh-ed25519), wanted a certificate",
			ca.sign(t, s.clientKey, "-h", "-n", "127.0.0.1", "-V", lasting): "it is the certificate of a host",
		} {
			_, err := s.client(t, func(cfg *ssh.Config) { cfg.CertificateFile = file }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
			wantFault(t, err, fault.Unauthorized, "read SSH certificate "+file, says)
		}
		_, err := s.client(t, func(cfg *ssh.Config) { cfg.CertificateFile = "/no/such/file" }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.InvalidInput, "read SSH certificate /no/such/file: no such file")
	})
}

// TestCertificatesWithAgent: the agent signs, and the certificate comes from a file, or from the agent itself.
func TestCertificatesWithAgent(t *testing.T) {
	s, ca := startServer(t), newAuthority(t)
	ca.trustUsers(t, s)
	file := ca.sign(t, s.clientKey, "-n", s.user, "-V", lasting)
	text, err := os.ReadFile(s.clientKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := gossh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, fromAgent := range map[string]bool{"the certificate from a file": false, "the certificate from the agent": true} {
		t.Run(name, func(t *testing.T) {
			added := agent.AddedKey{PrivateKey: private}
			if fromAgent {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				public, _, _, _, err := gossh.ParseAuthorizedKey(text)
				if err != nil {
					t.Fatal(err)
				}
				added.Certificate = public.(*gossh.Certificate)
			}
			keyring := agent.NewKeyring()
			if err := keyring.Add(added); err != nil {
				t.Fatal(err)
			}
			socket := serveAgent(t, t.TempDir(), keyring)
			run(t, s.client(t, func(cfg *ssh.Config) {
				if cfg.KeyFile, cfg.AgentSocket = "", socket; !fromAgent {
					cfg.CertificateFile = file
				}
			}), "true")
		})
	}
}

// TestHostCertificates: a line with @cert-authority takes the place of a line for each host.
func TestHostCertificates(t *testing.T) {
	s, ca := startServer(t), newAuthority(t)
	line := func(hosts string) {
		writeFile(t, s.knownHosts, fmt.Appendf(nil, "@cert-authority %s %s", hosts, bytes.TrimSpace(gossh.MarshalAuthorizedKey(ca.public))))
	}
	key := filepath.Join(s.dir, "host_ed25519")
	try := func(options ...string) error {
		s.restart(t, "HostCertificate "+ca.sign(t, key, append([]string{"-h"}, options...)...)+"\nHostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256\n")
		_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		return err
	}
	line(knownhosts.Normalize(s.address))
	if err := try("-n", "127.0.0.1", "-V", lasting); err != nil {
		t.Errorf("a good one: %v", err)
	}
	wantFault(t, try("-n", "127.0.0.1", "-V", expired), fault.Unauthorized, "the host's certificate", "expired")
	wantFault(t, try("-n", "db.example.org", "-V", lasting), fault.Unauthorized, "the host's certificate", "127.0.0.1", "db.example.org")
	line("*.example.org")
	wantFault(t, try("-n", "127.0.0.1", "-V", lasting), fault.Unauthorized, s.address, "@cert-authority "+knownhosts.Normalize(s.address)+" ssh-ed25519 ")

	t.Run("a host without a certificate", func(t *testing.T) {
		s := startServer(t)
		writeFile(t, s.knownHosts, fmt.Appendf(nil, "@cert-authority * %s", bytes.TrimSpace(gossh.MarshalAuthorizedKey(ca.public))))
		_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, s.address)
		t.Log(err)
	})
}

// TestJumpHosts: a connection through two other hosts, each with keys of its own, and what is said when one of them fails.
func TestJumpHosts(t *testing.T) {
	first, second, last := startServer(t), startServer(t), startServer(t)
	network := &cable{}
	build := func(change ...func(a, b, c *ssh.Config)) *ssh.Client {
		a, b, c := first.config(), second.config(), last.config()
		a.Dial = network.dial
		for _, f := range change {
			f(&a, &b, &c)
		}
		one := ssh.New(a)
		b.Dial = one.DialContext
		two := ssh.New(b)
		c.Dial = two.DialContext
		three := ssh.New(c)
		t.Cleanup(func() { _ = errors.Join(three.Close(), two.Close(), one.Close()) })
		return three
	}
	c := build()
	_, port, _ := net.SplitHostPort(last.address)
	for range 3 {
		if r := run(t, c, "sh", "-c", "echo $SSH_CONNECTION"); !strings.HasSuffix(r.Stdout, port+"\n") {
			t.Errorf("it ran elsewhere: %s", r.Stdout)
		}
	}
	if network.count() != 1 {
		t.Errorf("%d connections to the first, want 1", network.count())
	}
	network.cut() // and all goes on over a new one
	run(t, c, "true")

	fail := func(change func(a, b, c *ssh.Config)) error {
		_, err := build(change).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		return err
	}
	target := "connect to " + last.user + "@" + last.address + ": "
	hop := "connect to " + second.user + "@" + second.address + ": "
	wantFault(t, fail(func(_, b, _ *ssh.Config) { b.KnownHostsFile = first.knownHosts }), fault.Unauthorized, target+hop, "is not in "+first.knownHosts)
	wantFault(t, fail(func(_, b, _ *ssh.Config) { b.KeyFile = first.clientKey }), fault.Unauthorized, target+hop+"the host refused key")
	wantFault(t, fail(func(_, _, c *ssh.Config) { c.KeyFile = first.clientKey }), fault.Unauthorized, target+"the host refused key")
	nobody := freeAddress(t)
	wantFault(t, fail(func(_, _, c *ssh.Config) { c.Address = nobody }), fault.Unreachable,
		"connect to "+last.user+"@"+nobody+": connect to "+nobody+" through "+second.user+"@"+second.address, "can be reached from there")
	wantFault(t, fail(func(a, _, _ *ssh.Config) { a.Address = nobody }), fault.Unreachable, target+hop+"connect to "+first.user+"@"+nobody)

	second.restart(t, "AllowTcpForwarding no\n")
	wantFault(t, fail(func(_, _, _ *ssh.Config) {}), fault.Unreachable, target+"connect to "+last.address+" through "+second.user+"@"+second.address, "AllowTcpForwarding")
}
