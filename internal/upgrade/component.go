package upgrade

import (
	"cmp"
	"slices"
)

// Component is one part of the cluster at one version: what it has, what it gets, and who brings it along.
type Component struct {
	Name    string `json:"name"`
	Current string `json:"current"`
	// Nodes is how many nodes have it so; 0 for what is not of a node.
	Nodes int `json:"nodes,omitempty"`
	// Target is the version it will have, in words where only the new kubeadm knows it. Empty: it stays as it is.
	Target string `json:"target,omitempty"`
	// By is who upgrades it: ByKubeadm, ByPawl, or empty: nobody here.
	By string `json:"by,omitempty"`
}

// Who upgrades a component.
const (
	ByKubeadm = "kubeadm" // which pawl runs
	ByPawl    = "pawl"    // from packages
)

// componentList has a row for each version that a part has.
type componentList []Component

func (l *componentList) add(new Component) {
	if new.Current == "" {
		return
	}
	if new.Target == "" || new.Current == new.Target {
		new.By = ""
	}
	i := slices.IndexFunc(*l, func(o Component) bool {
		return o.Name == new.Name && o.Current == new.Current && o.Target == new.Target
	})
	if i < 0 {
		*l = append(*l, new)
	} else {
		(*l)[i].Nodes += new.Nodes
	}
}

// addBinary adds a host's binary. One that is newer than the target stays.
func (l *componentList) addBinary(b Binary, to Version) {
	if to.Less(b.version()) {
		to = Version{}
	}
	l.add(Component{b.Component, orEmpty(b.version()), 1, orEmpty(to), ByPawl})
}

// addCloudControllers adds what pawl leaves as it is. A unit does not say its version.
func (l *componentList) addCloudControllers(c Cluster) {
	for _, cloud := range c.cloudControllers() {
		l.add(Component{Name: CloudControllerManager, Current: cmp.Or(cloud.Version, "unknown"), Nodes: 1})
	}
}

// components are all parts of a cluster that a plan knows of, in the order in which they are upgraded, a row for each
// version that one has.
func components(c Cluster, p Plan) []Component {
	var all componentList
	target := p.Target.String()
	brought := ""
	if slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.ControlPlane && !componentsAt(n, p.Target) }) {
		brought = "as kubeadm " + target + " brings"
	}
	byNodes := func(name, target, by string, of func(Node) string) {
		for _, n := range p.Nodes {
			all.add(Component{name, of(n), 1, target, by})
		}
	}
	for _, name := range ControlPlaneComponents {
		byNodes(name, target, ByKubeadm, func(n Node) string { return orEmpty(n.Components[name]) })
	}
	byNodes(etcd, brought, ByKubeadm, func(n Node) string { return n.EtcdImage })
	if c.ExternalEtcd != nil {
		for _, h := range c.ExternalEtcd.Hosts {
			if b, there := h.Binary(etcd); there {
				all.addBinary(b, p.Settings.Binaries.EtcdTarget())
			}
		}
	}
	all.add(Component{KubeProxy, orEmpty(c.KubeProxy.Version), 0, target, ByKubeadm})
	for _, tag := range c.CoreDNS {
		all.add(Component{"CoreDNS", tag, 0, brought, ByKubeadm})
	}
	all.addCloudControllers(c)
	byNodes(Kubeadm, target, ByPawl, func(n Node) string { return orEmpty(n.Host.Kubeadm) })
	byNodes("kubelet, kubectl", target, ByPawl, func(n Node) string { return orEmpty(n.Kubelet) })
	byNodes("container runtime", "", "", func(n Node) string { return n.Runtime })
	return all
}

func orEmpty(v Version) string {
	if v.IsZero() {
		return ""
	}
	return v.String()
}
