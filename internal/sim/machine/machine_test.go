package machine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var (
	v136 = upgrade.MustVersion("v1.36.3")
	v137 = upgrade.MustVersion("v1.37.2")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes a machine that is on and whose kubelet runs.
func start(t *testing.T, change func(*machine.Options)) *machine.Machine {
	t.Helper()
	o := machine.Options{Name: "n1", Dir: t.TempDir(), Version: v136, Offered: []upgrade.Version{v136, upgrade.MustVersion("v1.37.1"), v137}, Pace: 0.01}
	if change != nil {
		change(&o)
	}
	m, err := machine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	m.Start()
	await(t, "the kubelet runs", func() bool { _, ok := m.KubeletRuns(); return ok })
	return m
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("in vain: %s", what)
}

// said is what a command line gives: standard output, standard error, and the exit code if it is not 0.
func said(m *machine.Machine, user, line string) string {
	var out, err bytes.Buffer
	code := m.Run(context.Background(), line, user, nil, &out, &err)
	text := out.String() + err.String()
	if code != 0 {
		text += "[" + string('0'+rune(code/100)) + string('0'+rune(code/10%10)) + string('0'+rune(code%10)) + "]"
	}
	return text
}

// The words and exit codes are those of the real programs of Debian 12.
func TestProgramsRefuseInTheirOwnWords(t *testing.T) {
	m := start(t, nil)
	for line, want := range map[string]string{
		"nosuch":                                     "sh: 1: nosuch: not found\n[127]",
		"sudo -n -- nosuch":                          "sudo: nosuch: command not found\n[001]",
		"cat -z":                                     "cat: invalid option -- 'z'\nTry 'cat --help' for more information.\n[001]",
		"ls --zzz":                                   "ls: unrecognized option '--zzz'\nTry 'ls --help' for more information.\n[002]",
		"find /nope -maxdepth 0":                     "find: ‘/nope’: No such file or directory\n[001]",
		"find /etc -nope":                            "find: unknown predicate `-nope'\n[001]",
		"mktemp -d /nope/x.XXXX":                     "mktemp: failed to create directory via template ‘/nope/x.XXXX’: No such file or directory\n[001]",
		"dd foo":                                     "dd: unrecognized operand ‘foo’\nTry 'dd --help' for more information.\n[001]",
		"tar --list --file=/nope":                    "tar: /nope: Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now\n[002]",
		"env FOO=1 nosuch":                           "env: ‘nosuch’: No such file or directory\n[127]",
		"systemctl stop nope":                        "Failed to stop nope.service: Unit nope.service not loaded.\n[005]",
		"systemctl frob":                             "Unknown command verb frob.\n[001]",
		"systemd-run -- /nope":                       "Failed to find executable /nope: No such file or directory\n[001]",
		"apt-get install --zzz":                      "E: Command line option --zzz is not understood in combination with the other options\n[100]",
		"apt-mark hold nope":                         "E: Unable to locate package nope\nE: No packages found\n[100]",
		"dpkg-query -W nope":                         "dpkg-query: no packages found matching nope\n[001]",
		"kubeadm upgrade node --zzz":                 "error: unknown flag: --zzz\nTo see the stack trace of this error execute with --v=5 or higher\n[001]",
		"apt-helper":                                 "sh: 1: apt-helper: not found\n[127]",
		"dnf install kubeadm":                        "sh: 1: dnf: not found\n[127]",
		"kill -9 $$":                                 "[137]",
		"echo a b | cut -d' ' -f2; test -e /nope":    "b\n[001]",
		"cd /etc/kubernetes && ls; exit 7":           "kubelet.conf\npki\ntmp\n[007]",
		"for i in $(seq 3); do echo $i; done":        "1\n2\n3\n",
		"cat < /etc/hostname > /run/x; wc -l /run/x": "1 /run/x\n",
	} {
		if got := said(m, "root", line); got != want {
			t.Errorf("%s\nsaid %q\nwant %q", line, got, want)
		}
	}
}

func TestOrdinaryUsers(t *testing.T) {
	m := start(t, nil)
	const conf = "/etc/kubernetes/kubelet.conf"
	for _, c := range []struct{ user, line, want string }{
		{"admin", "cat " + conf, "cat: " + conf + ": Permission denied\n[001]"},
		{"admin", "LC_ALL=C sudo -n -- wc -l " + conf, "15 " + conf + "\n"},
		{"guest", "LC_ALL=C sudo -n -- cat " + conf, "sudo: a password is required\n[001]"},
		{"guest", "touch /etc/x", "touch: cannot touch '/etc/x': Permission denied\n[001]"},
		{"guest", "systemctl restart kubelet", "Failed to restart kubelet.service: Interactive authentication required.\n[004]"},
		{"admin", "apt-get install -y kubeadm", "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n[100]"},
	} {
		if got := said(m, c.user, c.line); got != c.want {
			t.Errorf("%s: %s\nsaid %q\nwant %q", c.user, c.line, got, c.want)
		}
	}
}

func TestPowerEndsEverythingButTheDisk(t *testing.T) {
	m := start(t, nil)
	said(m, "root", "echo kept > /var/lib/kept; echo lost > /run/lost; systemd-run --no-block --unit=job -- sh -c 'sleep 100; echo late > /var/lib/late'")
	boot := m.BootID()
	m.Stop()
	if m.Up() || m.Run(t.Context(), "true", "root", nil, nil, nil) != -1 {
		t.Error("it runs without power")
	}
	m.Start()
	if m.BootID() == boot {
		t.Error("the boot id is the same")
	}
	if got := said(m, "root", "cat /var/lib/kept; test -e /run/lost || systemctl show -p LoadState job"); got != "kept\nLoadState=not-found\n" {
		t.Errorf("after the boot: %q", got)
	}
}

// Wherever the power goes, no process that ran then writes any more.
func TestNothingIsWrittenAfterThePowerWent(t *testing.T) {
	m := start(t, func(o *machine.Options) { o.Pace = 0.001 })
	for range 20 {
		go said(m, "root", "while true; do echo x >> /var/lib/log; done")
		await(t, "it writes", func() bool { return m.Exists("/var/lib/log") })
		m.Stop()
		before, _ := m.ReadFile("/var/lib/log")
		time.Sleep(2 * time.Millisecond)
		if after, _ := m.ReadFile("/var/lib/log"); len(after) != len(before) {
			t.Fatalf("%d bytes, then %d", len(before), len(after))
		}
		_ = m.Remove("/var/lib/log")
		m.Start()
	}
}

func TestUnits(t *testing.T) {
	m := start(t, nil)
	const begin = "systemd-run --quiet --unit=u --property=Type=oneshot --property=RemainAfterExit=yes "
	for _, c := range []struct{ line, want string }{
		{begin + "-- sh -c 'echo out; exit 3'", "Job for u.service failed because the control process exited with error code.\nSee \"systemctl status u.service\" and \"journalctl -xeu u.service\" for details.\n[001]"},
		{"systemctl show --property=ActiveState,Result,ExecMainStatus u", "Result=exit-code\nExecMainStatus=3\nActiveState=failed\n"},
		{begin + "-- true", "Failed to start transient service unit: Unit u.service was already loaded or has a fragment file.\n[001]"},
		{"journalctl --sync; journalctl -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value u)", "out\n"},
		{"systemctl reset-failed u; systemctl show -p LoadState u", "LoadState=not-found\n"},
		{begin + "--no-block --setenv=A=b -- sh -c 'echo $$A; sleep 100'; while test $(systemctl is-active u) = inactive; do :; done; systemctl is-active u", "activating\n[003]"},
		{"systemctl kill -s KILL u; while test $(systemctl is-active u) = activating; do :; done; systemctl show --property=Result,ExecMainStatus u", "Result=signal\nExecMainStatus=9\n"},
		{"systemctl reset-failed; " + begin + "-- sh -c 'echo $$$$ ${A}x'; systemctl show -p SubState u; systemctl stop u", "SubState=exited\n"},
	} {
		if got := said(m, "root", c.line); got != c.want {
			t.Errorf("%s\nsaid %q\nwant %q", c.line, got, c.want)
		}
	}
}

func TestHooks(t *testing.T) {
	var events []string
	m := start(t, func(o *machine.Options) {
		o.Hook = func(_ context.Context, e machine.Event) {
			if e.When != machine.During {
				events = append(events, string(e.When)+" "+e.What)
			}
		}
	})
	said(m, "root", "apt-get install -y --allow-change-held-packages kubectl=1.36.3-1.1; systemd-run --unit=a --property=Type=oneshot -- echo x")
	want := "before apt-get"
	if len(events) < 4 || !strings.HasPrefix(events[0], want) || events[1] != "before echo x" || events[2] != "after echo x" || !strings.HasPrefix(events[3], "after apt-get") {
		t.Errorf("events: %q", events)
	}
	t.Run("a connection that is cut before a command", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if code := m.Run(ctx, "touch /run/ran", "root", nil, nil, nil); code != -1 || m.Exists("/run/ran") {
			t.Errorf("it ran, %d", code)
		}
	})
	t.Run("a connection that is lost later", func(t *testing.T) {
		if code := m.Run(t.Context(), "touch /run/begun; cat /etc/hostname; touch /run/ended", "root", nil, broken{}, broken{}); code != 128+13 || !m.Exists("/run/begun") {
			t.Errorf("exit code %d, want that of SIGPIPE", code)
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestAptNeedsWhatTheRealOneNeeds(t *testing.T) {
	m := start(t, nil)
	if got := said(m, "root", "apt-get install -y kubeadm=1.37.2-1.1"); !strings.HasSuffix(got, "E: Version '1.37.2-1.1' for 'kubeadm' was not found\n[100]") {
		t.Errorf("before the switch: %q", got)
	}
	list := func(minor string) string {
		return "echo 'deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] https://pkgs.k8s.io/core:/stable:/" + minor + "/deb/ /' > /etc/apt/sources.list.d/kubernetes.list; apt-get update"
	}
	if got := said(m, "root", list("v1.99")); !strings.Contains(got, "404  Not Found") || !strings.HasSuffix(got, "does not have a Release file.\n[100]") {
		t.Errorf("a minor that is not there: %q", got)
	}
	if got := said(m, "root", "mv /etc/apt/keyrings/kubernetes-apt-keyring.gpg /run/key; "+list("v1.37")+"; mv /run/key /etc/apt/keyrings/kubernetes-apt-keyring.gpg"); !strings.Contains(got, "is not signed") {
		t.Errorf("without the key: %q", got)
	}
	if got := said(m, "root", list("v1.37")+" >/dev/null; apt-cache madison kubeadm"); strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, "   kubeadm | 1.37.2-1.1 | ") {
		t.Errorf("madison: %q", got)
	}
	m.LockPackages(true)
	if got := said(m, "root", "apt-get install -y --allow-change-held-packages kubeadm=1.37.2-1.1"); !strings.Contains(got, "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process ") {
		t.Errorf("locked: %q", got)
	}
	if got := said(m, "root", "apt-mark hold -o DPkg::Lock::Timeout=300 kubeadm"); !strings.HasPrefix(got, "dpkg: error: dpkg frontend lock was locked by another process") {
		t.Errorf("locked: %q", got)
	}
	m.LockPackages(false)
	if got := said(m, "root", "apt-get install -y --allow-change-held-packages kubeadm=1.37.2-1.1 >/dev/null; apt-mark showhold"); got != "kubectl\nkubelet\n" || m.InstalledVersion("kubeadm") != v137 {
		t.Errorf("holds: %q, installed %s", got, m.InstalledVersion("kubeadm"))
	}
}

func TestDpkgKilledInTheMiddle(t *testing.T) {
	for point, left := range map[string]string{"dpkg: unpacking kubectl": "iH", "dpkg: kubectl unpacked": "iU", "dpkg: configuring kubectl": "iF"} {
		t.Run(point, func(t *testing.T) {
			var done atomic.Bool
			m := start(t, func(o *machine.Options) {
				o.Hook = func(_ context.Context, e machine.Event) {
					if e.What == point && done.CompareAndSwap(false, true) {
						said(e.Machine, "root", "systemctl kill -s KILL i")
					}
				}
			})
			install := "apt-get install -y --allow-downgrades --allow-change-held-packages kubectl=1.37.2-1.1"
			said(m, "root", "echo 'deb [trusted=yes] https://pkgs.k8s.io/core:/stable:/v1.37/deb/ /' > /etc/apt/sources.list.d/kubernetes.list; apt-get update; systemd-run --unit=i --property=Type=oneshot -- "+install)
			if got := said(m, "root", "dpkg-query -W -f '${db:Status-Abbrev}' kubectl"); got != left+" " {
				t.Errorf("left behind: %q, want %q", got, left)
			}
			if got := said(m, "root", install); !strings.HasPrefix(got, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'") {
				t.Errorf("apt said %q", got)
			}
			if got := said(m, "root", "dpkg --configure -a >/dev/null; "+install+" >/dev/null; dpkg-query -W -f '${Version} ${db:Status-Abbrev}' kubectl"); got != "1.37.2-1.1 ii " {
				t.Errorf("in the end: %q", got)
			}
		})
	}
}

func TestKubeletCrashes(t *testing.T) {
	var runs atomic.Int32
	m := start(t, func(o *machine.Options) {
		o.Kubelet = func(ctx context.Context, _ *machine.Machine, _ upgrade.Version) error {
			runs.Add(1)
			<-ctx.Done()
			return nil
		}
	})
	m.CrashKubelet()
	await(t, "it runs again", func() bool { return runs.Load() == 2 })
	if got := said(m, "root", "systemctl show -p NRestarts,ActiveState kubelet"); got != "NRestarts=1\nActiveState=active\n" {
		t.Errorf("%q", got)
	}
	m.SetHealthz(false)
	if got := said(m, "root", "curl --silent --show-error --fail http://127.0.0.1:10248/healthz"); got != "curl: (22) The requested URL returned error: 500\n[022]" {
		t.Errorf("%q", got)
	}
}

func TestRocky(t *testing.T) {
	m := start(t, func(o *machine.Options) { o.Distro = machine.Rocky })
	for _, c := range []struct{ line, want string }{
		{"rpm -q kubeadm nope", "kubeadm-1.36.3-150500.1.1.x86_64\npackage nope is not installed\n[001]"},
		{"apt-get update", "sh: 1: apt-get: not found\n[127]"},
		{"dnf install -y 'kubeadm-1.36.*'", "All matches were filtered out by exclude filtering for argument: kubeadm-1.36.*\nError: Unable to find a match: kubeadm-1.36.*\n[001]"},
		{"dnf --repo=nope makecache", "Error: Unknown repo: 'nope'\n[001]"},
		{"zypper locks", "sh: 1: zypper: not found\n[127]"},
		{"rpm --query --queryformat '%{NAME} %{EVR}\\n' kubelet nope nix", "kubelet 1.36.3-150500.1.1\npackage nope is not installed\npackage nix is not installed\n[002]"},
		{"echo >> /usr/bin/kubelet; rm /usr/bin/kubectl; rpm --verify --nomtime kubeadm kubelet kubectl", "S.5......    /usr/bin/kubelet\nmissing     /usr/bin/kubectl\n[002]"},
		{"dnf install -y kubeadm-1.37.2 --disableexcludes=kubernetes", "No match for argument: kubeadm-1.37.2\nError: Unable to find a match: kubeadm-1.37.2\n[001]"},
	} {
		if got := said(m, "root", c.line); got != c.want {
			t.Errorf("%s\nsaid %q\nwant %q", c.line, got, c.want)
		}
	}
	text, err := m.ReadFile("/etc/yum.repos.d/kubernetes.repo")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile("/etc/yum.repos.d/kubernetes.repo", []byte(strings.ReplaceAll(string(text), "v1.36", "v1.37")), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := said(m, "root", "dnf install -y 'kubeadm-1.37.2-*' --disableexcludes=kubernetes; kubeadm version -o short"); !strings.HasSuffix(got, "Complete!\nv1.37.2\n") {
		t.Errorf("%q", got)
	}
}

func TestSUSE(t *testing.T) {
	m := start(t, func(o *machine.Options) { o.Distro = machine.SUSE })
	for _, c := range []struct{ line, want string }{
		{"rpm -q kubeadm", "kubeadm-1.36.3-150500.1.1.x86_64\n"},
		{"dnf --version", "sh: 1: dnf: not found\n[127]"},
		{"zypper locks", "1 | kubeadm | package | (any)\n2 | kubectl | package | (any)\n3 | kubelet | package | (any)\n"},
		{"zypper --non-interactive install --zzz kubeadm", "zypper: unrecognized option '--zzz'\nTry 'zypper --help' for more information.\n[002]"},
		{"zypper --xmlout search --match-exact nope", "<?xml version='1.0'?>\n<stream>\n<message type=\"info\">Loading repository data...</message>\n<message type=\"info\">No matching items found.</message>\n</stream>\n[104]"},
		{"zypper install kubeadm=1.37.2-150500.1.1", "No provider of 'kubeadm=1.37.2-150500.1.1' found.\n[104]"},
		{"sed -i s/v1.36/v1.37/ /etc/zypp/repos.d/kubernetes.repo", ""},
		{"zypper refresh >/dev/null; zypper install kubeadm=1.37.2-150500.1.1", "Problem: conflicting requests\n Solution 1: Following actions will be done:\n  remove lock to allow installation of kubeadm-1.37.2-150500.1.1.x86_64[kubernetes]\n" +
			"Choose from above solutions by number or skip, retry or cancel [1/2/s/r/c/d/?] (c): c\n[004]"},
		{"rm /etc/zypp/locks; zypper install kubeadm=1.37.2-150500.1.1 >/dev/null; kubeadm version -o short", "v1.37.2\n"},
	} {
		if strings.HasPrefix(c.line, "sed") {
			text, err := m.ReadFile("/etc/zypp/repos.d/kubernetes.repo")
			if err == nil {
				err = m.WriteFile("/etc/zypp/repos.d/kubernetes.repo", []byte(strings.ReplaceAll(string(text), "v1.36", "v1.37")), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got := said(m, "root", c.line); got != c.want {
			t.Errorf("%s\nsaid %q\nwant %q", c.line, got, c.want)
		}
	}
	m.LockPackages(true)
	if got := said(m, "root", "zypper install kubectl=1.37.2-150500.1.1"); !strings.HasPrefix(got, "System management is locked by the application with pid ") {
		t.Errorf("%q", got)
	}
}
