//go:build linux

package host_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// realRPM is a machine with the real dnf or zypper, Kubernetes 1.36.3 and repositories.
type realRPM struct {
	*rootfs
	host       *host.Host
	repository *rpmRepository
	manager    string
	repo       string // the file of the repository
}

// rpmState is what the installation of a package may not change on its own, and a download and a look not at all.
const rpmState = `rpm -qa | sort; cd /etc; find dnf yum.repos.d zypp rpm -type f -exec stat -c '%a %n' {} + -exec sha256sum {} +; ls -A /run/pawl 2>/dev/null || true`

const kubernetesRepo = `# made by hand
[other]
name=Other
baseurl=%s/gone/
enabled=1
gpgcheck=0

[kubernetes]
name=Kubernetes
baseurl=%s/v1.36/rpm/
enabled=1
gpgcheck=1
gpgkey=%s/v1.36/rpm/repodata/repomd.xml.key
`

func newRealRPM(t *testing.T, manager string) *realRPM {
	t.Helper()
	if _, err := exec.LookPath(manager); err != nil {
		lack(t, "there is no "+manager+"; make deps installs it")
	}
	repository := newRPMRepository(t)
	b := &realRPM{rootfs: newRootfs(t), repository: repository, manager: manager, repo: "/etc/yum.repos.d/kubernetes.repo"}
	release, exclude := `ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n`, "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n"
	if manager == "zypper" {
		release, exclude, b.repo = `ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n`, "", "/etc/zypp/repos.d/kubernetes.repo"
	}
	text := strings.ReplaceAll(kubernetesRepo, "%s", repository.URL) + exclude
	b.sh("mkdir -p /etc/yum.repos.d /etc/zypp/repos.d /etc/rpm /etc/dnf; echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros; rm -rf /var/lib/rpm /var/cache/dnf /var/cache/zypp /etc/zypp/locks; " +
		"rm -f /etc/os-release; printf \"" + release + "\" > /etc/os-release; cat > " + b.repo + " <<'END'\n" + text + "END\nchmod 640 " + b.repo)
	packages := "rpm -i --nodeps --nosignature " + repository.URL + "/base-1-1.rpm 2>/dev/null; rpm --import " + repository.URL + "/v1.36/rpm/repodata/repomd.xml.key"
	for _, pkg := range []string{"kubernetes-cni-1.5.0-150500.1.1", "kubeadm-1.36.3-150500.1.1", "kubectl-1.36.3-150500.1.1", "kubelet-1.36.3-150500.1.1", "vim-1-1"} {
		packages += "; rpm -i " + repository.URL + "/v1.36/rpm/" + pkg + ".rpm 2>/dev/null"
	}
	b.sh("set -e; " + packages)
	repository.asked()
	b.host = host.New("n1", host.Listed(t, sudoers.Kind(manager), repository.URL, b))
	host.SetPace(b.host, 0.2)
	return b
}

// onRPM runs a check over both package managers.
func onRPM(t *testing.T, check func(t *testing.T, b *realRPM)) {
	unlessLab(t)
	for _, manager := range []string{"dnf", "zypper"} {
		t.Run(manager, func(t *testing.T) { check(t, newRealRPM(t, manager)) })
	}
}

func (b *realRPM) install(t *testing.T, v upgrade.Version, packages ...string) {
	t.Helper()
	if err := b.host.Install(t.Context(), b.repository.URL, v, packages...); err != nil {
		t.Fatal(err)
	}
}

// installed are the versions of kubeadm, kubectl, kubelet, kubernetes-cni and vim.
func (b *realRPM) installed() string {
	return strings.Join(strings.Fields(b.sh("rpm -q --qf '%{VERSION} ' kubeadm kubectl kubelet kubernetes-cni vim")), " ")
}

func TestRealRPMObserveAndDownloadChangeNothing(t *testing.T) {
	onRPM(t, func(t *testing.T, b *realRPM) {
		b.sh("mkdir -p /run/pawl")
		before := b.sh(rpmState)
		unchanged := func(after string) {
			t.Helper()
			if got := b.sh(rpmState); got != before {
				t.Errorf("after %s:\n%s\nwas:\n%s", after, got, before)
			}
		}
		v1371 := upgrade.MustVersion("v1.37.1")
		seen, err := b.host.Observe(t.Context(), b.repository.URL, []upgrade.Version{v136, v137, upgrade.MustVersion("v1.38.0")})
		if err != nil || seen.PackageManager != b.manager || seen.Kubeadm != v136 || seen.Kubelet != v136 || !slices.Equal(seen.Available, []upgrade.Version{v136, v1371, v137}) ||
			seen.Problem != "" || !strings.Contains(seen.Unread.Problem, "/v1.38: ") || len(seen.Packages) != 0 {
			t.Errorf("%+v, %v", seen, err)
		}
		t.Log(seen.Unread.Problem)
		unchanged("a look")
		seen, err = b.host.Observe(t.Context(), "https://elsewhere.example/core:/stable:", []upgrade.Version{v137})
		if err != nil || !strings.Contains(seen.Unread.Problem, "no package repository names https://elsewhere.example/") {
			t.Errorf("another repository: %+v, %v", seen, err)
		}
		b.repository.asked()
		for range 2 {
			if err := b.host.Download(t.Context(), b.repository.URL, v137); err != nil {
				t.Fatal(err)
			}
			unchanged("a download")
		}
		for _, pkg := range []string{"kubeadm", "kubelet", "kubectl"} {
			if n := b.repository.count(pkg + "-1.37.2-150500.1.1.rpm"); n != 1 {
				t.Errorf("%s was fetched %d times", pkg, n)
			}
		}
		b.repository.asked()
		b.install(t, v137, "kubeadm")
		b.install(t, v137, "kubelet", "kubectl")
		if asked := b.repository.asked(); slices.ContainsFunc(asked, func(name string) bool { return strings.HasSuffix(name, ".rpm") }) {
			t.Errorf("packages are fetched again: %v", asked)
		}
		err = b.host.Download(t.Context(), b.repository.URL, upgrade.MustVersion("v1.37.9"))
		wantFault(t, err, fault.PreflightFailed, "the package repository has v1.37.1, v1.37.2")
	})
}

func TestRealRPMInstallMovesOnlyThese(t *testing.T) {
	onRPM(t, func(t *testing.T, b *realRPM) {
		locks := b.lock()
		if got := b.installed(); got != "1.36.3 1.36.3 1.36.3 1.5.0 1" {
			t.Fatalf("before: %s", got)
		}
		repo := b.sh("cat " + b.repo)
		if err := b.host.Download(t.Context(), b.repository.URL, v137); err != nil {
			t.Error(err)
		}
		b.install(t, v137, "kubeadm")
		if got := b.installed(); got != "1.37.2 1.36.3 1.36.3 1.5.0 1" {
			t.Errorf("after kubeadm: %s", got)
		}
		b.install(t, v137, "kubelet", "kubectl")
		if got := b.installed(); got != "1.37.2 1.37.2 1.37.2 1.5.0 1" {
			t.Errorf("after all: %s", got)
		}
		if got, want := b.sh("cat "+b.repo+"; stat -c %a "+b.repo), strings.ReplaceAll(repo, "/v1.36/", "/v1.37/")+"640\n"; got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", b.repo, got, want)
		}
		locks(t)

		before := b.sh(rpmState)
		b.begun("")
		b.repository.asked()
		b.install(t, v137, "kubeadm", "kubelet", "kubectl")
		if ran := b.begun("systemd-run"); len(ran) > 0 || len(b.repository.asked()) > 0 {
			t.Errorf("what is there is installed again: %v", ran)
		}
		if got := b.sh(rpmState); got != before {
			t.Errorf("the host changed:\n%s\nwas:\n%s", got, before)
		}
		wantFault(t, b.host.Install(t.Context(), b.repository.URL, upgrade.MustVersion("v1.37.9"), "kubeadm"), fault.PreflightFailed, "has v1.37.1, v1.37.2")
		if list := b.backup(t); !strings.Contains(list, "kubelet 1.37.2-150500.1.1 x86_64\n") {
			t.Errorf("packages.txt: %s", list)
		}
	})
}

// lock locks the packages as the machine's people would, sees that this is in the way, and returns a check that the locks are
// still there.
func (b *realRPM) lock() func(t *testing.T) {
	if b.manager == "zypper" {
		b.sh("zypper --non-interactive addlock kubeadm 'kubel*' kubectl vim")
		before := b.sh("cat /etc/zypp/locks")
		return func(t *testing.T) {
			t.Helper()
			if got := b.sh("cat /etc/zypp/locks"); got != before {
				t.Errorf("locks:\n%s\nwere:\n%s", got, before)
			}
			if got := b.sh("zypper --non-interactive --no-refresh install --oldpackage kubelet=1.37.1-150500.1.1 2>&1 || true"); !strings.Contains(got, "remove lock") {
				t.Errorf("the kubelet is not locked: %s", got)
			}
		}
	}
	plugins := filepath.Join("..", "..", "bin", "dnf-plugins-core")
	archive, err := exec.Command("tar", "-C", plugins, "-c", ".").Output()
	if err != nil {
		lack(b.t, "there is no "+plugins+"; make deps puts it there")
	}
	unpack := b.command([]string{"tar", "-C", "/", "--keep-directory-symlink", "-x"}, nil)
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.sh("dnf versionlock add kubeadm kubelet kubectl vim")
	return func(t *testing.T) {
		t.Helper()
		var got []string
		for _, line := range strings.Split(b.sh("grep -v '^#' /etc/dnf/plugins/versionlock.list"), "\n") {
			if line != "" {
				got = append(got, line)
			}
		}
		slices.Sort(got)
		want := []string{"kubeadm-0:1.37.2-150500.1.1.*", "kubectl-0:1.37.2-150500.1.1.*", "kubelet-0:1.37.2-150500.1.1.*", "vim-0:1-1.*"}
		if !slices.Equal(got, want) {
			t.Errorf("locks: %q, want %q", got, want)
		}
		if got := b.sh("dnf install -y --repo=kubernetes --setopt=disable_excludes=kubernetes kubelet-1.37.1-150500.1.1 2>&1 || true"); !strings.Contains(got, "All matches were filtered out by exclude filtering") {
			t.Errorf("the kubelet is not locked: %s", got)
		}
	}
}

// backup makes one and returns its list of packages.
func (b *realRPM) backup(t *testing.T) string {
	t.Helper()
	folder, err := b.host.BackUp(t.Context(), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.sh("tar -tf " + folder + "/files.tar " + b.repo[1:])
	return b.sh("cat " + folder + "/packages.txt")
}

// What is cut off has put files in place, and perhaps not run scripts nor taken the old package away.
func TestRealRPMKilledInTheMiddle(t *testing.T) {
	onRPM(t, func(t *testing.T, b *realRPM) {
		unit := "pawl-" + b.manager + "-install-kubelet-kubectl-v1.37.2"
		b.sh("touch /run/pawl-slow")
		done := make(chan error)
		go func() {
			done <- b.host.Install(context.WithoutCancel(t.Context()), b.repository.URL, v137, "kubelet", "kubectl")
		}()
		b.await("/run/pawl-inside")
		b.killJob(unit)
		err := <-done
		wantFault(t, err, fault.CommandFailed)
		t.Log(err)
		b.sh("rm /run/pawl-slow /run/pawl-inside; rm -f /run/pawl-scripts")
		left := b.sh("rpm -q kubelet kubectl | sort")
		t.Logf("left behind:\n%s", left)
		if strings.Count(left, "\n") != 3 {
			t.Fatal("no package is recorded twice")
		}
		seen, err := b.host.Observe(t.Context(), b.repository.URL, nil)
		if err != nil || len(seen.Packages) != 1 || seen.Packages[0].State != upgrade.PackageTwice {
			t.Errorf("%+v, %v, %v", seen.Packages, seen.NotObserved, err)
		}
		b.install(t, v137, "kubelet", "kubectl")
		if got := b.installed(); got != "1.36.3 1.37.2 1.37.2 1.5.0 1" {
			t.Errorf("after the second time: %s", got)
		}
		if got := b.sh("sort /run/pawl-scripts; kubelet --version; rpm -V kubelet kubectl kubeadm"); got != "kubectl 1.37.2\nkubelet 1.37.2\nKubernetes v1.37.2\n" {
			t.Errorf("scripts, version, verification: %q", got)
		}
	})
}

// A pawl that is cut off leaves the job alone, and the next one waits for it.
func TestRealRPMJobIsAdopted(t *testing.T) {
	onRPM(t, func(t *testing.T, b *realRPM) {
		b.sh("touch /run/pawl-slow")
		short, cancel := context.WithCancel(t.Context())
		go func() {
			b.await("/run/pawl-inside")
			cancel()
		}()
		if err := b.host.Install(short, b.repository.URL, v137, "kubeadm"); err == nil {
			t.Fatal("it was not cut off")
		}
		b.sh("rm /run/pawl-slow")
		b.begun("")
		b.install(t, v137, "kubeadm")
		if ran := b.begun("systemd-run"); len(ran) > 0 || b.installed() != "1.37.2 1.36.3 1.36.3 1.5.0 1" {
			t.Errorf("began again: %v; installed: %s", ran, b.installed())
		}
		if got := b.sh("cat /run/pawl-scripts | grep -c 1.37.2"); got != "1\n" {
			t.Errorf("the script ran %s times", got)
		}
	})
}

func TestRealRPMStates(t *testing.T) {
	onRPM(t, func(t *testing.T, b *realRPM) {
		states := func() (all []string) {
			t.Helper()
			seen, err := b.host.Observe(t.Context(), b.repository.URL, nil)
			if err != nil || len(seen.NotObserved) > 2 { // no kubelet's folder, no certificates
				t.Fatalf("%+v, %v", seen, err)
			}
			for _, p := range seen.Packages {
				all = append(all, p.Name+" "+string(p.State))
			}
			return all
		}
		if got := states(); got != nil {
			t.Errorf("as it should be: %q", got)
		}
		b.sh("echo >> /usr/bin/kubelet; chmod 700 /usr/bin/kubeadm; rpm -e kubectl")
		if got := states(); !slices.Equal(got, []string{"kubelet altered", "kubectl not installed"}) {
			t.Errorf("%q", got)
		}
		if b.manager == "zypper" {
			b.sh("zypper --non-interactive addlock 'kubernetes-*' kubeadm")
			if got := states(); !slices.Contains(got, "kubernetes-cni on hold") {
				t.Errorf("%q", got)
			}
		}
		b.install(t, v137, "kubeadm", "kubelet", "kubectl")
		if got := states(); len(got) > 0 && got[0] != "kubernetes-cni on hold" {
			t.Errorf("afterwards: %q", got)
		}
	})
}
