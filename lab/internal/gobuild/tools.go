package gobuild

import (
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/guest"
)

// Versions of what every node has, whatever its Kubernetes version.
const (
	Containerd = "v2.3.7"
	CNI        = "v1.9.1"
)

// EtcdStep is the patch of etcd 3.6 that a cluster installed by hand goes to
// before 3.7, which wants v3.6.11 or later.
// Source: https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/
const EtcdStep = "v3.6.16"

//go:embed coredns.go.txt
var corednsMain []byte

// ContainerdDir is where containerd, its shim and ctr are.
func (b Builder) ContainerdDir() string { return b.Home.Cache("bin", "containerd-"+Containerd) }

// Containerd builds the container runtime.
func (b Builder) Containerd(ctx context.Context) (bool, error) {
	const mod = "github.com/containerd/containerd/v2"
	return b.binaries(ctx, b.ContainerdDir(), require("containerd", mod+" "+Containerd),
		[]string{"-tags", "no_btrfs no_devmapper no_zfs", "-ldflags", "-s -w -X " + mod + "/version.Version=" + Containerd},
		[]string{mod + "/cmd/containerd", mod + "/cmd/containerd-shim-runc-v2", mod + "/cmd/ctr"}, nil)
}

// CNIDir is where the network plugins are.
func (b Builder) CNIDir() string { return b.Home.Cache("bin", "cni-"+CNI) }

// CNIPlugins builds the network plugins.
func (b Builder) CNIPlugins(ctx context.Context) (bool, error) {
	const mod = "github.com/containernetworking/plugins"
	var packages []string
	for _, p := range []string{"main/bridge", "main/ptp", "main/loopback", "ipam/host-local", "meta/portmap"} {
		packages = append(packages, mod+"/plugins/"+p)
	}
	return b.binaries(ctx, b.CNIDir(), require("cni", mod+" "+CNI), []string{"-ldflags", "-s -w"}, packages, nil)
}

// EtcdDir is where etcd and its tools of a version are.
func (b Builder) EtcdDir(version string) string { return b.Home.Cache("bin", "etcd-"+version) }

// Etcd builds etcd and its tools.
func (b Builder) Etcd(ctx context.Context, version string) (bool, error) {
	var requires, packages []string
	rename := map[string]string{"server": "etcd"}
	for _, p := range []string{"server", "etcdctl", "etcdutl"} {
		packages = append(packages, "go.etcd.io/etcd/"+p+"/v3")
		requires = append(requires, "go.etcd.io/etcd/"+p+"/v3 "+version)
	}
	return b.binaries(ctx, b.EtcdDir(version), require("etcd-"+version, requires...), []string{"-ldflags", "-s -w"}, packages, rename)
}

// CoreDNSDir is where CoreDNS of a version is.
func (b Builder) CoreDNSDir(version string) string { return b.Home.Cache("bin", "coredns-"+version) }

// CoreDNS builds CoreDNS with the plugins that kubeadm's configuration uses.
func (b Builder) CoreDNS(ctx context.Context, version string) (bool, error) {
	m := func() (module, error) {
		return module{
			name:    "coredns-" + version,
			goMod:   "require github.com/coredns/coredns " + version + "\n",
			sources: map[string][]byte{"main.go": corednsMain},
		}, nil
	}
	return b.binaries(ctx, b.CoreDNSDir(version), m, []string{"-ldflags", "-s -w"}, []string{"."}, map[string]string{"lab": "coredns"})
}

// GuestDir is where the programs of the lab's own pods are.
func (b Builder) GuestDir(name string) string { return b.Home.Cache("bin", "guest-"+name) }

// Guest builds one of the lab's own pod programs: pause or web.
func (b Builder) Guest(ctx context.Context, name string) (bool, error) {
	source := map[string][]byte{"pause": guest.Pause, "web": guest.Web}[name]
	m := func() (module, error) {
		return module{name: "guest-" + name, sources: map[string][]byte{"main.go": source}}, nil
	}
	return b.binaries(ctx, b.GuestDir(name), m, []string{"-ldflags", "-s -w"}, []string{"."}, map[string]string{"lab": name})
}

// require is a module that only requires others ("path version").
func require(name string, modules ...string) func() (module, error) {
	return func() (module, error) {
		return module{name: name, goMod: "require (\n\t" + strings.Join(modules, "\n\t") + "\n)\n"}, nil
	}
}

// run runs a built program and returns what it prints.
func run(ctx context.Context, path string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", path, strings.Join(args, " "), err)
	}
	return out, nil
}
