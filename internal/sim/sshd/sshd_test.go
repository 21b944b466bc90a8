package sshd_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/sim/sshd"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bed struct {
	machine *machine.Machine
	server  *sshd.Server
	signer  gossh.Signer
}

func start(t *testing.T) bed {
	t.Helper()
	m, err := machine.New(machine.Options{Name: "n1", Dir: t.TempDir(), Version: upgrade.MustVersion("v1.36.3"), Pace: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sshd.New(sshd.Options{Machine: m, Authorized: map[string][]gossh.PublicKey{"root": {signer.PublicKey()}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	m.Start()
	return bed{m, s, signer}
}

func (b bed) dial(user string) (*gossh.Client, error) {
	return gossh.Dial("tcp", b.server.Address(), &gossh.ClientConfig{User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(b.signer)},
		HostKeyCallback: gossh.FixedHostKey(b.server.HostKey()), Timeout: 5 * time.Second})
}

func (b bed) mustDial(t *testing.T) *gossh.Client {
	t.Helper()
	c, err := b.dial("root")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCommands(t *testing.T) {
	c := start(t).mustDial(t)
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	session.Stdin = strings.NewReader("in")
	out, err := session.Output("cat; echo; whoami; exit 7")
	var exit *gossh.ExitError
	if string(out) != "in\nroot\n" || !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("keepalive: %v", err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	if _, err := start(t).dial("admin"); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("%v", err)
	}
}

func TestTenSessionsAtMost(t *testing.T) {
	c := start(t).mustDial(t)
	for range 10 {
		if _, err := c.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.NewSession()
	var refused *gossh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != gossh.ConnectionFailed {
		t.Errorf("the eleventh: %v", err)
	}
}

func TestPowerAndPort(t *testing.T) {
	b := start(t)
	c := b.mustDial(t)
	address := b.server.Address()
	b.machine.Stop()
	if err := c.Wait(); err == nil {
		t.Error("the connection ended in peace")
	}
	if _, err := b.dial("root"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without power: %v", err)
	}
	b.machine.Start()
	b.mustDial(t)
	if b.server.Address() != address {
		t.Errorf("at %s, was at %s", b.server.Address(), address)
	}
}

func TestHang(t *testing.T) {
	b := start(t)
	c := b.mustDial(t)
	begin := time.Now()
	b.server.Hang(300 * time.Millisecond)
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil || time.Since(begin) < 300*time.Millisecond {
		t.Errorf("answered after %s, %v", time.Since(begin), err)
	}
}
