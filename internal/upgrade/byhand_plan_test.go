package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// byHandCluster has control plane hosts that are no nodes, and workers, all at the version.
func byHandCluster(controlPlanes, workers int, v Version) Cluster {
	c := Cluster{Name: "hard", Version: v, ByHand: &ByHand{}}
	host := func(name string, components ...string) {
		h := BinaryHost{Node: name, Arch: "amd64", Machine: "x86_64"}
		for _, component := range components {
			b := Binary{Component: component, Path: "/usr/local/bin/" + component, OnDisk: v}
			if component == Etcd {
				b.OnDisk = MustVersion("v3.6.8")
			}
			if component != Kubectl {
				b.Unit = BinaryUnit{Name: component + ".service", Files: []string{"/etc/systemd/system/" + component + ".service"}, Active: "active", Running: b.OnDisk}
			}
			h.Binaries = append(h.Binaries, b)
		}
		c.ByHand.Hosts = append(c.ByHand.Hosts, h)
	}
	for i := range controlPlanes {
		name := fmt.Sprintf("cp%d", i+1)
		host(name, Etcd, APIServer, ControllerManager, Scheduler, Kubectl)
		c.ByHand.Members = append(c.ByHand.Members, EtcdMember{Node: name, Endpoint: "https://" + name, Version: MustVersion("v3.6.8"), Leader: i == 0})
	}
	for i := range workers {
		name := fmt.Sprintf("w%d", i+1)
		host(name, Kubelet, KubeProxy)
		c.Nodes = append(c.Nodes, Node{Name: name, Address: "10.0.0.1", Kubelet: v, Ready: true, Pool: DefaultPool})
	}
	return c
}

func byHandSettings(controlPlanes int) Settings {
	s := Settings{Provider: ProviderBinaries, MaxUnavailable: AtMost(1), Pools: []PoolSettings{{Name: DefaultPool, Strategy: Rolling}}}
	for i := range controlPlanes {
		s.Binaries.ControlPlane = append(s.Binaries.ControlPlane, fmt.Sprintf("cp%d", i+1))
	}
	return s
}

func TestByHandPlanGoesComponentByComponent(t *testing.T) {
	s := byHandSettings(3)
	s.Binaries.Etcd = versions("v3.6.16", "v3.7.0")
	p := MakePlan(byHandCluster(3, 2, v136), Wanted{Target: v137}, s)
	require.Empty(t, p.Errors())
	require.Equal(t, []string{"v1.37.2: " + strings.Join([]string{
		"cp2/etcd-v3.6.16, cp3/etcd-v3.6.16, cp1/etcd-v3.6.16", "cp2/etcd-v3.7.0, cp3/etcd-v3.7.0, cp1/etcd-v3.7.0",
		"cp1/kube-apiserver, cp2/kube-apiserver, cp3/kube-apiserver", "cp1/kube-controller-manager, cp2/kube-controller-manager, cp3/kube-controller-manager",
		"cp1/kube-scheduler, cp2/kube-scheduler, cp3/kube-scheduler", "cp1/kubectl, cp2/kubectl, cp3/kubectl"}, ", ") + " | w1, w2"}, walked(p))
	require.Equal(t, []Step{FetchBinaries, DrainNode, SwapBinaries, VerifyNode, UncordonNode}, p.Hops[0].Workers[0].Steps)
	require.Equal(t, []BinaryChange{{Kubelet, v136, v137}, {KubeProxy, v136, v137}}, p.Hops[0].Workers[0].Changes)
	require.Len(t, p.Hops[0].Phases(), 1)
	var backups []string
	for _, n := range p.BackUps(p.Hops[0]) {
		backups = append(backups, n.Host)
	}
	require.Equal(t, []string{"cp1", "cp2", "cp3"}, backups)
	require.Equal(t, 2, p.Drains)
}

func TestByHandPlanOverTwoMinorsDrainsOnce(t *testing.T) {
	v138 := MustVersion("v1.38.1")
	c := byHandCluster(1, 2, v136)
	p := MakePlan(c, Wanted{Target: v138}, byHandSettings(1))
	require.True(t, p.Refused())
	require.Contains(t, p.Errors()[0].String(), "the way goes through v1.37, and nobody says which release of it; name it: --through v1.37.0")
	p = MakePlan(c, Wanted{Target: v138, Through: []Version{v137}}, byHandSettings(1))
	require.Empty(t, p.Errors())
	require.Len(t, p.Hops, 2)
	require.Empty(t, p.Hops[0].Workers)
	require.Len(t, p.Hops[1].Workers, 2)
	require.Equal(t, v136, p.Hops[1].Workers[0].From)
	require.Equal(t, 2, p.Drains)
}

func TestByHandPlanFinishesWhatWasBegun(t *testing.T) {
	c := byHandCluster(2, 1, v136)
	c.ByHand.Hosts[0] = c.ByHand.Hosts[0].at(BinaryChange{Component: APIServer, To: v137})
	require.Equal(t, v136, c.ByHand.OldestAPIServer())
	p := MakePlan(c, Wanted{Target: v137}, byHandSettings(2))
	require.Empty(t, p.Errors())
	require.Contains(t, walked(p)[0], "v1.37.2: cp2/kube-apiserver, cp1/kube-controller-manager")
}

func TestByHandPlanChangesTheRuntimeOnDrainedNodes(t *testing.T) {
	of := func(component, version string) ComponentVersion {
		return ComponentVersion{component, MustVersion(version)}
	}
	c := byHandCluster(1, 2, v136)
	c.ByHand.Hosts[0].Binaries = append(c.ByHand.Hosts[0].Binaries, byHand("", Runc+" v1.3.2").Binaries...) // no node: nobody could drain it
	for i, runtime := range []string{"v2.3.6", "v2.3.7"} {
		h := &c.ByHand.Hosts[i+1]
		h.Binaries = append(h.Binaries, byHand("", Containerd+" "+runtime, Runc+" v1.3.2", CNIPlugins+" v1.10.0").Binaries...)
	}
	s := byHandSettings(1)
	s.Binaries.Runtime = []ComponentVersion{of(Containerd, "v2.3.7"), of(Runc, "v1.3.3"), of(CNIPlugins, "v1.9.1")}
	rows := func(p Plan) string {
		var all []string
		for _, r := range p.Components {
			if slices.Contains([]string{Containerd, Runc, CNIPlugins}, r.Name) {
				all = append(all, fmt.Sprintf("%s %s>%s %d %s", r.Name, r.Current, r.Target, r.Nodes, r.By))
			}
		}
		return strings.Join(all, ", ")
	}

	p := MakePlan(c, Wanted{Target: v137}, s)
	require.Empty(t, p.Errors())
	require.Equal(t, []BinaryChange{{Containerd, MustVersion("v2.3.6"), MustVersion("v2.3.7")}, {Runc, MustVersion("v1.3.2"), MustVersion("v1.3.3")},
		{Kubelet, v136, v137}, {KubeProxy, v136, v137}}, p.Hops[0].Workers[0].Changes, "the runtime before the kubelet; plugins that are newer stay")
	require.Equal(t, []BinaryChange{{Runc, MustVersion("v1.3.2"), MustVersion("v1.3.3")}, {Kubelet, v136, v137}, {KubeProxy, v136, v137}}, p.Hops[0].Workers[1].Changes)
	require.Equal(t, "containerd v2.3.6>v2.3.7 1 pawl, containerd v2.3.7>v2.3.7 1 , runc v1.3.2> 1 , runc v1.3.2>v1.3.3 2 pawl, cni-plugins v1.10.0> 2 ", rows(p))

	at137 := byHandCluster(1, 2, v137)
	at137.ByHand.Hosts[1].Binaries = append(at137.ByHand.Hosts[1].Binaries, byHand("", Runc+" v1.3.2").Binaries...)
	p = MakePlan(at137, Wanted{Target: v137}, s)
	require.Empty(t, p.Errors())
	require.Equal(t, []string{"v1.37.2:  | w1"}, walked(p), "for the runtime alone")
	require.Equal(t, []Step{FetchBinaries, DrainNode, SwapBinaries, VerifyNode, UncordonNode}, p.Hops[0].Workers[0].Steps)
	require.Contains(t, fmt.Sprint(p.Findings), "containerd is to go to v2.3.7, and was not found: it stays as it is")

	s.Binaries.Runtime = nil
	require.Empty(t, MakePlan(at137, Wanted{Target: v137}, s).Hops, "it stays where nobody asks for it")
}

func TestByHandPlanShowsWhatAPersonHasToDo(t *testing.T) {
	c := byHandCluster(1, 1, v136)
	c.CoreDNS, c.KubeProxy.Version = []string{"v1.14.2"}, v136
	c.CloudControllers = []CloudController{{"DaemonSet kube-system/aws-cloud-controller-manager", "v1.36.0"}}
	c.ByHand.Hosts[0].CloudControllers = []string{"openstack-cloud-controller-manager.service"}
	p := MakePlan(c, Wanted{Target: v137}, byHandSettings(1))
	require.Empty(t, p.Errors())
	var rows []string
	for _, r := range p.Components {
		if r.Target == "" && r.Name != Etcd {
			rows = append(rows, r.Name+" "+r.Current)
		}
	}
	require.Equal(t, []string{"cloud-controller-manager v1.36.0", "cloud-controller-manager unknown", "kube-proxy v1.36.3", "CoreDNS v1.14.2"}, rows)
	var said []string
	for _, f := range p.Findings {
		said = append(said, string(f.Severity)+" "+f.String())
	}
	const stays = "a cloud-controller-manager is its provider's, and stays as it is; afterwards bring it to its release for v1.37"
	require.ElementsMatch(t, []string{"info DaemonSet kube-system/aws-cloud-controller-manager, openstack-cloud-controller-manager.service on cp1: " + stays,
		"warning DaemonSet kube-system/kube-proxy: it is at v1.36.3, and stays so: whoever deployed it changes it; once all API servers are at v1.37.2, set its image to that version"}, said)

	p = MakePlan(c, Wanted{Target: MustVersion("v1.38.1"), Through: []Version{v137}}, byHandSettings(1))
	require.Contains(t, fmt.Sprint(p.Findings), "it may be at most one minor older than the API servers; bring it along after each hop")
}

func TestByHandPlanIsRefused(t *testing.T) {
	c := byHandCluster(1, 1, v136)
	c.ByHand.Hosts[0].Problem = "no route to host"
	p := MakePlan(c, Wanted{Target: v137}, byHandSettings(1))
	require.Contains(t, fmt.Sprint(p.Errors()), "no route to host")
	require.Empty(t, p.Hops)
}
