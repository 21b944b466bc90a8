package binaries

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// kind is what pawl knows of a component: how it says its version, how it is released, whether a unit starts it.
type kind struct {
	name    string
	version []string // the arguments with which it says its version and ends
	unit    bool
	base    func(upgrade.BinarySource) string
	release func(v upgrade.Version, arch string) release
	// file is the program's name, where it is not the component's; folders are where it is looked for beside the usual ones.
	file    string
	folders []string
	// along are files of the same release, in the same folder, that are replaced with it where they are there.
	along []string
}

// release is where a version of a component lies below its base.
type release struct {
	file    string // below the base
	sums    string // its checksums, beside it: of one file or of several
	archive bool   // file is a tar archive; in is the folder within that has the binaries, empty for its top
	in      string
}

// kinds are the components that pawl replaces.
var kinds = []kind{
	kubernetes(upgrade.APIServer), kubernetes(upgrade.ControllerManager), kubernetes(upgrade.Scheduler), kubernetes(upgrade.Kubelet), kubernetes(upgrade.KubeProxy),
	{name: upgrade.Kubectl, version: []string{"version", "--client"}, base: kubernetesBase, release: kubernetesRelease(upgrade.Kubectl)},
	{name: upgrade.Etcd, version: []string{"--version"}, unit: true, base: etcdBase, release: etcdRelease},
	{name: upgrade.Etcdctl, version: []string{"version"}, base: etcdBase, release: etcdRelease},
	{name: upgrade.Etcdutl, version: []string{"version"}, base: etcdBase, release: etcdRelease},
	{name: upgrade.Containerd, version: []string{"--version"}, unit: true, along: []string{"containerd-shim-runc-v2", "ctr", "containerd-stress"},
		base: func(s upgrade.BinarySource) string {
			return cmp.Or(s.Containerd, "https://github.com/containerd/containerd/releases/download")
		},
		release: func(v upgrade.Version, arch string) release {
			file := v.String() + "/containerd-" + v.Number() + "-linux-" + arch + ".tar.gz"
			return release{file: file, sums: file + ".sha256sum", archive: true, in: "bin/"}
		}},
	{name: upgrade.Runc, version: []string{"--version"},
		base: func(s upgrade.BinarySource) string {
			return cmp.Or(s.Runc, "https://github.com/opencontainers/runc/releases/download")
		},
		release: func(v upgrade.Version, arch string) release {
			return release{file: v.String() + "/runc." + arch, sums: v.String() + "/runc.sha256sum"}
		}},
	// Plugins without an order to fulfil say their version (github.com/containernetworking/cni, pkg/skel). One stands for all.
	{name: upgrade.CNIPlugins, file: "loopback", folders: []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"},
		along: []string{"bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan", "macvlan", "portmap", "ptp", "sbr",
			"static", "tap", "tuning", "vlan", "vrf"},
		base: func(s upgrade.BinarySource) string {
			return cmp.Or(s.CNI, "https://github.com/containernetworking/plugins/releases/download")
		},
		release: func(v upgrade.Version, arch string) release {
			file := v.String() + "/cni-plugins-linux-" + arch + "-" + v.String() + ".tgz"
			return release{file: file, sums: file + ".sha256", archive: true, in: "./"}
		}},
}

// program is the name of the file.
func (k kind) program() string { return cmp.Or(k.file, k.name) }

func kubernetes(name string) kind {
	return kind{name: name, version: []string{"--version"}, unit: true, base: kubernetesBase, release: kubernetesRelease(name)}
}

func kubernetesBase(s upgrade.BinarySource) string { return cmp.Or(s.Kubernetes, "https://dl.k8s.io") }

func kubernetesRelease(name string) func(upgrade.Version, string) release {
	return func(v upgrade.Version, arch string) release {
		file := v.String() + "/bin/linux/" + arch + "/" + name
		return release{file: file, sums: file + ".sha256"}
	}
}

func etcdBase(s upgrade.BinarySource) string {
	return cmp.Or(s.Etcd, "https://github.com/etcd-io/etcd/releases/download")
}

func etcdRelease(v upgrade.Version, arch string) release {
	folder := "etcd-" + v.String() + "-linux-" + arch
	return release{file: v.String() + "/" + folder + ".tar.gz", sums: v.String() + "/SHA256SUMS", archive: true, in: folder + "/"}
}

func kindOf(component string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == component })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// archs are the architectures by what uname -m says.
var archs = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}

// versionWord is a version in what a component says: "Kubernetes v1.37.2", "etcd Version: 3.6.11", "runc version 1.3.3".
var versionWord = regexp.MustCompile(`(?:^|[\s:])v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)(?:\+[0-9A-Za-z.-]+)?(?:\s|$)`)

// parseVersion reads what a component says of its version: it is in the first line.
func parseVersion(output string) (upgrade.Version, bool) {
	first, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	m := versionWord.FindStringSubmatch(first)
	if m == nil {
		return upgrade.Version{}, false
	}
	v, err := upgrade.ParseVersion(m[1])
	return v, err == nil
}

// sumOf finds the SHA-256 sum of a file in a release's checksums: the sum alone, or lines of sums and names.
func sumOf(text, file string) (string, bool) {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	for _, line := range lines {
		words := strings.Fields(line)
		named := len(words) == 2 && path.Base(strings.TrimPrefix(words[1], "*")) == path.Base(file)
		if (named || len(words) == 1 && len(lines) == 1) && isSum(words[0]) {
			return strings.ToLower(words[0]), true
		}
	}
	return "", false
}

var sumPattern = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

func isSum(s string) bool { return sumPattern.MatchString(s) }
