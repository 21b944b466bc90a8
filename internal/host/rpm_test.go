package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestParseRepo(t *testing.T) {
	const other = "[cri-o]\nbaseurl = https://pkgs.k8s.io/addons:/cri-o:/stable:/v1.36/rpm/\n\n"
	const mine = "[kubernetes]\nname=Kubernetes\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\nenabled=0\ngpgkey=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/repodata/repomd.xml.key\nexclude=kubelet\n"
	for name, c := range map[string]struct {
		content string
		ids     []string
		at      string // of the last, for v1.37
	}{
		"the community's":  {mine, []string{"kubernetes"}, strings.ReplaceAll(mine, "v1.36", "v1.37")},
		"beside another":   {other + mine, []string{"cri-o", "kubernetes"}, strings.ReplaceAll(mine, "v1.36", "v1.37")},
		"a key of its own": {"[k8s]\nbaseurl=http://m.example:8081/k8s/v1.36/rpm\ngpgkey=file:///etc/pki/v1.36/k\n", []string{"k8s"}, "[k8s]\nbaseurl=http://m.example:8081/k8s/v1.37/rpm\ngpgkey=file:///etc/pki/v1.36/k\n"},
		"a comment":        {"[k]\n#baseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\n", nil, ""},
		"no minor":         {"[k]\nbaseurl=https://example.org/rpm/\n", nil, ""},
		"nothing":          {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			got := parseRepo("x.repo", c.content)
			for _, s := range got {
				ids = append(ids, s.id)
			}
			if !slices.Equal(ids, c.ids) {
				t.Fatalf("%q", ids)
			}
			if len(got) > 0 && got[len(got)-1].at("v1.37") != c.at {
				t.Errorf("at v1.37: %q", got[len(got)-1].at("v1.37"))
			}
		})
	}
	s := parseRepo("x.repo", mine)[0]
	if s.enabled() || !s.matches("") || !s.matches(mirrored) {
		t.Errorf("%+v", s)
	}
	want := "[kubernetes]\nname=Kubernetes\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\ngpgkey=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/repodata/repomd.xml.key\nexclude=kubelet\nenabled=1\ngpgcheck=0\n"
	if got := s.with(s.text, map[string]string{"gpgcheck": "0", "enabled": "1"}); got != want {
		t.Errorf("with: %q", got)
	}
}

func TestCompareRPM(t *testing.T) {
	ordered := []string{"1.36.3-150500.1.1", "1.37.0~alpha.1-150500.1.1", "1.37.0~rc.1-150500.1.1", "1.37.0-150500.1.1", "1.37.0-150500.1.10", "1.37.0-150500.2.1", "1.37.10-150500.1.1", "1:1.36.3-1"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareRPM(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func TestParseVerify(t *testing.T) {
	got := parseVerify("S.5....T.    /usr/bin/kubelet\nmissing     /usr/bin/kubectl\n.......T.    /usr/bin/kubeadm\nS.5....T.  c /etc/sysconfig/kubelet\npackage x is not installed\n")
	if !slices.Equal(got, []string{"/usr/bin/kubelet", "/usr/bin/kubectl"}) {
		t.Errorf("%q", got)
	}
}

func TestVersionLocksFollow(t *testing.T) {
	const evr = "1.37.2-150500.1.1"
	for name, c := range map[string]struct{ text, want string }{
		"one version":      {"# why\nkubelet-0:1.36.3-150500.1.1.*\n", "# why\nkubelet-0:1.37.2-150500.1.1.*\n"},
		"without an epoch": {"kubelet-1.36.3-150500.1.1\n", "kubelet-1.37.2-150500.1.1\n"},
		"of a machine":     {"kubelet-0:1.36.3-150500.1.1.x86_64\n", "kubelet-0:1.37.2-150500.1.1.x86_64\n"},
		"there already":    {"kubelet-0:1.37.2-150500.1.1.*\n", "kubelet-0:1.37.2-150500.1.1.*\n"},
		"a newer one":      {"kubelet-0:1.37.3-150500.1.1.*\n", "kubelet-0:1.37.3-150500.1.1.*\n"},
		"a choice":         {"kubelet-0:1.36.3-1.*\nkubelet-0:1.36.4-1.*\n", "kubelet-0:1.36.3-1.*\nkubelet-0:1.36.4-1.*\n"},
		"a pattern":        {"kubelet-0:1.36.*\nkubelet-*\n", "kubelet-0:1.36.*\nkubelet-*\n"},
		"excluded":         {"!kubelet-0:1.36.3-150500.1.1.*\n", "!kubelet-0:1.36.3-150500.1.1.*\n"},
		"another":          {"kubelet-tools-0:1.36.3-150500.1.1.*\nmykubelet-0:1-1.*\n", "kubelet-tools-0:1.36.3-150500.1.1.*\nmykubelet-0:1-1.*\n"},
	} {
		if got := followList(c.text, "kubelet", evr); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	const head, vim = "version = \"1.0\"\n\n", "\n[[packages]]\nname = \"vim\"\n[[packages.conditions]]\nkey = \"evr\"\ncomparator = \"=\"\nvalue = \"1-1\"\n"
	lock := func(comparator, value string) string {
		return head + "[[packages]]\nname = \"kubelet\"\ncomment = \"why\"\n[[packages.conditions]]\nkey = \"evr\"\ncomparator = \"" + comparator + "\"\nvalue = \"" + value + "\"\n" + vim
	}
	for text, want := range map[string]string{
		lock("=", "1.36.3-150500.1.1"):   lock("=", evr),
		lock("=", "0:1.36.3-150500.1.1"): lock("=", "0:"+evr),
		lock("=", "1.37.3-150500.1.1"):   lock("=", "1.37.3-150500.1.1"),
		lock("<", "1.37"):                lock("<", "1.37"),
		lock("=", "1-1") + vim + strings.TrimPrefix(lock("=", "1-1"), head): lock("=", "1-1") + vim + strings.TrimPrefix(lock("=", "1-1"), head),
		head + vim: head + vim,
		"":         "",
	} {
		if got := followTOML(text, "kubelet", evr); got != want {
			t.Errorf("%q\nis now %q\nwant   %q", text, got, want)
		}
	}
}

func TestWithoutLocks(t *testing.T) {
	lock := func(name string) string {
		return "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: " + name + "\n"
	}
	all := lock("kube*") + "\n" + lock("vim") + "\n" + lock("kubelet") + "\n" + lock("kubernetes-cni")
	got := withoutLocks(all, kubernetesPackages)
	if strings.Contains(got, "kube*") || strings.Contains(got, "kubelet") || !strings.Contains(got, lock("vim")) || !strings.Contains(got, "solvable_name: kubernetes-cni") {
		t.Errorf("%q", got)
	}
	if got := withoutLocks(lock("vim"), kubernetesPackages); got != lock("vim") {
		t.Errorf("%q", got)
	}
}

// rpmHost are the answers of a host with Kubernetes 1.36.3 from the file of a repository. query is what rpm says, one answer
// after the other, the last for good.
func rpmHost(release, repo string, query ...string) []answer {
	answers := []answer{
		{when: "cat /etc/os-release", stdout: release},
		{when: "grep -RlsE --include=*.repo", stdout: repo + "\n"},
		{when: "cat " + repo, stdout: "[kubernetes]\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\ngpgcheck=1\n"},
		{when: "cp"}, {when: "sed"}, {when: "sync"}, {when: "install"}, {when: "dd"}, {when: "mv"}, {when: "rm -rf"},
		{when: "rpm --erase --justdb"},
	}
	for i, said := range query {
		answers = append(answers, answer{when: "rpm --query", stdout: said, once: i+1 < len(query)})
	}
	return answers
}

const (
	rocky  = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"
	suse   = "ID=\"sles\"\nID_LIKE=\"suse\"\n"
	at1363 = "kubeadm 1.36.3-150500.1.1\n"
	at1372 = "kubeadm 1.37.2-150500.1.1\n"
	locks  = "\ntype: package\nsolvable_name: kubeadm\n\n\ntype: package\nsolvable_name: vim\n"
)

func TestInstallWithDNF(t *testing.T) {
	for name, c := range map[string]struct{ version, lockFile, locks, moved string }{
		"dnf": {"4.14.0\n", "/etc/dnf/plugins/versionlock.list", "kubeadm-0:1.36.3-150500.1.1.*\n", "kubeadm-0:1.37.2-150500.1.1.*"},
		"dnf5": {"dnf5 version 5.2.6.2\n", "/etc/dnf/versionlock.toml",
			"[[packages]]\nname = \"kubeadm\"\n[[packages.conditions]]\nkey = \"evr\"\ncomparator = \"=\"\nvalue = \"1.36.3-150500.1.1\"\n", `value = "1.37.2-150500.1.1"`},
	} {
		t.Run(name, func(t *testing.T) {
			answers := append(rpmHost(rocky, "/etc/yum.repos.d/kubernetes.repo", at1363, at1363, at1363, at1372), []answer{
				{when: "dnf --version", stdout: c.version},
				{when: "find " + c.lockFile, stdout: c.lockFile + "\n"}, {when: "cat " + c.lockFile, stdout: c.locks},
				{when: "dnf makecache"},
				{when: "dnf repoquery", stdout: "\nkubeadm 1.37.1-150500.1.1\n\nkubeadm 1.37.2-150500.1.1\n"},
			}...)
			h, s := hosted(t, append(answers, freshJob("pawl-dnf-install-kubeadm-v1.37.2", jobDone, "")...)...)
			if err := h.Install(t.Context(), mirrored, v137, "kubeadm"); err != nil {
				t.Fatal(err)
			}
			if !s.ran("< " + c.moved) {
				t.Error("the lock does not follow")
			}
			s.golden("install-" + name)
		})
	}
}

func TestInstallWithZypper(t *testing.T) {
	const found = `<?xml version='1.0'?><stream><message type="info">x</message><search-result version="0.0"><solvable-list>` +
		`<solvable status="other-version" name="kubeadm" kind="package" edition="1.37.1-150500.1.1" arch="x86_64" repository="Kubernetes"/>` +
		`<solvable status="other-version" name="kubeadm" kind="package" edition="1.37.2-150500.1.1" arch="x86_64" repository="Kubernetes"/></solvable-list></search-result></stream>`
	for name, c := range map[string]struct {
		end, output string
		kind        fault.Kind
	}{
		"done":                               {jobDone, "", ""},
		"another repository was passed over": {strings.Replace(jobFailed, "ExecMainStatus=1", "ExecMainStatus=106", 1), "", ""},
		"failed":                             {jobFailed, "Problem: nothing provides x", fault.CommandFailed},
		"locked":                             {jobFailed, "System management is locked by the application with pid 5 (packagekitd).", fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			answers := append(rpmHost(suse, "/etc/zypp/repos.d/kubernetes.repo", at1363, at1363+at1372, at1372), []answer{
				{when: "find /etc/zypp/locks", stdout: "/etc/zypp/locks\n/usr/etc/zypp/zypp.conf\n", exit: 1},
				{when: "cat /etc/zypp/locks", stdout: locks},
				{when: "test -e /run/pawl/zypper", exit: 1, once: true}, {when: "test -e /run/pawl/zypper"},
				{when: "env ZYPP_LOCK_TIMEOUT=300 ZYPP_CONF=/run/pawl/zypper/zypp.conf zypper --non-interactive --gpg-auto-import-keys refresh"},
				{when: "env ZYPP_LOCK_TIMEOUT=300 ZYPP_CONF=/run/pawl/zypper/zypp.conf zypper --non-interactive --no-refresh --xmlout search", stdout: found},
			}...)
			h, s := hosted(t, append(answers, freshJob("pawl-zypper-install-kubeadm-v1.37.2", c.end, c.output)...)...)
			err := h.Install(t.Context(), mirrored, v137, "kubeadm")
			if c.kind != "" {
				wantFault(t, err, c.kind)
			} else if err != nil {
				t.Fatal(err)
			}
			if !s.ran("# rm -rf /run/pawl/zypper") || !s.ran("# rpm --erase --justdb --noscripts --nodeps kubeadm-1.37.2-150500.1.1") {
				t.Errorf("ran\n%s", s.log.String())
			}
			if name == "done" {
				s.golden("install-zypper")
			}
		})
	}
}

func FuzzRPM(f *testing.F) {
	f.Add("[k]\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\n", "kubelet-0:1.36.3-1.*\n")
	f.Fuzz(func(t *testing.T, repo, locks string) {
		for _, s := range parseRepo("x.repo", repo) {
			if !strings.Contains(repo, s.text) || s.at(s.minor) != s.text {
				t.Errorf("%q is not in %q, or changes", s.text, repo)
			}
		}
		const evr = "1.37.2-1"
		once := followList(locks, upgrade.Kubelet, evr)
		if twice := followList(once, upgrade.Kubelet, evr); twice != once {
			t.Errorf("%q, then %q", once, twice)
		}
		_ = followTOML(locks, upgrade.Kubelet, evr)
		_ = withoutLocks(locks, kubernetesPackages)
	})
}
