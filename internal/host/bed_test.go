package host_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pawl-dev/pawl/internal/config"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/sim/sshd"
	"github.com/pawl-dev/pawl/internal/ssh"
	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// atEnd is done when all tests have ended.
var atEnd []func()

// TestMain lets more tests run at once than there are processors: on simulated machines they wait more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("12")
	}
	code := m.Run()
	for _, do := range atEnd {
		do()
	}
	if err := host.CheckSudoers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// bed is a machine to try the host's methods on: a simulated one, or a real worker node of a lab cluster.
type bed struct {
	client     *ssh.Client
	ssh        ssh.Config
	host       *host.Host
	repository string
	kubelet    upgrade.Version // the installed one
	target     upgrade.Version // a newer one that the repositories have
	pace       float64         // factor on durations: 1 in the lab

	manager sudoers.Kind     // of packages
	machine *machine.Machine // nil in the lab
	server  *sshd.Server
}

// onMachines runs the same checks on a simulated machine and, where there is a lab, on a real node. They change nothing
// on it that belongs to its cluster. Where the two differ, the lab is right.
func onMachines(t *testing.T, check func(t *testing.T, b *bed)) {
	unlessLab(t)
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		check(t, simulated(t, nil))
	})
	t.Run("lab", func(t *testing.T) { check(t, openLab(t)) })
}

// unlessLab lets the test run beside others, unless there is a lab, whose node can only be used by one at a time.
func unlessLab(t *testing.T) {
	if os.Getenv("PAWL_LAB_CLUSTERS") == "" {
		t.Parallel()
	}
}

var (
	v136 = upgrade.MustVersion("v1.36.3")
	v137 = upgrade.MustVersion("v1.37.2")
)

// managerOf is a simulated distribution's package manager.
func managerOf(d machine.Distro) sudoers.Kind {
	switch d {
	case machine.Rocky:
		return sudoers.DNF
	case machine.SUSE:
		return sudoers.Zypper
	}
	return sudoers.APT
}

// simulated makes a simulated Debian machine that is reached over SSH as a user with sudo.
func simulated(t *testing.T, change func(*machine.Options)) *bed {
	t.Helper()
	o := machine.Options{Name: "n1", Dir: t.TempDir(), Version: v136, Offered: []upgrade.Version{v136, v137}, Pace: 0.1}
	if change != nil {
		change(&o)
	}
	m, err := machine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	keys := t.TempDir()
	key, public := newKey(t, filepath.Join(keys, "client"))
	server, err := sshd.New(sshd.Options{Machine: m, Authorized: map[string][]gossh.PublicKey{"admin": {public}, "guest": {public}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	known := filepath.Join(keys, "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{server.Address()}, server.HostKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bed{manager: managerOf(o.Distro), machine: m, server: server, repository: machine.Repository, kubelet: o.Version, target: v137, pace: o.Pace,
		ssh: ssh.Config{User: "admin", Address: server.Address(), KeyFile: key, KnownHostsFile: known}}
	b.connect(t, o.Name)
	m.Start()
	for range 1000 { // the kubelet takes a moment to be healthy
		if _, ok := m.KubeletRuns(); ok {
			return b
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the kubelet does not run")
	return nil
}

func newKey(t *testing.T, file string) (string, gossh.PublicKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return file, signer.PublicKey()
}

// openLab reaches the node PAWL_LAB_NODE at PAWL_LAB_ADDRESS as PAWL_LAB_CLUSTERS/PAWL_LAB_CLUSTER.yaml says.
func openLab(t *testing.T) *bed {
	t.Helper()
	folder, address := os.Getenv("PAWL_LAB_CLUSTERS"), os.Getenv("PAWL_LAB_ADDRESS")
	if folder == "" || address == "" {
		t.Skip("SKIPPED, NOT TESTED ON A REAL NODE: PAWL_LAB_CLUSTERS must name a folder of cluster definitions, PAWL_LAB_CLUSTER one of them, PAWL_LAB_NODE and PAWL_LAB_ADDRESS a worker of it, PAWL_LAB_TARGET a newer version that its repositories have")
	}
	c, err := config.Load(folder, os.Getenv("PAWL_LAB_CLUSTER"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{manager: sudoers.APT, repository: c.Packages.Repository, pace: 1, ssh: ssh.Config{
		User: c.SSH.User, Address: address, KeyFile: c.SSH.KeyFile, KnownHostsFile: c.SSH.KnownHostsFile,
	}}
	b.connect(t, os.Getenv("PAWL_LAB_NODE"))
	version := strings.TrimPrefix(strings.TrimSpace(b.sh(t, "kubelet --version")), "Kubernetes ")
	if b.kubelet, err = upgrade.ParseVersion(version); err != nil {
		t.Fatal(err)
	}
	if b.target, err = upgrade.ParseVersion(os.Getenv("PAWL_LAB_TARGET")); err != nil {
		t.Fatalf("PAWL_LAB_TARGET: %v", err)
	}
	return b
}

func (b *bed) connect(t *testing.T, node string) {
	b.client = ssh.New(b.ssh)
	t.Cleanup(func() { _ = b.client.Close() })
	b.host = host.New(node, host.Listed(t, b.manager, b.repository, b.client))
	host.SetPace(b.host, b.pace)
}

// d is a duration that fits the machine's pace.
func (b *bed) d(d time.Duration) time.Duration { return time.Duration(float64(d) * b.pace) }

// sh runs a line of shell as root and returns its output.
func (b *bed) sh(t *testing.T, line string) string {
	t.Helper()
	r, err := b.client.Run(context.WithoutCancel(t.Context()), ssh.Command{Argv: []string{"sh", "-c", line}, Root: true})
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("%s: %+v, %v", line, r, err)
	}
	return r.Stdout
}
