package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var (
	v137 = upgrade.MustVersion("v1.37.2")
	v136 = upgrade.MustVersion("v1.36.3")
)

const (
	debian     = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"
	sourceList = "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] https://pkgs.k8s.io/core:/stable:/v1.36/deb/ /\n"
	mirrored   = "https://pkgs.k8s.io/core:/stable:"
)

func manifestOf(component, version string) string {
	return "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: " + component + "\n    image: registry.k8s.io/" + component + ":" + version +
		"\n    command:\n    - " + component + "\n    - --etcd-servers=https://127.0.0.1:2379\n"
}

// controlPlane are the answers of a control plane whose manifests are at version.
func controlPlane(version string) []answer {
	var all []answer
	for _, c := range upgrade.ControlPlaneComponents {
		all = append(all, answer{when: "cat " + manifest(c), stdout: manifestOf(c, version)})
	}
	return append(all, answer{when: "find /etc/kubernetes/manifests/kube-apiserver.yaml", stdout: manifest(upgrade.APIServer) + "\n" +
		manifest(upgrade.ControllerManager) + "\n" + manifest(upgrade.Scheduler) + "\n"})
}

func TestKubeadmUpgradeApply(t *testing.T) {
	answers := []answer{
		{when: "pgrep", exit: 1},
		{when: "kubeadm version -o short", stdout: "v1.37.2\n"},
		{when: "find /etc/kubernetes/tmp", exit: 1},
		{when: "test -e"},
	}
	answers = append(answers, freshJob("pawl-kubeadm-upgrade-apply-v1.37.2", jobDone, "")...)
	h, s := hosted(t, append(answers, controlPlane("v1.37.2")...)...)
	if err := h.KubeadmUpgradeApply(t.Context(), v137, []string{"SystemVerification", "CreateJob"}); err != nil {
		t.Fatal(err)
	}
	s.golden("kubeadm-upgrade-apply")
}

func TestKubeadmThatRunsIsOnlyAwaited(t *testing.T) {
	answers := runningJob("pawl-kubeadm-upgrade-node-v1.37.2", jobDone, "")
	h, s := hosted(t, append(answers, controlPlane("v1.37.2")...)...)
	if err := h.KubeadmUpgradeNode(t.Context(), v137, true, nil); err != nil {
		t.Fatal(err)
	}
	s.golden("kubeadm-upgrade-node-awaited")
}

func TestKubeadmThatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		kind   fault.Kind
		says   []string
	}{
		"preflight": {"[preflight] Some fatal errors occurred:\n\t[ERROR CoreDNSMigration]: CoreDNS cannot migrate\n\t[ERROR CreateJob]: timed out\n",
			fault.PreflightFailed, []string{"CoreDNSMigration: CoreDNS cannot migrate", "CreateJob: timed out", "ignorePreflightErrors"}},
		"other": {"[upgrade] static pods\nerror: couldn't upgrade control plane\n", fault.CommandFailed,
			[]string{"exit-code, status 1", "couldn't upgrade control plane"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := hosted(t, runningJob("pawl-kubeadm-upgrade-node-v1.37.2", jobFailed, c.output)...)
			wantFault(t, h.KubeadmUpgradeNode(t.Context(), v137, false, nil), c.kind, c.says...)
			if !s.ran("systemctl reset-failed pawl-kubeadm-upgrade-node-v1.37.2.service") {
				t.Error("the unit is not forgotten")
			}
		})
	}
}

func TestKubeadmTookAControlPlaneForAWorker(t *testing.T) {
	answers := runningJob("pawl-kubeadm-upgrade-node-v1.37.2", jobDone, "")
	h, _ := hosted(t, append(answers, controlPlane("v1.36.3")...)...)
	wantFault(t, h.KubeadmUpgradeNode(t.Context(), v137, true, nil), fault.VerificationFailed, "kube-apiserver is v1.36.3", "wanted v1.37.2")
}

func TestKubeadmIsNotStarted(t *testing.T) {
	absent := answer{when: "systemctl show", stdout: jobAbsent}
	for name, c := range map[string]struct {
		answers []answer
		kind    fault.Kind
		says    string
	}{
		"another kubeadm runs": {[]answer{absent, {when: "pgrep", stdout: "4711\n"}}, fault.Conflict, "process 4711"},
		"wrong version": {[]answer{absent, {when: "pgrep", exit: 1}, {when: "kubeadm version", stdout: "v1.36.3\n"}},
			fault.PreflightFailed, "kubeadm is v1.36.3, wanted v1.37.2"},
		"no kubeadm": {[]answer{absent, {when: "pgrep", exit: 1}, {when: "kubeadm version", exit: 127, stderr: "sh: kubeadm: not found"}},
			fault.PreflightFailed, "kubeadm is not installed"},
		"a manifest is missing without a backup": {[]answer{absent, {when: "pgrep", exit: 1}, {when: "kubeadm version", stdout: "v1.37.2\n"},
			{when: "find /etc/kubernetes/tmp", exit: 1}, {when: "test -e", exit: 1}}, fault.PreflightFailed, "kube-apiserver.yaml is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := hosted(t, c.answers...)
			wantFault(t, h.KubeadmUpgradeApply(t.Context(), v137, nil), c.kind, c.says)
			if s.ran("systemd-run") {
				t.Error("kubeadm was started")
			}
		})
	}
}

func TestMissingManifestIsRestoredFromTheNewestBackup(t *testing.T) {
	const tmp = "/etc/kubernetes/tmp/kubeadm-backup-manifests-"
	h, s := hosted(t,
		answer{when: "find /etc/kubernetes/tmp", stdout: tmp + "2026-11-23-07-18-13/kube-apiserver.yaml\n" + tmp + "2026-11-23-09-00-00/kube-apiserver.yaml\n" +
			tmp + "2026-11-23-08-00-00/etcd.yaml\n" + tmp + "2025-01-01-08-00-00/kube-apiserver.yaml\n"},
		answer{when: "test -e /etc/kubernetes/manifests/kube-apiserver.yaml", exit: 1},
		answer{when: "test -e"}, answer{when: "cp"}, answer{when: "sync"}, answer{when: "mv"},
		answer{when: "kubectl", exit: 1, stderr: "connection refused", once: true}, answer{when: "kubectl"},
	)
	if err := h.restoreManifests(t.Context(), "kubeadm upgrade node"); err != nil {
		t.Fatal(err)
	}
	s.golden("restore-manifest")
}

func TestExternalEtcdHasNoManifest(t *testing.T) {
	external := answer{when: "cat " + manifest(upgrade.APIServer),
		stdout: strings.ReplaceAll(manifestOf(upgrade.APIServer, "v1.37.2"), "127.0.0.1", "10.0.0.5")}
	for name, c := range map[string]struct {
		answers []answer
		fails   bool
	}{
		"external": {append([]answer{external}, controlPlane("v1.37.2")...), false},
		"stacked":  {controlPlane("v1.37.2"), true},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := hosted(t, append([]answer{{when: "find /etc/kubernetes/tmp", exit: 1}, {when: "test -e /etc/kubernetes/manifests/etcd.yaml", exit: 1},
				{when: "test -e"}}, c.answers...)...)
			if err := h.restoreManifests(t.Context(), "x"); (err != nil) != c.fails {
				t.Error(err)
			}
		})
	}
}

func TestStaticPodVersions(t *testing.T) {
	h, _ := hosted(t, controlPlane("v1.36.3")...)
	got, err := h.StaticPodVersions(t.Context())
	want := map[string]upgrade.Version{upgrade.APIServer: v136, upgrade.ControllerManager: v136, upgrade.Scheduler: v136}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	h, _ = hosted(t, answer{when: "find", exit: 1})
	if got, err := h.StaticPodVersions(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("worker: %v, %v", got, err)
	}
}

func TestPullImagesFromTheRegistryThatIsUsed(t *testing.T) {
	for name, c := range map[string]struct{ registry, want string }{
		"the community's": {"registry.k8s.io", "-- kubeadm config images pull --kubernetes-version=v1.37.2\n"},
		"a mirror":        {"mirror.example:5000/k8s", "--kubernetes-version=v1.37.2 --image-repository=mirror.example:5000/k8s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			apiServer := answer{when: "cat " + manifest(upgrade.APIServer),
				stdout: strings.ReplaceAll(manifestOf(upgrade.APIServer, "v1.36.3"), "registry.k8s.io", c.registry)}
			answers := append([]answer{apiServer}, controlPlane("v1.36.3")...)
			h, s := hosted(t, append(answers, freshJob("pawl-kubeadm-images-pull-v1.37.2", jobDone, "")[1:]...)...) // looked for once
			if err := h.PullImages(t.Context(), v137); err != nil || !s.ran(c.want) {
				t.Errorf("%v\n%s", err, s.log.String())
			}
		})
	}
}

// aptHost are the answers of a Debian host with Kubernetes 1.36.3 on hold. installed is what dpkg says afterwards.
func aptHost(end, output, installed string) []answer {
	const query = "dpkg-query -W -f ${Package} ${db:Status-Status} ${Version}"
	answers := []answer{
		{when: "cat /etc/os-release", stdout: debian},
		{when: showJob + "pawl-dpkg", stdout: jobAbsent},
		{when: "test -e /var/lib/pawl/apt-holds", exit: 1, once: true},
		{when: query, stdout: "kubeadm installed 1.36.3-1.1\n", once: true},
		{when: query, stdout: installed},
		{when: "dpkg-query -W -f ${db:Status-Status}", stdout: "installed\nconfig-files\n"},
		{when: "find /var/lib/dpkg/updates"},
		{when: "grep", stdout: "/etc/apt/sources.list.d/kubernetes.list\n", exit: 2},
		{when: "cat /etc/apt/sources.list.d/kubernetes.list", stdout: sourceList},
		{when: "/usr/lib/apt/apt-helper download-file"},
		{when: "cat /run/pawl/Release.asc", stdout: "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\nbmV3\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"},
		{when: "cat /etc/apt/keyrings/kubernetes-apt-keyring.gpg", stdout: "old"},
		{when: "cat /var/lib/pawl/apt-holds", stdout: "kubeadm\nkubelet\n"},
		{when: "test -e"}, {when: "install"}, {when: "dd"}, {when: "cp"}, {when: "sed"}, {when: "sync"}, {when: "mv"}, {when: "rm"},
		{when: "apt-get update"},
		{when: "apt-mark showhold", stdout: "kubeadm\nkubelet\n"}, {when: "apt-mark hold"},
		{when: "apt-cache madison", stdout: "   kubeadm | 1.37.2-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages\n" +
			"   kubeadm | 1.37.1-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages\n"},
	}
	return append(answers, freshJob("pawl-apt-install-kubeadm-v1.37.2", end, output)...)
}

func TestInstall(t *testing.T) {
	h, s := hosted(t, aptHost(jobDone, "", "kubeadm installed 1.37.2-1.1\n")...)
	if err := h.Install(t.Context(), mirrored, v137, "kubeadm"); err != nil {
		t.Fatal(err)
	}
	s.golden("install")
}

func TestInstallPutsHoldsBackWhenAptFails(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		kind   fault.Kind
	}{
		"failed": {"E: something\n", fault.CommandFailed},
		"locked": {"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1\n", fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := hosted(t, aptHost(jobFailed, c.output, "")...)
			wantFault(t, h.Install(t.Context(), mirrored, v137, "kubeadm"), c.kind)
			if !s.ran("# apt-mark hold kubeadm kubelet\n# rm -f /var/lib/pawl/apt-holds") {
				t.Errorf("holds are not put back:\n%s", s.log.String())
			}
		})
	}
}

func TestInstallDoesNothingWhenAllIsThere(t *testing.T) {
	h, s := hosted(t,
		answer{when: "cat /etc/os-release", stdout: debian}, answer{when: "systemctl show", stdout: jobAbsent}, answer{when: "test -e", exit: 1},
		answer{when: "dpkg-query", stdout: "kubelet installed 1.37.2-1.1\nkubectl installed 1.37.2-1.1\n"})
	if err := h.Install(t.Context(), mirrored, v137, "kubelet", "kubectl"); err != nil {
		t.Fatal(err)
	}
	s.golden("install-nothing")
}

func TestInstallOfAMissingVersionNamesWhatThereIs(t *testing.T) {
	h, s := hosted(t, append([]answer{{when: "systemctl show", stdout: jobAbsent}}, aptHost(jobDone, "", "")...)...)
	err := h.Install(t.Context(), mirrored, upgrade.MustVersion("v1.37.9"), "kubeadm")
	wantFault(t, err, fault.PreflightFailed, "the package repository has v1.37.1, v1.37.2")
	if s.ran("systemd-run") || s.ran("apt-mark") {
		t.Error("something was done")
	}
}

func TestDownload(t *testing.T) {
	const show = "systemctl show"
	answers := []answer{
		{when: "cat /etc/os-release", stdout: debian},
		{when: show, stdout: jobAbsent, once: true}, {when: show, stdout: jobAbsent, once: true}, {when: show, stdout: jobDone},
		{when: "grep", stdout: "/etc/apt/sources.list.d/kubernetes.list\n"},
		{when: "cat /etc/apt/sources.list.d/kubernetes.list", stdout: sourceList},
		{when: "/usr/lib/apt/apt-helper"}, {when: "install"}, {when: "cp"}, {when: "sed"}, {when: "sync"}, {when: "mv"}, {when: "chmod"}, {when: "apt-get update"},
		{when: "apt-cache madison", stdout: " kubeadm | 1.37.2-1.1 | x\n kubelet | 1.37.2-1.1 | x\n kubectl | 1.37.2-1.1 | x\n"},
		{when: "systemd-run"}, {when: "journalctl"}, {when: "systemctl stop"}, {when: "rm -rf"},
	}
	h, s := hosted(t, answers...)
	if err := h.Download(t.Context(), mirrored, v137); err != nil {
		t.Fatal(err)
	}
	s.golden("download")
}

func TestObserve(t *testing.T) {
	base := []answer{
		{when: "test -n pawl-sudoers-"},
		{when: "df", stdout: "Avail\n41151328256\n"},
		{when: "find /var/lib/etcd", stdout: "/var/lib/etcd\n"},
		{when: "du", stdout: "1000\t/var/lib/etcd\n1000\ttotal\n"},
		{when: "kubeadm version", stdout: "v1.36.3\n"},
		{when: "dpkg-query -W -f ${db:Status-Abbrev}", stdout: "hi \tkubeadm\t1.36.3-1.1\nhi \tkubectl\t1.36.3-1.1\nhi \tkubelet\t1.36.3-1.1\n"},
		{when: "grep -Rs --include=kubeadm-flags.env"},
		{when: "stat --file-system", stdout: "/sys/fs/cgroup cgroup2fs 4096 0 0\n", exit: 1},
		{when: "date", stdout: fmt.Sprintf("%d.000000000\n", time.Now().Unix())},
	}
	t.Run("without minors no repository is asked", func(t *testing.T) {
		h, _ := hosted(t, append(base, answer{when: "cat /etc/os-release", stdout: debian})...)
		got, err := h.Observe(t.Context(), "", nil)
		if err != nil || got.OS != "debian" || got.PackageManager != "apt" || got.Kubeadm != v136 || got.FreeBytes != 41151328256 || got.EtcdBytes != 1000 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	for name, c := range map[string]struct{ release, os, says string }{
		"another package manager": {"ID=flatcar\nID_LIKE=coreos\n", "flatcar", "the operating system is flatcar, wanted one with apt (Debian, Ubuntu), dnf (Red Hat, Fedora) or zypper (SUSE)"},
		"yum alone":               {"ID=\"amzn\"\nID_LIKE=\"centos rhel fedora\"\n", "amzn", "the operating system is amzn without dnf (yum before it is not supported)"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := hosted(t, append(base, answer{when: "cat /etc/os-release", stdout: c.release}, answer{when: "dnf --version", exit: 127})...)
			got, err := h.Observe(t.Context(), "", []upgrade.Version{v137})
			if err != nil || got.OS != c.os || !strings.Contains(got.Problem, c.says) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	t.Run("a host that cannot be reached", func(t *testing.T) {
		gone := fault.New(fault.Unreachable, "connect to", "x", "no", "")
		h, _ := hosted(t, answer{when: "", err: gone})
		if _, err := h.Observe(t.Context(), "", []upgrade.Version{v137}); !errors.Is(err, gone) {
			t.Errorf("%v", err)
		}
	})
	minors := []upgrade.Version{v136, v137, upgrade.MustVersion("v1.38.0")}
	repositories := append(slices.Clone(base), answer{when: "cat /etc/os-release", stdout: debian},
		answer{when: "grep", stdout: "/etc/apt/sources.list.d/kubernetes.list\n"},
		answer{when: "cat /etc/apt/sources.list.d/kubernetes.list", stdout: sourceList},
		answer{when: "mktemp", stdout: "/run/pawl/look.Abcd1234\n"},
		answer{when: "/usr/lib/apt/apt-helper"}, answer{when: "install"}, answer{when: "cp"}, answer{when: "sed"}, answer{when: "sync"}, answer{when: "mv"}, answer{when: "chmod"}, answer{when: "rm -rf"},
		answer{when: "apt-cache madison", stdout: " kubeadm | 1.36.3-1.1 | x\n kubeadm | 1.36.2-1.1 | x\n", once: true},
		answer{when: "apt-cache madison", stdout: " kubeadm | 1.37.2-1.1 | x\n", once: true},
		answer{when: "apt-get update", once: true}, answer{when: "apt-get update", once: true})
	t.Run("every minor up to one without a release", func(t *testing.T) {
		h, _ := hosted(t, slices.Concat(repositories, []answer{{when: "apt-cache madison"}, {when: "apt-get update"}})...)
		got, err := h.Observe(t.Context(), mirrored, append(minors, upgrade.MustVersion("v1.39.0")))
		want := []upgrade.Version{upgrade.MustVersion("v1.36.2"), v136, v137}
		if err != nil || got.Unread.Problem != "" || !slices.Equal(got.Available, want) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a minor's repository that cannot be read", func(t *testing.T) {
		h, _ := hosted(t, slices.Concat(repositories, []answer{{when: "apt-get update", stderr: "E: 404  Not Found", exit: 100}})...)
		got, err := h.Observe(t.Context(), mirrored, minors)
		want := "read the package repository " + mirrored + "/v1.38: apt-get update failed: E: 404  Not Found; " +
			"look whether the repository has that minor and can be reached"
		if err != nil || got.Unread.Problem != want || len(got.Available) != 3 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestRestartKubelet(t *testing.T) {
	const unit = "NRestarts=0\nActiveState=active\nMainPID=337\nNeedDaemonReload=no\nExecMainStartTimestamp=Mon 2026-11-23 07:09:55 UTC\n"
	const after = "NRestarts=0\nActiveState=active\nMainPID=999\nNeedDaemonReload=no\nExecMainStartTimestamp=Mon 2026-11-23 08:00:00 UTC\n"
	replaced := answer{when: "readlink /proc/337/exe", stdout: "/usr/bin/kubelet (deleted)\n"}
	same := answer{when: "readlink", stdout: "/usr/bin/kubelet\n"}
	older, newer := answer{when: "stat", stdout: "1\n2\n"}, answer{when: "stat", stdout: "1\n1795417795\n"}
	for name, c := range map[string]struct {
		unit    string
		answers []answer
		restart bool
	}{
		"as installed":           {unit, []answer{same, older}, false},
		"binary replaced":        {unit, []answer{replaced, same, older}, true},
		"configuration replaced": {unit, []answer{same, newer}, true},
		"unit changed":           {strings.Replace(unit, "Reload=no", "Reload=yes", 1), []answer{same, older}, true},
		"crash loop":             {strings.Replace(unit, "=active", "=activating", 1), []answer{same, older}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := hosted(t, append(c.answers,
				answer{when: "kubelet --version", stdout: "Kubernetes v1.37.2\n"},
				answer{when: "find", stdout: kubeletConfig + "\n" + kubeletFlags + "\n"},
				answer{when: "cat " + kubeletFlags, stdout: "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/x.sock --node-ip=10.0.0.1\"\n"},
				answer{when: "env TZ=UTC systemctl show", stdout: c.unit, once: true},
				answer{when: "env TZ=UTC systemctl show", stdout: after},
				answer{when: "systemctl"})...)
			started, err := h.RestartKubelet(t.Context(), v137)
			if err != nil {
				t.Fatal(err)
			}
			want := "2026-11-23T07:09:55Z"
			if c.restart {
				want = "2026-11-23T08:00:00Z"
			}
			if got := started.Format("2006-01-02T15:04:05Z07:00"); got != want || s.ran("# systemctl restart kubelet.service") != c.restart {
				t.Errorf("started %s, want %s\n%s", got, want, s.log.String())
			}
		})
	}
	h, _ := hosted(t, answer{when: "kubelet --version", stdout: "Kubernetes v1.36.3\n"})
	_, err := h.RestartKubelet(t.Context(), v137)
	wantFault(t, err, fault.PreflightFailed, "the installed kubelet is v1.36.3")

	h, s := hosted(t, answer{when: "kubelet --version", stdout: "Kubernetes v1.37.2\n"}, answer{when: "find", stdout: kubeletFlags + "\n"},
		answer{when: "cat", stdout: "KUBELET_KUBEADM_ARGS=\"--pod-infra-container-image=registry.k8s.io/pause:3.10\"\n"})
	_, err = h.RestartKubelet(t.Context(), v137)
	wantFault(t, err, fault.PreflightFailed, "sets --pod-infra-container-image, which the kubelet does not know since v1.35")
	if s.ran("systemctl restart") {
		t.Error("it was restarted")
	}
}

func TestKubeletHealthy(t *testing.T) {
	active := answer{when: "env TZ=UTC systemctl show", stdout: "ActiveState=active\nNRestarts=0\n"}
	for name, c := range map[string]struct {
		answers []answer
		says    string
	}{
		"healthy":      {[]answer{active, {when: "find", exit: 1}, {when: "curl", stdout: "ok"}}, ""},
		"crash loop":   {[]answer{{when: "env", stdout: "ActiveState=activating\nNRestarts=17\n"}}, "restarted 17 times"},
		"silent":       {[]answer{active, {when: "find", exit: 1}, {when: "curl", exit: 7, stderr: "curl: (7) Failed to connect"}}, "http://127.0.0.1:10248/healthz: curl: (7)"},
		"no curl":      {[]answer{active, {when: "find", exit: 1}, {when: "curl", exit: 127}}, "install curl"},
		"switched off": {[]answer{active, {when: "find", stdout: kubeletConfig + "\n"}, {when: "cat", stdout: "healthzPort: 0\n"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := hosted(t, c.answers...)
			err := h.KubeletHealthy(t.Context())
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestBackUpRefusesWithoutRoom(t *testing.T) {
	h, s := hosted(t,
		answer{when: "test -e", exit: 1}, answer{when: "cat /etc/os-release", stdout: debian},
		answer{when: "find", stdout: "/etc/kubernetes\n"}, answer{when: "du", stdout: "1048576\ttotal\n"}, answer{when: "install"},
		answer{when: "df", stdout: "Avail\n1048576\n"})
	_, err := h.BackUp(t.Context(), "before-v1.37.2", nil)
	wantFault(t, err, fault.PreflightFailed, "has 1 MiB free, wanted 65 MiB")
	if s.ran("tar") {
		t.Error("it was begun")
	}
}

func TestBackUpNames(t *testing.T) {
	for _, id := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a b"} {
		h, _ := hosted(t)
		_, err := h.BackUp(t.Context(), id, nil)
		wantFault(t, err, fault.InvalidInput)
	}
	for _, name := range []string{"../x", remote.SumsFile, remote.ArchiveFile} {
		h, _ := hosted(t)
		_, err := h.BackUp(t.Context(), "id", map[string]string{name: ""})
		wantFault(t, err, fault.InvalidInput)
	}
	h, _ := hosted(t)
	wantFault(t, h.KeepSnapshot(t.Context(), "id", "/var/lib/etcd/../x", upgrade.Snapshot{}), fault.InvalidInput)
}
