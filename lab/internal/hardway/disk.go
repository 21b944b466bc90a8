package hardway

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pawl-dev/pawl/lab/internal/deb"
	"github.com/pawl-dev/pawl/lab/internal/rootfs"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// ControlPlaneUnits and WorkerUnits are what a node runs, in the order in which
// one needs the other.
var (
	ControlPlaneUnits = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	WorkerUnits       = []string{"kubelet", "kube-proxy"}
)

// EtcdFiles are those of a member of etcd for a cluster of kubeadm's, and the
// API servers' way to it.
func (c *Cluster) EtcdFiles(n topology.Node) ([]rootfs.File, error) {
	const ca, client = "etc/kubernetes/pki/etcd/ca.crt", "etc/kubernetes/pki/apiserver-etcd-client"
	d := &disk{cluster: c, node: n}
	if n.ControlPlane() {
		d.etcd()
		d.units([]string{"etcd"})
		d.add(ca, 0o644, c.ca.cert, nil)
		p, err := c.ca.issue(apiServerUser, "")
		d.pair(client, p, err)
	}
	return d.files, d.err
}

// Files are a node's, beside what every node of the lab has.
func (c *Cluster) Files(n topology.Node) ([]rootfs.File, error) {
	d := &disk{cluster: c, node: n}
	if n.ControlPlane() {
		d.controlPlane()
	} else {
		d.worker()
	}
	return d.files, d.err
}

// disk collects files until one cannot be made.
type disk struct {
	cluster *Cluster
	node    topology.Node
	files   []rootfs.File
	err     error
}

// Endpoints of the API: a component beside an API server uses that one, so that
// it never meets an older one than it may; the workers use the balancer.
var (
	localAPI    = fmt.Sprintf("127.0.0.1:%d", topology.APIPort)
	balancedAPI = fmt.Sprintf("%s:%d", topology.APIName, topology.APIPort)
)

func (d *disk) controlPlane() {
	const lib = "var/lib/kubernetes/"
	c := d.cluster

	d.etcd()
	d.pair(lib+"ca", c.ca.pair, nil)
	d.pair(lib+"kube-api-server", c.apiServer, nil)
	d.pair(lib+"service-accounts", c.serviceAccounts, nil)
	d.rendered(lib, "encryption-config.yaml", 0o600)
	for _, component := range []string{"kube-controller-manager", "kube-scheduler"} {
		user := "system:" + component
		d.secret(lib + component + ".kubeconfig")(c.kubeconfig(user, user, localAPI))
	}
	d.rendered("etc/kubernetes/config/", "kube-scheduler.yaml", 0o644)
	d.secret("root/.kube/config")(c.Admin(localAPI))

	d.programs(c.Programs.Kubernetes, "usr/local/bin", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
	d.units(ControlPlaneUnits)
	// It runs no containers.
	d.files = append(d.files, rootfs.File{Path: "etc/systemd/system/containerd.service", Link: "/dev/null"})
}

func (d *disk) etcd() {
	const etc = "etc/etcd/"
	ca := d.cluster.ca
	d.add(etc+"ca.crt", 0o644, ca.cert, nil)
	p, err := ca.issue(string(d.node), "", string(d.node), d.node.Address(), "localhost", "127.0.0.1")
	d.pair(etc+"etcd", p, err)
	d.programs(d.cluster.Programs.Etcd, "usr/local/bin", "etcd", "etcdctl", "etcdutl")
}

func (d *disk) worker() {
	const kubelet, proxy = "var/lib/kubelet/", "var/lib/kube-proxy/"
	c := d.cluster

	d.add(kubelet+"ca.crt", 0o644, c.ca.cert, nil)
	user := "system:node:" + string(d.node)
	cert, err := c.ca.issue(user, "system:nodes", string(d.node), d.node.Address())
	d.pair(kubelet+"kubelet", cert, err)
	d.secret(kubelet + "kubeconfig")(c.kubeconfigOf(cert, user, balancedAPI))
	d.rendered(kubelet, "kubelet-config.yaml", 0o644)

	d.secret(proxy + "kubeconfig")(c.kubeconfig("system:kube-proxy", "system:node-proxier", balancedAPI))
	d.rendered(proxy, "kube-proxy-config.yaml", 0o644)

	d.programs(c.Programs.Kubernetes, "usr/local/bin", "kubelet", "kube-proxy", "kubectl")
	d.add("usr/local/bin/crictl", 0o755, deb.Crictl, nil)
	plugins, err := os.ReadDir(c.Programs.CNI)
	d.fail(err)
	for _, p := range plugins {
		d.programs(c.Programs.CNI, "opt/cni/bin", p.Name())
	}
	d.units(WorkerUnits)
}

func (d *disk) add(path string, mode os.FileMode, content string, err error) {
	d.fail(err)
	d.files = append(d.files, rootfs.File{Path: path, Content: content, Mode: mode})
}

func (d *disk) secret(path string) func(string, error) {
	return func(content string, err error) { d.add(path, 0o600, content, err) }
}

func (d *disk) pair(path string, p pair, err error) {
	d.add(path+".crt", 0o644, p.cert, err)
	d.add(path+".key", 0o600, p.key, err)
}

func (d *disk) rendered(folder, name string, mode os.FileMode) {
	content, err := d.cluster.text(name, d.node)
	d.add(folder+name, mode, content, err)
}

func (d *disk) programs(from, folder string, names ...string) {
	for _, name := range names {
		d.files = append(d.files, rootfs.File{Path: filepath.Join(folder, name), Source: filepath.Join(from, name), Mode: 0o755})
	}
}

func (d *disk) units(names []string) {
	for _, name := range names {
		unit := name + ".service"
		d.rendered("etc/systemd/system/", unit, 0o644)
		d.files = append(d.files, rootfs.Wanted(unit, "/etc/systemd/system/"+unit))
	}
}

// fail keeps the first error.
func (d *disk) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}
