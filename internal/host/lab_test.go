package host_test

import (
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/config"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/ssh"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// lab is a real worker node of a lab cluster.
type lab struct {
	client     *ssh.Client
	host       *host.Host
	repository string
	kubelet    upgrade.Version
}

// openLab reaches the node PAWL_LAB_NODE at PAWL_LAB_ADDRESS as PAWL_LAB_CLUSTERS/PAWL_LAB_CLUSTER.yaml says. The
// tests change nothing on it that belongs to its cluster.
func openLab(t *testing.T) lab {
	t.Helper()
	folder, address := os.Getenv("PAWL_LAB_CLUSTERS"), os.Getenv("PAWL_LAB_ADDRESS")
	if folder == "" || address == "" {
		t.Skip("SKIPPED, NOT TESTED ON A REAL NODE: PAWL_LAB_CLUSTERS must name a folder of cluster definitions, PAWL_LAB_CLUSTER one of them, PAWL_LAB_NODE and PAWL_LAB_ADDRESS a worker of it")
	}
	c, err := config.Load(folder, os.Getenv("PAWL_LAB_CLUSTER"))
	if err != nil {
		t.Fatal(err)
	}
	l := lab{repository: c.Packages.Repository, client: ssh.New(ssh.Config{
		User: c.SSH.User, Address: address, KeyFile: c.SSH.KeyFile, KnownHostsFile: c.SSH.KnownHostsFile,
	})}
	t.Cleanup(func() { _ = l.client.Close() })
	l.host = host.New(os.Getenv("PAWL_LAB_NODE"), l.client)
	version := strings.TrimPrefix(strings.TrimSpace(l.sh(t, "kubelet --version")), "Kubernetes ")
	if l.kubelet, err = upgrade.ParseVersion(version); err != nil {
		t.Fatal(err)
	}
	return l
}

// sh runs a line of shell as root and returns its output.
func (l lab) sh(t *testing.T, line string) string {
	t.Helper()
	r, err := l.client.Run(context.WithoutCancel(t.Context()), ssh.Command{Argv: []string{"sh", "-c", line}, Root: true})
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("%s: %+v, %v", line, r, err)
	}
	return r.Stdout
}

// target is the newer version that the lab's repositories offer.
func target(t *testing.T) upgrade.Version {
	t.Helper()
	v, err := upgrade.ParseVersion(os.Getenv("PAWL_LAB_TARGET"))
	if err != nil {
		t.Fatalf("PAWL_LAB_TARGET: %v", err)
	}
	return v
}

// packagesState is all that Observe and Download must leave as it is.
const packagesState = `dpkg-query -W | sha256sum; apt-mark showhold; cat /etc/apt/sources.list.d/*; sha256sum /etc/apt/keyrings/*;
ls -l --time-style=full-iso /var/lib/apt/lists /var/cache/apt/*.bin /etc/apt /etc/apt/sources.list.d; apt-cache policy kubeadm; ls /run/pawl 2>/dev/null || true`

func TestLabObserveChangesNothing(t *testing.T) {
	l, v := openLab(t), target(t)
	l.sh(t, "mkdir -p /run/pawl")
	before := l.sh(t, packagesState)
	seen, err := l.host.Observe(t.Context(), l.repository, []upgrade.Version{v})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", seen)
	if seen.Problem != "" || seen.OS != "debian" || seen.PackageManager != "apt" || seen.Kubeadm.IsZero() || seen.FreeBytes <= 0 || seen.EtcdBytes != 0 {
		t.Errorf("observed %+v", seen)
	}
	if len(seen.Available) == 0 || seen.Available[len(seen.Available)-1].Less(v) {
		t.Errorf("available: %v, want %s", seen.Available, v)
	}
	if after := l.sh(t, packagesState); after != before {
		t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
	}
	// A minor that does not exist is a finding, not an end of the observation.
	seen, err = l.host.Observe(t.Context(), l.repository, []upgrade.Version{v, upgrade.MustVersion("v1.99.0")})
	if err != nil || !strings.Contains(seen.Problem, "/v1.99: ") || seen.Kubeadm.IsZero() || len(seen.Available) == 0 {
		t.Errorf("v1.99.0: %+v, %v", seen, err)
	}
	t.Logf("v1.99.0: %s", seen.Problem)
	seen, err = l.host.Observe(t.Context(), "https://elsewhere.example/core:/stable:", []upgrade.Version{v})
	if err != nil || !strings.Contains(seen.Problem, "no apt source names https://elsewhere.example/") {
		t.Errorf("another repository: %+v, %v", seen, err)
	}
	if after := l.sh(t, packagesState); after != before {
		t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
	}
}

func TestLabDownloadFillsTheCacheOnly(t *testing.T) {
	l, v := openLab(t), target(t)
	if l.kubelet == v {
		t.Skipf("SKIPPED, NOT TESTED ON A REAL NODE: the node is at %s already, so there is nothing to fetch", v)
	}
	l.sh(t, "mkdir -p /run/pawl; rm -f /var/cache/apt/archives/kube*_"+v.Number()+"-*.deb")
	before := l.sh(t, packagesState)
	for range 2 {
		if err := l.host.Download(t.Context(), l.repository, v); err != nil {
			t.Fatal(err)
		}
		for _, pkg := range []string{"kubeadm", "kubelet", "kubectl"} {
			l.sh(t, "ls /var/cache/apt/archives/"+pkg+"_"+v.Number()+"-*.deb")
		}
	}
	if after := l.sh(t, packagesState); after != before {
		t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
	}
	err := l.host.Download(t.Context(), l.repository, upgrade.MustVersion("v"+strings.TrimPrefix(v.MinorString(), "v")+".99"))
	if !fault.Is(err, fault.PreflightFailed) || !strings.Contains(err.Error(), "the package repository has "+v.String()) {
		t.Errorf("missing patch: %v", err)
	}
	t.Log(err)
}

func TestLabInstallOfWhatIsThereDoesNothing(t *testing.T) {
	l := openLab(t)
	before := l.sh(t, packagesState)
	if err := l.host.Install(t.Context(), l.repository, l.kubelet, "kubeadm", "kubelet", "kubectl"); err != nil {
		t.Fatal(err)
	}
	if after := l.sh(t, packagesState); after != before {
		t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
	}
}

func TestLabBackUp(t *testing.T) {
	l := openLab(t)
	const id = "pawl-test-backup"
	folder := host.BackupFolder + "/" + id
	clean := func() { l.sh(t, "rm -rf "+folder) }
	clean()
	t.Cleanup(clean)
	texts := map[string]string{"kubeadm-config.yaml": "apiVersion: v1\n# ümlaut 'and quotes' $HOME\n"}
	for range 2 {
		got, err := l.host.BackUp(t.Context(), id, texts)
		if err != nil || got != folder {
			t.Fatalf("%q, %v", got, err)
		}
	}
	t.Log(l.sh(t, "ls -la "+folder+"; cd "+folder+"; sha256sum -c SHA256SUMS; tar -tf files.tar"))
	if modes := l.sh(t, "stat -c %a "+folder+"; find "+folder+" -type f -printf '%m\\n' | sort -u"); modes != "700\n600\n" {
		t.Errorf("modes: %q", modes)
	}
	if got := l.sh(t, "cat "+folder+"/kubeadm-config.yaml"); got != texts["kubeadm-config.yaml"] {
		t.Errorf("text: %q", got)
	}
	for _, file := range []string{"etc/kubernetes/kubelet.conf", "etc/kubernetes/pki/ca.crt", "var/lib/kubelet/config.yaml", "etc/apt/sources.list.d/kubernetes.list"} {
		l.sh(t, "tar -tf "+folder+"/files.tar "+file)
	}

	t.Run("an incomplete one is made again", func(t *testing.T) {
		l.sh(t, "rm "+folder+"/SHA256SUMS; echo half > "+folder+"/.files.tar.pawl; echo broken > "+folder+"/files.tar")
		if _, err := l.host.BackUp(t.Context(), id, texts); err != nil {
			t.Fatal(err)
		}
		l.sh(t, "cd "+folder+" && sha256sum -c --quiet SHA256SUMS && tar -tf files.tar")
	})
	t.Run("a complete one that changed is not overwritten", func(t *testing.T) {
		l.sh(t, "echo changed >> "+folder+"/packages.txt")
		_, err := l.host.BackUp(t.Context(), id, texts)
		if !fault.Is(err, fault.VerificationFailed) {
			t.Errorf("%v", err)
		}
		t.Log(err)
	})
	t.Run("snapshot", func(t *testing.T) {
		for _, from := range []string{"/var/lib/pawl-test.db", "/run/pawl-test.db"} { // the same filesystem, and another
			l.sh(t, "head -c 8192 /dev/urandom > "+from)
			s := upgrade.Snapshot{Hash: 1, Revision: 2, Keys: 3, Bytes: 8192 - sha256.Size}
			for range 2 {
				if err := l.host.KeepSnapshot(t.Context(), id, from, s); err != nil {
					t.Fatal(err)
				}
			}
			l.sh(t, "test ! -e "+from)
			if got := l.sh(t, "stat -c '%s %a' "+folder+"/etcd-snapshot.db"); got != "8192 600\n" {
				t.Errorf("kept: %q", got)
			}
		}
		err := l.host.KeepSnapshot(t.Context(), id, "/var/lib/pawl-test.db", upgrade.Snapshot{Bytes: 5})
		if !fault.Is(err, fault.VerificationFailed) {
			t.Errorf("%v", err)
		}
		t.Log(err)
	})
}

func TestLabKubelet(t *testing.T) {
	l := openLab(t)
	if err := l.host.KubeletHealthy(t.Context()); err != nil {
		t.Error(err)
	}
	// A configuration of the same second as the kubelet's start may be newer, so a fresh node's kubelet is restarted once.
	if _, err := l.host.RestartKubelet(t.Context(), l.kubelet); err != nil {
		t.Fatal(err)
	}
	pid := l.sh(t, "systemctl show -p MainPID kubelet")
	started, err := l.host.RestartKubelet(t.Context(), l.kubelet)
	if err != nil {
		t.Fatal(err)
	}
	if now := l.sh(t, "systemctl show -p MainPID kubelet"); now != pid {
		t.Errorf("it was restarted for no reason")
	}
	if age := time.Since(started); age < 0 || age > 90*24*time.Hour {
		t.Errorf("started %s", started)
	}
	if _, err := l.host.RestartKubelet(t.Context(), upgrade.MustVersion("v1.99.0")); !fault.Is(err, fault.PreflightFailed) {
		t.Errorf("%v", err)
	}
	l.sh(t, "sleep 1; touch /var/lib/kubelet/config.yaml; sleep 1")
	again, err := l.host.RestartKubelet(t.Context(), l.kubelet)
	if err != nil || !again.After(started) {
		t.Errorf("after a change of its configuration: %s, was %s, %v", again, started, err)
	}
	if third, err := l.host.RestartKubelet(t.Context(), l.kubelet); err != nil || third != again {
		t.Errorf("a second time: %s, was %s, %v", third, again, err)
	}
}

func TestLabJobs(t *testing.T) { host.LabJobs(t, openLab(t).client) }

const (
	killedUnit = "pawl-test-client-killed"
	killedLine = "echo x >> /run/pawl-test-client-killed; sleep 4; echo the end"
)

// A process that is killed while it waits for a job leaves the job running; the next one gets its outcome.
func TestLabJobOutlivesAKilledClient(t *testing.T) {
	l := openLab(t)
	if os.Getenv("PAWL_LAB_CHILD") == "1" {
		_, _, err := host.LabJob(t.Context(), l.client, killedUnit, killedLine)
		t.Fatalf("the child was not killed: %v", err)
	}
	l.sh(t, "rm -f /run/pawl-test-client-killed")
	t.Cleanup(func() { l.sh(t, "rm -f /run/pawl-test-client-killed") })
	child := exec.Command(os.Args[0], "-test.run=^TestLabJobOutlivesAKilledClient$")
	child.Env = append(os.Environ(), "PAWL_LAB_CHILD=1")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	l.sh(t, "for i in $(seq 100); do test -e /run/pawl-test-client-killed && exit 0; sleep 0.1; done; exit 1")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	failure, output, err := host.LabJob(t.Context(), l.client, killedUnit, killedLine)
	if err != nil || failure != "" || strings.TrimSpace(output) != "the end" {
		t.Errorf("%q, %q, %v", failure, output, err)
	}
	if n := strings.TrimSpace(l.sh(t, "wc -l < /run/pawl-test-client-killed")); n != "1" {
		t.Errorf("it ran %s times", n)
	}
}
