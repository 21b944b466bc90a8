package host_test

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/ssh"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// packagesState is all that Observe and Download must leave as it is.
const packagesState = `dpkg-query -W | sha256sum; apt-mark showhold; cat /etc/apt/sources.list.d/*; sha256sum /etc/apt/keyrings/*;
ls -l --time-style=full-iso /var/lib/apt/lists /var/cache/apt/*.bin /etc/apt /etc/apt/sources.list.d; apt-cache policy kubeadm; ls /run/pawl 2>/dev/null || true`

func TestMachineObserveChangesNothing(t *testing.T) {
	onMachines(t, observeChangesNothing)
}

func observeChangesNothing(t *testing.T, l *bed) {
	v := l.target
	l.sh(t, "mkdir -p /run/pawl")
	before := l.sh(t, packagesState)
	seen, err := l.host.Observe(t.Context(), l.repository, []upgrade.Version{v})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", seen)
	if seen.Problem != "" || seen.Unread.Problem != "" || seen.OS != "debian" || seen.PackageManager != "apt" || seen.Kubeadm.IsZero() || seen.FreeBytes <= 0 || seen.EtcdBytes != 0 {
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
	if err != nil || !strings.Contains(seen.Unread.Problem, "/v1.99: ") || seen.Kubeadm.IsZero() || len(seen.Available) == 0 {
		t.Errorf("v1.99.0: %+v, %v", seen, err)
	}
	t.Logf("v1.99.0: %s", seen.Unread.Problem)
	seen, err = l.host.Observe(t.Context(), "https://elsewhere.example/core:/stable:", []upgrade.Version{v})
	if err != nil || !strings.Contains(seen.Unread.Problem, "no apt source names https://elsewhere.example/") {
		t.Errorf("another repository: %+v, %v", seen, err)
	}
	if after := l.sh(t, packagesState); after != before {
		t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
	}
}

func TestMachineDownloadFillsTheCacheOnly(t *testing.T) {
	onMachines(t, downloadFillsTheCacheOnly)
}

func downloadFillsTheCacheOnly(t *testing.T, l *bed) {
	v := l.target
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

func TestMachineInstallOfWhatIsThereDoesNothing(t *testing.T) {
	onMachines(t, installOfWhatIsThereDoesNothing)
}

func installOfWhatIsThereDoesNothing(t *testing.T, l *bed) {
	before := l.sh(t, packagesState)
	if err := l.host.Install(t.Context(), l.repository, l.kubelet, "kubeadm", "kubelet", "kubectl"); err != nil {
		t.Fatal(err)
	}
	if after := l.sh(t, packagesState); after != before {
		t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
	}
}

func TestMachineBackUp(t *testing.T) {
	onMachines(t, backUp)
}

func backUp(t *testing.T, l *bed) {
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

func TestMachineKubelet(t *testing.T) {
	onMachines(t, restartKubelet)
}

func restartKubelet(t *testing.T, l *bed) {
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
	time.Sleep(1100 * time.Millisecond) // the kubelet's start is known in whole seconds
	l.sh(t, "touch /var/lib/kubelet/config.yaml")
	time.Sleep(1100 * time.Millisecond)
	again, err := l.host.RestartKubelet(t.Context(), l.kubelet)
	if err != nil || !again.After(started) {
		t.Errorf("after a change of its configuration: %s, was %s, %v", again, started, err)
	}
	if third, err := l.host.RestartKubelet(t.Context(), l.kubelet); err != nil || third != again {
		t.Errorf("a second time: %s, was %s, %v", third, again, err)
	}
}

func TestMachineJobs(t *testing.T) {
	onMachines(t, func(t *testing.T, l *bed) { host.JobChecks(t, l.client, l.pace) })
}

const (
	killedUnit = "pawl-test-client-killed"
	killedLine = "echo x >> /run/pawl-test-client-killed; sleep 4; echo the end"
)

// childEnvironment holds the SSH configuration for TestChildOfJobTest.
const childEnvironment = "PAWL_TEST_CHILD"

// TestChildOfJobTest is the process that TestMachineJobOutlivesAKilledClient kills.
func TestChildOfJobTest(t *testing.T) {
	text := os.Getenv(childEnvironment)
	if text == "" {
		return
	}
	var cfg ssh.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	_, _, err := host.RunJob(t.Context(), ssh.New(cfg), killedUnit, killedLine)
	t.Fatalf("the child was not killed: %v", err)
}

// A process that is killed while it waits for a job leaves the job running; the next one gets its outcome.
func TestMachineJobOutlivesAKilledClient(t *testing.T) {
	onMachines(t, jobOutlivesAKilledClient)
}

func jobOutlivesAKilledClient(t *testing.T, l *bed) {
	l.sh(t, "rm -f /run/pawl-test-client-killed")
	t.Cleanup(func() { l.sh(t, "rm -f /run/pawl-test-client-killed") })
	plain := l.ssh
	plain.Dial = nil
	text, err := json.Marshal(struct{ User, Address, KeyFile, KnownHostsFile string }{plain.User, plain.Address, plain.KeyFile, plain.KnownHostsFile})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestChildOfJobTest$")
	child.Env = append(os.Environ(), childEnvironment+"="+string(text))
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	l.sh(t, "for i in $(seq 1000); do test -e /run/pawl-test-client-killed && exit 0; sleep 0.1; done; exit 1")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	failure, output, err := host.RunJob(t.Context(), l.client, killedUnit, killedLine)
	if err != nil || failure != "" || strings.TrimSpace(output) != "the end" {
		t.Errorf("%q, %q, %v", failure, output, err)
	}
	if n := strings.TrimSpace(l.sh(t, "wc -l < /run/pawl-test-client-killed")); n != "1" {
		t.Errorf("it ran %s times", n)
	}
}

// What pawl takes for granted about the programs of a node.
func TestMachineFacts(t *testing.T) {
	onMachines(t, func(t *testing.T, l *bed) {
		if got := strings.TrimSpace(l.sh(t, "kubeadm version -o short")); got != l.kubelet.String() && got != l.target.String() {
			t.Errorf("kubeadm version: %q", got)
		}
		if got := l.sh(t, "pgrep -f '[k]ubeadm (upgrade|init|join|reset)' || echo none"); got != "none\n" {
			t.Errorf("pgrep finds %q", got)
		}
		if got := l.sh(t, "pgrep -f '[/]usr/bin/kubelet'"); len(strings.Fields(got)) != 1 {
			t.Errorf("pgrep finds kubelets %q", got)
		}
		held := strings.Fields(l.sh(t, "apt-mark showhold"))
		for _, pkg := range []string{"kubeadm", "kubelet", "kubectl"} {
			if !slices.Contains(held, pkg) {
				t.Errorf("%s is not on hold: %v", pkg, held)
			}
			if got := l.sh(t, "dpkg-query -W -f '${db:Status-Abbrev}' "+pkg); got != "hi " {
				t.Errorf("%s is %q", pkg, got)
			}
		}
		for line, want := range map[string]string{
			"nosuchprogram; echo $?":                                 "127\n",
			"cat /nope 2>&1; echo $?":                                "cat: /nope: No such file or directory\n1\n",
			"find /nope -maxdepth 0 2>&1; echo $?":                   "find: ‘/nope’: No such file or directory\n1\n",
			"mv /nope /x 2>&1; echo $?":                              "mv: cannot stat '/nope': No such file or directory\n1\n",
			"systemctl stop pawl-nope.service 2>&1; echo $?":         "Failed to stop pawl-nope.service: Unit pawl-nope.service not loaded.\n5\n",
			"systemctl reset-failed pawl-nope.service 2>&1; echo $?": "Failed to reset failed state of unit pawl-nope.service: Unit pawl-nope.service not loaded.\n1\n",
			`printf 'a.b\naxb\n' > /run/pawl-test-sed; sed --in-place '--expression=$a[main]' --expression='$aend' '--expression=\|a[.]b|!d' '--expression=s|a[.]b|c\&d|g' '--expression=$anever' /run/pawl-test-sed; ` +
				"stat -c %a /run/pawl-test-sed; cat /run/pawl-test-sed; rm /run/pawl-test-sed; sed --in-place '--expression=s|a|b|g' /nope 2>&1; echo $?": "644\nc&d\n[main]\nend\nsed: can't read /nope: No such file or directory\n2\n",
			"systemctl is-active pawl-nope; echo $?":                          "inactive\n3\n",
			"systemctl is-active kubelet; echo $?":                            "active\n0\n",
			"cat --nope 2>&1; echo $?":                                        "cat: unrecognized option '--nope'\nTry 'cat --help' for more information.\n1\n",
			"grep -RlsE --include=*.list nope /etc/apt /nope; echo $?":        "2\n",
			"dpkg-query -W pawl-nope 2>&1; echo $?":                           "dpkg-query: no packages found matching pawl-nope\n1\n",
			"apt-mark hold pawl-nope 2>&1 | head -n1":                         "E: Unable to locate package pawl-nope\n",
			"readlink /proc/$(systemctl show -p MainPID --value kubelet)/exe": "/usr/bin/kubelet\n",
			"systemd-run --quiet --unit=pawl-test-twice --property=Type=oneshot --property=RemainAfterExit=yes -- true && " +
				"systemd-run --quiet --unit=pawl-test-twice -- true 2>&1; echo $?; systemctl stop pawl-test-twice": "Failed to start transient service unit: Unit pawl-test-twice.service was already loaded or has a fragment file.\n1\n",
			"systemd-run --quiet --unit=pawl-test-none -- /nope 2>&1; echo $?": "Failed to find executable /nope: No such file or directory\n1\n",
		} {
			if got := l.sh(t, "LC_ALL=C.UTF-8; export LC_ALL; "+line); got != want {
				t.Errorf("%s\nis   %q\nwant %q", line, got, want)
			}
		}
	})
}
