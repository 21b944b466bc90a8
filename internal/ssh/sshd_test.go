package ssh_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pawl-dev/pawl/internal/ssh"
)

// server is a real sshd on a loopback port, with keys of its own. It listens for as long as the test runs.
type server struct {
	address    string
	dir        string
	user       string
	clientKey  string // key file that it accepts
	knownHosts string // file with its Ed25519 key only
	hostKeys   map[string]gossh.PublicKey
	process    *os.Process
}

// sshdPath finds the real sshd. Without one the test says so loudly, or fails where everything is required.
func sshdPath(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/lib/ssh/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1" {
		t.Fatal("there is no sshd; install the package openssh-server")
	}
	t.Skip("SKIPPED, NOT TESTED: there is no sshd; install the package openssh-server")
	return ""
}

func startServer(t *testing.T) *server {
	t.Helper()
	sshd := sshdPath(t)
	dir := t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		// sshd wants its privilege separation folder, which the service's unit would make.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{dir: dir, user: me.Username, clientKey: filepath.Join(dir, "client"), knownHosts: filepath.Join(dir, "known_hosts"),
		address: freeAddress(t), hostKeys: map[string]gossh.PublicKey{}}
	s.hostKeys["ed25519"] = writeKey(t, filepath.Join(dir, "host_ed25519"), "ed25519")
	s.hostKeys["ecdsa"] = writeKey(t, filepath.Join(dir, "host_ecdsa"), "ecdsa")
	authorized := writeKey(t, s.clientKey, "ed25519")
	writeFile(t, filepath.Join(dir, "authorized_keys"), gossh.MarshalAuthorizedKey(authorized))
	// sshd reads it as the user. The private keys beside it are readable for us only.
	for path, mode := range map[string]os.FileMode{filepath.Join(dir, "authorized_keys"): 0o644, dir: 0o755, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	s.know(t, s.hostKeys["ed25519"])
	_, port, _ := net.SplitHostPort(s.address)
	// ECDSA comes first, so that a client without a wish of its own gets the key that it does not know.
	writeFile(t, filepath.Join(dir, "sshd_config"), fmt.Appendf(nil, `
ListenAddress 127.0.0.1
Port %s
HostKey %[2]s/host_ecdsa
HostKey %[2]s/host_ed25519
HostKeyAlgorithms ecdsa-sha2-nistp256,ssh-ed25519
AuthorizedKeysFile %[2]s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxSessions 10
`, port, dir))
	s.start(t, sshd)
	return s
}

func (s *server) start(t *testing.T, sshd string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", log.String())
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("sshd does not listen: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// restart starts the server anew, with these lines in front of its configuration (the first of two counts).
func (s *server) restart(t *testing.T, lines string) {
	t.Helper()
	file := filepath.Join(s.dir, "sshd_config")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, append([]byte(lines), old...))
	_ = s.process.Kill()
	for range 500 { // until the port is free
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			break
		}
		_ = conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
	s.start(t, sshdPath(t))
}

// know writes a known_hosts file with these keys.
func (s *server) know(t *testing.T, keys ...gossh.PublicKey) {
	t.Helper()
	var lines bytes.Buffer
	for _, key := range keys {
		fmt.Fprintln(&lines, knownhosts.Line([]string{s.address}, key))
	}
	writeFile(t, s.knownHosts, lines.Bytes())
}

// config is that of a client that the server accepts.
func (s *server) config() ssh.Config {
	return ssh.Config{User: s.user, Address: s.address, KeyFile: s.clientKey, KnownHostsFile: s.knownHosts}
}

func (s *server) client(t *testing.T, change func(*ssh.Config)) *ssh.Client {
	t.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	client := ssh.New(cfg)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// cable is a network that can be cut (connections end) or go silent (nothing arrives any more).
type cable struct {
	mu     sync.Mutex
	conns  []net.Conn
	silent bool
	dials  int
}

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	c.conns = append(c.conns, conn)
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(conn, far); _ = conn.Close() }()
	go func() { c.forward(far, conn); _ = far.Close() }()
	return addressed{near, conn}, nil
}

// forward copies what the server sends until the cable goes silent; then it takes and drops it.
func (c *cable) forward(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		silent := c.silent
		c.mu.Unlock()
		if !silent {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cable) silence(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = on
}

func (c *cable) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dials
}

// addressed is one end of a pipe that says it is at the addresses of a TCP connection.
type addressed struct {
	net.Conn
	tcp net.Conn
}

func (a addressed) RemoteAddr() net.Addr { return a.tcp.RemoteAddr() }
func (a addressed) LocalAddr() net.Addr  { return a.tcp.LocalAddr() }

func writeKey(t *testing.T, file, kind string) gossh.PublicKey {
	t.Helper()
	return writeLockedKey(t, file, kind, "")
}

// writeLockedKey makes a key pair and writes the private one, protected by the passphrase if there is one.
func writeLockedKey(t *testing.T, file, kind, passphrase string) gossh.PublicKey {
	t.Helper()
	var private any
	var err error
	switch kind {
	case "ecdsa":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = gossh.MarshalPrivateKey(private, "")
	} else {
		block, err = gossh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, pem.EncodeToMemory(block))
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
