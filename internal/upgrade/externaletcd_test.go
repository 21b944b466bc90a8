package upgrade

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// withExternalEtcd is a cluster of kubeadm's whose etcd is on hosts of its own, with members at the versions.
func withExternalEtcd(members ...string) (Cluster, Settings) {
	c, s := healthy(3, 1), settings()
	c.Kubeadm.ExternalEtcd, c.ExternalEtcd = true, &ByHand{}
	s.Binaries.Etcd = versions("v3.6.16", "v3.7.0")
	for i, v := range members {
		name := fmt.Sprintf("e%d", i+1)
		s.Binaries.EtcdHosts = append(s.Binaries.EtcdHosts, name)
		c.ExternalEtcd.Hosts = append(c.ExternalEtcd.Hosts, byHand(name, etcd+" "+v, Etcdctl+" "+v))
		endpoint := fmt.Sprintf("https://10.0.1.%d:2379", i+1)
		c.Kubeadm.EtcdEndpoints = append(c.Kubeadm.EtcdEndpoints, endpoint)
		c.ExternalEtcd.Members = append(c.ExternalEtcd.Members, EtcdMember{Node: name, Name: name, Endpoint: endpoint, Version: MustVersion(v), Leader: i == 0})
	}
	return c, s
}

func TestExternalEtcdGoesFirst(t *testing.T) {
	c, s := withExternalEtcd("v3.6.8", "v3.6.8", "v3.6.8")
	p := MakePlan(c, Wanted{Target: v137}, s)
	require.Empty(t, p.Findings)
	require.Equal(t, []string{"v1.37.2: e2/etcd-v3.6.16, e3/etcd-v3.6.16, e1/etcd-v3.6.16, e2/etcd-v3.7.0, e3/etcd-v3.7.0, e1/etcd-v3.7.0, cp1, cp2, cp3 | w1"}, walked(p))
	require.Equal(t, []Step{FetchBinaries, SwapBinaries}, p.Hops[0].ControlPlane[0].Steps)
	require.Equal(t, []BinaryChange{{Etcd, MustVersion("v3.6.8"), MustVersion("v3.6.16")}, {Etcdctl, MustVersion("v3.6.8"), MustVersion("v3.6.16")}}, p.Hops[0].ControlPlane[0].Changes)

	var phases []string
	for _, phase := range p.Hops[0].Phases() {
		for _, n := range phase.Nodes {
			phases = append(phases, phase.What+" "+n.Node)
		}
	}
	require.Equal(t, "control plane e2/etcd-v3.6.16", phases[0])
	require.Equal(t, []string{"control plane cp1", "control plane cp2", "control plane cp3", "kubelet cp1", "kubelet cp2", "kubelet cp3"}, phases[6:], "kubeadm's part is as ever")

	var backups []string
	for _, n := range p.BackUps(p.Hops[0]) {
		backups = append(backups, n.Node+" "+n.Host)
	}
	require.Equal(t, []string{"e1/etcd e1", "e2/etcd e2", "e3/etcd e3", "cp1 ", "cp2 ", "cp3 "}, backups)
	require.Equal(t, 0, p.SnapshotAt(), "from the first host of etcd")
	require.Contains(t, p.Components, Component{etcd, "v3.6.8", 3, "v3.7.0", ByPawl})
	require.NotEmpty(t, p.Unskippable(1, p.Hops[0].ControlPlane[0]))
}

func TestExternalEtcdIsDoneInTheFirstHopOnly(t *testing.T) {
	c, s := withExternalEtcd("v3.6.8")
	for i := range c.Nodes {
		c.Nodes[i].Host.Available = versions("v1.37.2", "v1.38.0")
	}
	p := MakePlan(c, Wanted{Target: MustVersion("v1.38.0")}, s)
	require.Empty(t, p.Errors())
	require.Len(t, p.Hops, 2)
	require.Equal(t, "e1/etcd-v3.6.16", p.Hops[0].ControlPlane[0].Node)
	require.Equal(t, "cp1", p.Hops[1].ControlPlane[0].Node)

	// When the first hop is done, what is planned again is the rest of it.
	c, _ = withExternalEtcd("v3.7.0")
	c.Nodes, c.Version = p.Hops[0].leaves(c.Nodes), v137
	for i := range c.Nodes {
		c.Nodes[i].Host.Available = versions("v1.37.2", "v1.38.0")
	}
	require.Empty(t, p.Changes(1, MakePlan(c, p.Rest(1, nil), s)))
}

func TestExternalEtcdAlone(t *testing.T) {
	c, s := withExternalEtcd("v3.6.16")
	p := MakePlan(c, Wanted{Target: v137}, s)
	done := p.Hops[0].leaves(c.Nodes)
	c.Nodes, c.Version = done, v137
	require.Equal(t, []string{"v1.37.2: e1/etcd-v3.7.0 | "}, walked(MakePlan(c, Wanted{Target: v137}, s)))
	c, s = withExternalEtcd("v3.7.0")
	c.Nodes, c.Version = done, v137
	require.Empty(t, MakePlan(c, Wanted{Target: v137}, s).Hops)
}

func TestExternalEtcdIsHeldAgainstWhatIsSaid(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*Cluster, *Settings)
		want   string // "severity id: finding"
	}{
		"nobody named it": {func(c *Cluster, s *Settings) { c.ExternalEtcd, s.Binaries = nil, BinarySettings{} },
			"info external-etcd: ConfigMap kube-system/kubeadm-config: etcd is external: it is neither backed up nor upgraded; name its hosts as etcd.hosts"},
		"no versions": {func(_ *Cluster, s *Settings) { s.Binaries.Etcd = nil },
			"info external-etcd: ConfigMap kube-system/kubeadm-config: etcd is external: it is backed up from e1, and not upgraded; name the versions"},
		"kubeadm's own": {func(c *Cluster, _ *Settings) { c.Kubeadm.ExternalEtcd = false },
			"error external-etcd: ConfigMap kube-system/kubeadm-config: the definition names hosts of etcd (e1, e2, e3), and kubeadm's etcd is not external"},
		"another cluster's": {func(c *Cluster, _ *Settings) { c.Kubeadm.EtcdEndpoints = []string{"https://10.9.9.9:2379"} },
			"warning external-etcd: ConfigMap kube-system/kubeadm-config: the API servers use etcd at https://10.9.9.9:2379, and no member on e1, e2, e3 says that it is there"},
		"out of reach": {func(c *Cluster, _ *Settings) {
			c.ExternalEtcd.Hosts[1] = BinaryHost{Node: "e2", Problem: "no route to host"}
		},
			"error host: e2: no route to host"},
		"no member": {func(c *Cluster, _ *Settings) { c.ExternalEtcd.Hosts[1].Binaries = nil },
			"error unit: e2: no unit of systemd starts etcd"},
		"not to be had": {func(c *Cluster, _ *Settings) {
			c.ExternalEtcd.Hosts[1].Missing = []MissingBinary{{Etcd, MustVersion("v3.7.0"), "404"}}
		}, "error download: e2: etcd v3.7.0 cannot be had: 404"},
		"no way": {func(_ *Cluster, s *Settings) { s.Binaries.Etcd = versions("v3.7.0") },
			"error etcd-version: etcd: before v3.7, etcd wants every member at v3.6.11 or newer; the source has none of that minor"},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := withExternalEtcd("v3.6.8", "v3.6.8", "v3.6.8")
			x.change(&c, &s)
			var said []string
			for _, f := range MakePlan(c, Wanted{Target: v137}, s).Findings {
				said = append(said, string(f.Severity)+" "+f.ID+": "+f.String())
			}
			require.Contains(t, strings.Join(said, "\n"), x.want)
		})
	}
	c, s := withExternalEtcd("v3.6.8")
	c.ExternalEtcd, s.Binaries = nil, BinarySettings{}
	require.Equal(t, -1, MakePlan(c, Wanted{Target: v137}, s).SnapshotAt(), "nobody knows where it is")
}

func TestByHandPlanWithEtcdOnHostsOfItsOwn(t *testing.T) {
	c, s := byHandCluster(2, 1, v136), byHandSettings(2)
	s.Binaries.EtcdHosts, s.Binaries.Etcd = []string{"e1"}, versions("v3.6.16")
	for i := range c.ByHand.Hosts[:2] {
		c.ByHand.Hosts[i].Binaries = c.ByHand.Hosts[i].Binaries[1:]
	}
	c.ByHand.Hosts = append([]BinaryHost{byHand("e1", etcd+" v3.6.8")}, c.ByHand.Hosts...)
	c.ByHand.Members = []EtcdMember{{Node: "e1", Endpoint: "https://e1", Version: MustVersion("v3.6.8"), Leader: true}}
	p := MakePlan(c, Wanted{Target: v137}, s)
	require.Empty(t, p.Errors())
	require.Contains(t, walked(p)[0], "v1.37.2: e1/etcd-v3.6.16, cp1/kube-apiserver, cp2/kube-apiserver")
	require.Equal(t, []string{"e1", "cp1", "cp2"}, s.Machines())
}
