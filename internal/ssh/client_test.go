package ssh_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/ssh"
)

func run(t *testing.T, c *ssh.Client, argv ...string) ssh.Result {
	t.Helper()
	r, err := c.Run(t.Context(), ssh.Command{Argv: argv})
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return r
}

// wantFault checks the kind of an error and that it is one line that says these things.
func wantFault(t *testing.T, err error, kind fault.Kind, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", kind)
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("kind is %s, want %s: %v", got, kind, err)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

func TestRunReturnsOutputAndExitCode(t *testing.T) {
	c := startServer(t).client(t, nil)
	r := run(t, c, "sh", "-c", "echo out; echo err >&2; exit 3")
	if r.Stdout != "out\n" || r.Stderr != "err\n" || r.ExitCode != 3 {
		t.Errorf("got %+v", r)
	}
	if r := run(t, c, "sh", "-c", "kill -9 $$"); r.ExitCode != 128+9 {
		t.Errorf("ended by a signal: exit code %d, want 137", r.ExitCode)
	}
	if r := run(t, c, "no-such-program"); r.ExitCode != 127 {
		t.Errorf("missing program: exit code %d, want 127", r.ExitCode)
	}
}

func TestEveryArgumentArrivesAsItIs(t *testing.T) {
	c := startServer(t).client(t, nil)
	args := []string{"", " ", "a b", "'", `"`, `\`, "$HOME", "`id`", "$(id)", "*", "~", "#x", "a;b", "a&&b", "|", ">x", "-n", "--",
		"!!", "two\nlines", "tab\there", "ümlaut ✓", "${Version} ${db:Status-Status}\n", "a=b", "{a,b}", "\x7f\x01"}
	r := run(t, c, append([]string{"printf", "%s\\0"}, args...)...)
	if got := strings.Split(strings.TrimSuffix(r.Stdout, "\x00"), "\x00"); !equal(got, args) {
		t.Errorf("got  %q\nwant %q", got, args)
	}
}

func TestStdinReachesTheCommand(t *testing.T) {
	c := startServer(t).client(t, nil)
	long := strings.Repeat("0123456789abcdef", 16<<10)
	r, err := c.Run(t.Context(), ssh.Command{Argv: []string{"cat"}, Stdin: []byte(long)})
	if err != nil || r.Stdout != long {
		t.Errorf("%d bytes came back, want %d: %v", len(r.Stdout), len(long), err)
	}
	// A command that does not read its input is no failure.
	r, err = c.Run(t.Context(), ssh.Command{Argv: []string{"true"}, Stdin: []byte(strings.Repeat(long, 20))})
	if err != nil || r.ExitCode != 0 {
		t.Errorf("unread input: %+v, %v", r, err)
	}
	// Without input a command sees an end of file and not a wait.
	if r := run(t, c, "cat"); r.Stdout != "" {
		t.Errorf("no input: %+v", r)
	}
}

func TestOutputIsBounded(t *testing.T) {
	c := startServer(t).client(t, nil)
	r := run(t, c, "head", "-c", "3000000", "/dev/zero")
	if len(r.Stdout) != 1<<20 || !r.Cut || r.ExitCode != 0 {
		t.Errorf("%d bytes, cut %v, exit code %d", len(r.Stdout), r.Cut, r.ExitCode)
	}
}

func TestManyCommandsShareOneConnection(t *testing.T) {
	s, net := startServer(t), &cable{}
	c := s.client(t, func(cfg *ssh.Config) { cfg.Dial = net.dial })
	var group sync.WaitGroup
	for range 30 { // more than sshd's MaxSessions
		group.Go(func() {
			if r, err := c.Run(t.Context(), ssh.Command{Argv: []string{"echo", "x"}}); err != nil || r.Stdout != "x\n" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	group.Wait()
	if net.count() != 1 {
		t.Errorf("%d connections, want 1", net.count())
	}
}

func TestHostIsKnownByAnotherKeyThanItPrefers(t *testing.T) {
	s := startServer(t)
	s.know(t, s.hostKeys["ed25519"]) // the server would send its ECDSA key
	run(t, s.client(t, nil), "true")
	s.know(t, s.hostKeys["ecdsa"])
	run(t, s.client(t, nil), "true")
}

func TestUnknownHostKeyIsRefused(t *testing.T) {
	s := startServer(t)
	s.know(t)
	_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unauthorized, s.knownHosts, "is not in", "ssh-keyscan -p ", "SHA256:")
}

func TestChangedHostKeyIsRefused(t *testing.T) {
	s := startServer(t)
	other := writeKey(t, filepath.Join(s.dir, "other"), "ed25519")
	s.know(t, other)
	c := s.client(t, nil)
	_, err := c.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unauthorized, "another one is known", s.knownHosts+" line 1", "ssh-keyscan -p ", "console")

	t.Run("until a person puts the file right", func(t *testing.T) {
		s.know(t, s.hostKeys["ed25519"])
		run(t, c, "true")
	})
	t.Run("also when the host has no key of the known type", func(t *testing.T) {
		s.know(t, writeKey(t, filepath.Join(s.dir, "rsa"), "rsa"))
		_, err := s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, s.knownHosts+" line 1")
	})
}

func TestHostCertificate(t *testing.T) {
	s := startServer(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(s.address)
	certificate := &gossh.Certificate{Key: s.hostKeys["ecdsa"], CertType: gossh.HostCert, ValidPrincipals: []string{host}, ValidBefore: gossh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.dir, "host_ecdsa-cert.pub"), gossh.MarshalAuthorizedKey(certificate))
	s.restart(t, "HostCertificate "+s.dir+"/host_ecdsa-cert.pub\nHostKeyAlgorithms ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp256,ssh-ed25519\n")

	writeFile(t, s.knownHosts, []byte("@cert-authority "+knownhosts.Line([]string{s.address}, authority.PublicKey())+"\n"))
	run(t, s.client(t, nil), "true")

	other := writeKey(t, filepath.Join(s.dir, "other"), "ed25519")
	writeFile(t, s.knownHosts, []byte("@cert-authority "+knownhosts.Line([]string{s.address}, other)+"\n"))
	_, err = s.client(t, nil).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unauthorized)
	t.Log(err)
}

func TestRefusedKey(t *testing.T) {
	s := startServer(t)
	stranger := filepath.Join(s.dir, "stranger")
	writeKey(t, stranger, "ed25519")
	_, err := s.client(t, func(cfg *ssh.Config) { cfg.KeyFile = stranger }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unauthorized, "the host refused key "+stranger, "authorized_keys")
}

func TestKeyFilesThatCannotBeUsed(t *testing.T) {
	s := startServer(t)
	locked := filepath.Join(s.dir, "locked")
	writeLockedKey(t, locked, "ed25519", "secret passphrase")
	garbage := filepath.Join(s.dir, "garbage")
	writeFile(t, garbage, []byte("private words"))
	for name, c := range map[string]struct {
		file string
		kind fault.Kind
		says string
	}{
		"missing":    {filepath.Join(s.dir, "absent"), fault.InvalidInput, "no such file"},
		"garbage":    {garbage, fault.InvalidInput, "no key found"},
		"passphrase": {locked, fault.Unauthorized, "protected by a passphrase and there is no ssh-agent"},
		"none":       {"", fault.InvalidInput, "neither a key file nor an ssh-agent"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.client(t, func(cfg *ssh.Config) { cfg.KeyFile = c.file }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
			wantFault(t, err, c.kind, c.says)
			if strings.Contains(err.Error(), "private words") {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestKnownHostsFileMissing(t *testing.T) {
	s := startServer(t)
	_, err := s.client(t, func(cfg *ssh.Config) { cfg.KnownHostsFile = "/nonexistent/known_hosts" }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.InvalidInput, "/nonexistent/known_hosts")
}

func TestAgentSigns(t *testing.T) {
	s := startServer(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(s.dir, "locked")
	writeLockedKey(t, locked, "ed25519", "secret passphrase")
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := serveAgent(t, s.dir, keyring)
	withAgent := func(cfg *ssh.Config) { cfg.KeyFile, cfg.AgentSocket = "", socket }

	_, err = s.client(t, withAgent).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unauthorized, "the host refused the keys of ssh-agent")

	authorize(t, s, keyring)
	run(t, s.client(t, withAgent), "true")

	t.Run("for a key file with a passphrase that it does not hold", func(t *testing.T) {
		_, err := s.client(t, func(cfg *ssh.Config) { cfg.KeyFile, cfg.AgentSocket = locked, socket }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unauthorized, "ssh-agent does not hold it", "ssh-add")
	})
}

// authorize makes the server accept every key of the agent.
func authorize(t *testing.T, s *server, a agent.Agent) {
	t.Helper()
	keys, err := a.List()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, key := range keys {
		lines.WriteString(key.String() + "\n")
	}
	writeFile(t, filepath.Join(s.dir, "authorized_keys"), []byte(lines.String()))
}

func serveAgent(t *testing.T, dir string, a agent.Agent) string {
	t.Helper()
	socket := filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(a, conn) }()
		}
	}()
	return socket
}

func TestRefusedPort(t *testing.T) {
	s := startServer(t)
	nobody := freeAddress(t)
	_, err := s.client(t, func(cfg *ssh.Config) { cfg.Address = nobody }).Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unreachable, nobody, "connection refused")
}

func TestHostThatAcceptsAndSaysNothing(t *testing.T) {
	s := startServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = s.client(t, func(cfg *ssh.Config) { cfg.Address, cfg.DialTimeout = l.Addr().String(), 300*time.Millisecond }).
		Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unreachable, "no answer within 300ms")
}

func TestConnectionCutWhileTheCommandRuns(t *testing.T) {
	s, net := startServer(t), &cable{}
	c := s.client(t, func(cfg *ssh.Config) { cfg.Dial = net.dial })
	run(t, c, "true")
	marker := filepath.Join(s.dir, "started")
	go func() {
		waitFor(t, marker)
		net.cut()
	}()
	_, err := c.Run(t.Context(), ssh.Command{Argv: []string{"sh", "-c", "touch " + marker + "; sleep 5"}})
	wantFault(t, err, fault.OutcomeUnknown, "run sh on", "the connection was lost while it ran")
	if strings.Contains(err.Error(), "touch") {
		t.Errorf("the error holds the arguments: %v", err)
	}

	t.Run("the next command connects anew", func(t *testing.T) {
		run(t, c, "true")
		if net.count() != 2 {
			t.Errorf("%d connections, want 2", net.count())
		}
	})
}

func TestConnectionLostBetweenCommandsIsReplaced(t *testing.T) {
	s, net := startServer(t), &cable{}
	c := s.client(t, func(cfg *ssh.Config) { cfg.Dial = net.dial })
	for i := range 5 {
		if r := run(t, c, "echo", "x"); r.Stdout != "x\n" {
			t.Fatalf("round %d: %+v", i, r)
		}
		net.cut()
	}
}

func TestServerGoneIsUnreachable(t *testing.T) {
	s, net := startServer(t), &cable{}
	c := s.client(t, func(cfg *ssh.Config) { cfg.Dial = net.dial })
	run(t, c, "true")
	_ = s.process.Kill()
	net.cut()
	for _, wait := range []time.Duration{0, 200 * time.Millisecond} {
		time.Sleep(wait)
		_, err := c.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unreachable, "connect to")
	}
}

func TestSilentPeerIsNoticed(t *testing.T) {
	s, net := startServer(t), &cable{}
	c := s.client(t, func(cfg *ssh.Config) {
		cfg.Dial, cfg.DialTimeout = net.dial, 2*time.Second
		cfg.KeepAliveInterval, cfg.KeepAliveTimeout = 100*time.Millisecond, 200*time.Millisecond
	})
	run(t, c, "true")
	marker := filepath.Join(s.dir, "started")
	go func() {
		waitFor(t, marker)
		net.silence(true)
	}()
	began := time.Now()
	_, err := c.Run(t.Context(), ssh.Command{Argv: []string{"sh", "-c", "touch " + marker + "; sleep 30"}})
	wantFault(t, err, fault.OutcomeUnknown)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	_, err = c.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unreachable, "no answer within 2s")
	net.silence(false)
	run(t, c, "true")
}

func TestKeepAliveLeavesAQuietConnectionAlone(t *testing.T) {
	s, net := startServer(t), &cable{}
	c := s.client(t, func(cfg *ssh.Config) {
		cfg.Dial, cfg.KeepAliveInterval, cfg.KeepAliveTimeout = net.dial, 20*time.Millisecond, 2*time.Second
	})
	run(t, c, "sleep", "0.5")
	run(t, c, "true")
	if net.count() != 1 {
		t.Errorf("%d connections, want 1", net.count())
	}
}

func TestCancelEndsTheWait(t *testing.T) {
	s := startServer(t)
	c := s.client(t, nil)
	run(t, c, "true")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := c.Run(ctx, ssh.Command{Argv: []string{"sleep", "30"}})
	wantFault(t, err, fault.OutcomeUnknown)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	run(t, c, "true") // the connection is as good as before

	t.Run("before the command was started nothing was done", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.client(t, nil).Run(ctx, ssh.Command{Argv: []string{"true"}})
		wantFault(t, err, fault.Unreachable)
	})
}

// sudoUser is a user of this machine who has a shell and may run /usr/bin/id as root by sudo, and nothing else.
const sudoUser = "PAWL_TEST_SUDO_USER"

func TestRootByOtherUserIsSudo(t *testing.T) {
	user := os.Getenv(sudoUser)
	if user == "" {
		t.Skip("SKIPPED, NOT TESTED: " + sudoUser + " must name a user who may run /usr/bin/id by sudo without a password, and nothing else")
	}
	c := startServer(t).client(t, func(cfg *ssh.Config) { cfg.User = user })
	if r := run(t, c, "id", "-un"); r.Stdout != user+"\n" {
		t.Errorf("without Root: %+v", r)
	}
	r, err := c.Run(t.Context(), ssh.Command{Argv: []string{"id", "-un"}, Root: true})
	if err != nil || r.Stdout != "root\n" {
		t.Errorf("with Root: %+v, %v", r, err)
	}
	r, err = c.Run(t.Context(), ssh.Command{Argv: []string{"id", "no such user"}, Root: true})
	if err != nil || r.ExitCode != 1 || !strings.Contains(r.Stderr, "no such user") {
		t.Errorf("the command's own failure: %+v, %v", r, err)
	}
	_, err = c.Run(t.Context(), ssh.Command{Argv: []string{"cat", "/etc/shadow"}, Root: true})
	wantFault(t, err, fault.Unauthorized, "run cat as root", "pawl sudoers")
	t.Log(err)
}

func TestClosedClient(t *testing.T) {
	c := startServer(t).client(t, nil)
	run(t, c, "true")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := c.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unreachable, "closed")
}

func TestTunnel(t *testing.T) {
	s := startServer(t)
	inner := s.client(t, func(cfg *ssh.Config) { cfg.Dial = s.client(t, nil).DialContext }) // through a jump host
	run(t, inner, "true")
	conn, err := s.client(t, nil).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	banner := make([]byte, 4)
	if _, err := io.ReadFull(conn, banner); err != nil || string(banner) != "SSH-" {
		t.Errorf("%q, %v", banner, err)
	}
}

func equal(a, b []string) bool {
	return strings.Join(a, "\x00") == strings.Join(b, "\x00") && len(a) == len(b)
}

// waitFor returns when the file exists.
func waitFor(t *testing.T, file string) {
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s does not appear", file)
}
