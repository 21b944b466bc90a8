package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// An etcd that kubeadm has not made runs on hosts of its own, where units of systemd start it. It is upgraded as in clusters
// that were installed by hand: member by member, before everything else of the first hop.

// EtcdMachines are the hosts whose units start etcd's members, as far as somebody has said which they are.
func (s Settings) EtcdMachines() []string {
	if len(s.Binaries.EtcdHosts) == 0 && s.ByHand() {
		return s.Binaries.ControlPlane
	}
	return s.Binaries.EtcdHosts
}

// OnlyEtcd is the host without what is not etcd's: the rest of it is somebody else's.
func (h BinaryHost) OnlyEtcd() BinaryHost {
	h.Binaries = slices.DeleteFunc(slices.Clone(h.Binaries), func(b Binary) bool { return !slices.Contains([]string{etcd, Etcdctl, Etcdutl}, b.Component) })
	h.CloudControllers = nil
	return h
}

// addExternalEtcd puts etcd's members before everything else that the hops do.
func addExternalEtcd(hops []Hop, c Cluster, p Plan) ([]Hop, []Finding) {
	if c.ExternalEtcd == nil {
		return hops, nil
	}
	way, found := EtcdWay(c.ExternalEtcd.Members, p.Settings.Binaries.EtcdTarget(), p.Settings.Binaries.Etcd)
	var parts []NodePlan
	for _, phase := range BinaryPhases(c.ExternalEtcd.Hosts, c.ExternalEtcd.Members, BinaryTargets{Etcd: way}) {
		parts = append(parts, componentPlans(phase)...)
	}
	if len(parts) == 0 {
		return hops, found
	}
	if len(hops) == 0 {
		hops = []Hop{{From: p.oldest(), To: p.Target}}
	}
	hops[0].ControlPlane = slices.Concat(parts, hops[0].ControlPlane)
	return hops, found
}

// checkExternalEtcd holds the hosts of an external etcd against what is wanted of them, and against kubeadm's configuration.
func checkExternalEtcd(c Cluster, p Plan) []Finding {
	at := Finding{ID: ExternalEtcd, Severity: SeverityInfo, Target: configMapOf(Kubeadm), Source: externalSource}
	hosts := strings.Join(p.Settings.Binaries.EtcdHosts, ", ")
	switch {
	case c.ExternalEtcd == nil && !c.Kubeadm.ExternalEtcd:
		return nil
	case c.ExternalEtcd == nil:
		at.Message, at.Remedy = "etcd is external: it is neither backed up nor upgraded", "name its hosts as etcd.hosts, if units of systemd start it there"
		return []Finding{at}
	case !c.Kubeadm.ExternalEtcd:
		at.Severity, at.Message = SeverityError, "the definition names hosts of etcd ("+hosts+"), and kubeadm's etcd is not external"
		at.Remedy = "take etcd out of the definition: kubeadm upgrades its own members"
		return []Finding{at}
	}
	found := checkBinaryHosts(c.ExternalEtcd.Hosts, p.Settings.Binaries.Source, BinaryTargets{Etcd: p.Settings.Binaries.Etcd})
	for _, h := range c.ExternalEtcd.Hosts {
		if _, there := h.Binary(etcd); !there && h.Problem == "" {
			found = append(found, failure(UnitProblem, h.Node, "no unit of systemd starts etcd", "take it out of etcd.hosts, if it has no member"))
		}
	}
	if to := p.Settings.Binaries.EtcdTarget(); to.IsZero() {
		at.Message, at.Remedy = "etcd is external: it is backed up from "+p.Settings.Binaries.EtcdHosts[0]+", and not upgraded", "name the versions that can be had as etcd.versions"
		found = append(found, at)
	}
	known := func(m EtcdMember) bool {
		return slices.Contains(c.Kubeadm.EtcdEndpoints, strings.TrimRight(m.Endpoint, "/"))
	}
	if members := c.ExternalEtcd.Members; len(members) > 0 && len(c.Kubeadm.EtcdEndpoints) > 0 && !slices.ContainsFunc(members, known) {
		at.Severity, at.Remedy = SeverityWarning, "look whether etcd.hosts are those of this cluster's etcd"
		at.Message = fmt.Sprintf("the API servers use etcd at %s, and no member on %s says that it is there", strings.Join(c.Kubeadm.EtcdEndpoints, ", "), hosts)
		found = append(found, at)
	}
	return found
}

// SnapshotAt is which of the nodes that are backed up writes the snapshot of etcd; -1 where etcd is not to be reached.
func (p Plan) SnapshotAt() int {
	if p.ExternalEtcd && len(p.Settings.EtcdMachines()) == 0 {
		return -1
	}
	return 0
}

// etcdBackUps are the hosts whose etcd is backed up, beside the control plane nodes that kubeadm has made.
func (s Settings) etcdBackUps() []NodePlan {
	var hosts []NodePlan
	for _, host := range s.EtcdMachines() {
		hosts = append(hosts, NodePlan{Node: host + "/" + etcd, Host: host, Role: ComponentPart})
	}
	return hosts
}
