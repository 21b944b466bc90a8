package upgrade

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// managedCluster is one on EKS at v1.n: a node group of two, and one worker that is replaced.
func managedCluster(n int) Cluster {
	m := eks(n)
	kubelet := MustVersion(fmt.Sprintf("v1.%d.3", n))
	c := Cluster{Name: "prod", Version: m.Version, Managed: &m}
	for _, name := range []string{"ip-1", "ip-2"} {
		c.Nodes = append(c.Nodes, Node{Name: name, Group: "workers", Kubelet: kubelet, Ready: true})
	}
	c.Nodes = append(c.Nodes, Node{Name: "ip-3", Pool: "own", Replaced: true, UID: "u", ProviderID: "aws:///a/i-3", Kubelet: kubelet, Ready: true})
	return c
}

func managedSettings() Settings {
	return Settings{Provider: ProviderEKS, MaxUnavailable: AtMost(1), Pools: []PoolSettings{
		{Name: "own", Selector: "own=true", Strategy: AddNewNodes, MaxSurge: AtMost(1), Provider: "asg"}, {Name: DefaultPool, Strategy: Rolling}}}
}

// walked is what is done, in order: "v1.35: addon/coredns, control-plane | nodegroup/workers".
func walked(p Plan) []string {
	var all []string
	for _, h := range p.Hops {
		names := func(nodes []NodePlan) string {
			var of []string
			for _, n := range nodes {
				of = append(of, n.Node)
			}
			return strings.Join(of, ", ")
		}
		all = append(all, fmt.Sprintf("%s: %s | %s", h.To, names(h.ControlPlane), names(h.Workers)))
	}
	return all
}

func TestManagedPlanOverThreeMinors(t *testing.T) {
	c := managedCluster(34)
	c.Managed.Addons[0].Versions[0].DefaultFor = []Version{minor(37)}
	p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
	require.Empty(t, p.Errors())
	require.Equal(t, []string{
		"v1.35: addon/coredns, control-plane, addon/kube-proxy | ",
		"v1.36: control-plane, addon/kube-proxy | ",
		"v1.37: addon/coredns, control-plane, addon/kube-proxy | nodegroup/workers, ip-3, addon/vpc-cni",
	}, walked(p), "nodes move once, and the other add-ons last")
	require.Equal(t, AddonMove{"coredns", "v1.11.4-eksbuild.2", "v1.11.4-eksbuild.10"}, p.Hops[0].ControlPlane[0].Addon)
	phases := p.Hops[0].Phases()
	require.Len(t, phases, 1, "there are no kubelets of a managed control plane")
	require.Len(t, phases[0].Nodes, 3)
	parts := p.Parts(p.Hops[2])
	require.Equal(t, []string{nodeGroupsPool, "own", addonsPool}, []string{parts[0].Pool.Name, parts[1].Pool.Name, parts[2].Pool.Name})
	require.Equal(t, ByProvider, parts[0].Pool.Strategy)
	require.Greater(t, p.Estimate.Std().Minutes(), 45.0, "three control planes and a node group")
	require.NotEmpty(t, p.Unskippable(1, p.Hops[0].ControlPlane[1]))
	require.Empty(t, p.Unskippable(1, p.Hops[0].ControlPlane[0]))
	require.Empty(t, p.Changes(1, MakePlan(after(t, c, p.Hops[0]), Wanted{Target: minor(37)}, managedSettings())), "the rest is as it was planned")
	require.Equal(t, Wanted{Target: minor(37)}, p.Rest(1, nil), "of minors on the way nobody pins a release")
}

// after is the cluster as the hop leaves it.
func after(t *testing.T, c Cluster, h Hop) Cluster {
	t.Helper()
	m := *c.Managed
	for _, n := range h.ControlPlane {
		if n.Addon.Name != "" {
			m = m.WithAddons([]AddonMove{n.Addon})
		}
	}
	m.Version = h.To
	c.Managed, c.Version, c.Nodes = &m, h.To, h.leaves(c.Nodes)
	return c
}

func TestManagedPlanEveryMinor(t *testing.T) {
	s := managedSettings()
	s.WorkerPath = EveryMinor
	p := MakePlan(managedCluster(35), Wanted{Target: minor(37)}, s)
	require.Equal(t, []string{
		"v1.36: addon/coredns, control-plane, addon/kube-proxy | nodegroup/workers",
		"v1.37: control-plane, addon/kube-proxy | nodegroup/workers, ip-3",
	}, walked(p))
}

func TestNodesThatReplaceThemselvesAreWaitedFor(t *testing.T) {
	c := managedCluster(36)
	c.Nodes[2].Replaced, c.Nodes[2].Keeper = false, KeptByKarpenter
	p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
	require.NotContains(t, ids(p.Findings), NodeUnmanaged)
	require.Equal(t, []string{"v1.37: addon/coredns, control-plane, addon/kube-proxy | nodegroup/workers, self-replacing-nodes"}, walked(p))
}

func TestPodsOnFargateAreRestartedByRequest(t *testing.T) {
	c := managedCluster(36)
	c.Managed.Fargate = []string{"batch"}
	c.Nodes[2].Replaced, c.Nodes[2].Keeper = false, KeptByFargate
	s := managedSettings()
	p := MakePlan(c, Wanted{Target: minor(37)}, s)
	require.Contains(t, ids(p.Findings), NodeUnmanaged)
	require.Equal(t, []string{"v1.37: addon/coredns, control-plane, addon/kube-proxy | nodegroup/workers"}, walked(p), "unless somebody asks for it they are left alone")

	s.RestartFargate = true
	p = MakePlan(c, Wanted{Target: minor(37)}, s)
	require.Empty(t, p.Errors())
	require.NotContains(t, ids(p.Findings), NodeUnmanaged)
	require.Equal(t, []string{"v1.37: addon/coredns, control-plane, addon/kube-proxy | nodegroup/workers, pods-on-fargate"}, walked(p))
	restart := p.Hops[0].Workers[1]
	require.Equal(t, []Step{RestartFargate}, restart.Steps)
	require.Empty(t, p.Unskippable(1, restart))

	// Over more minors than a kubelet may stay behind they move on the way, too.
	c = managedCluster(34)
	c.Nodes[2].Replaced, c.Nodes[2].Keeper, c.Nodes[2].Kubelet = false, KeptByFargate, MustVersion("v1.32.9")
	p = MakePlan(c, Wanted{Target: minor(37)}, s)
	require.Empty(t, p.Errors())
	require.Equal(t, []string{
		"v1.35: addon/coredns, control-plane, addon/kube-proxy | pods-on-fargate",
		"v1.36: control-plane, addon/kube-proxy | ",
		"v1.37: addon/coredns, control-plane, addon/kube-proxy | nodegroup/workers, pods-on-fargate",
	}, walked(p))
	require.Empty(t, p.Changes(1, MakePlan(after(t, c, p.Hops[0]), Wanted{Target: minor(37)}, s)), "the rest is as it was planned")
}

func TestCommandsOfManagedClustersNeedAHost(t *testing.T) {
	s := managedSettings()
	s.Hooks = []Hook{{Name: "a", When: BeforeHop, Kind: CommandHook}, {Name: "b", When: BeforeHop, Kind: HTTPHook}, {Name: "c", When: BeforeNode, Kind: CommandHook}, {Name: "d", When: AfterHop, Kind: CommandHook, Host: "bastion", HostOutside: true}}
	p := MakePlan(managedCluster(36), Wanted{Target: minor(37)}, s)
	require.Len(t, p.Errors(), 1)
	require.Equal(t, "a: it runs on the first control plane node's host, and the provider has that; say under host where it runs, or make it a Job", p.Errors()[0].String())
}

func TestManagedPlanFinishesWhatWasLeft(t *testing.T) {
	c := managedCluster(37)
	for _, n := range []int{0, 1} {
		c.Nodes[n].Kubelet = MustVersion("v1.36.3")
	}
	c.Managed.NodeGroups[0].Version = minor(36)
	p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
	require.Empty(t, p.Errors())
	require.Equal(t, []string{"v1.37:  | nodegroup/workers"}, walked(p))
	c.Managed.NodeGroups[0].Version = minor(37)
	require.Empty(t, MakePlan(c, Wanted{Target: minor(37)}, managedSettings()).Hops)
}

func TestNodeGroupsCatchUpBeforeTheControlPlaneGoesOn(t *testing.T) {
	c := managedCluster(35)
	for i := range 2 {
		c.Nodes[i].Kubelet = MustVersion("v1.32.3")
	}
	c.Managed.NodeGroups[0].Version = minor(32)
	p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
	require.Empty(t, p.Errors())
	require.Equal(t, []string{
		"v1.35:  | nodegroup/workers",
		"v1.36: addon/coredns, control-plane, addon/kube-proxy | ",
		"v1.37: control-plane, addon/kube-proxy | nodegroup/workers, ip-3",
	}, walked(p))
}

func TestNodesThatNobodyMovesStayWithinTheSkewPolicy(t *testing.T) {
	for name, change := range map[string]func(*Node){
		"of nobody": func(n *Node) { n.Replaced = false },
		"Fargate":   func(n *Node) { n.Replaced, n.Keeper = false, KeptByFargate },
		"Karpenter": func(n *Node) { n.Replaced, n.Keeper = false, KeptByKarpenter },
	} {
		c := managedCluster(35)
		c.Nodes[2].Kubelet = MustVersion("v1.33.3")
		change(&c.Nodes[2])
		require.Empty(t, MakePlan(c, Wanted{Target: minor(36)}, managedSettings()).Errors(), name)
		p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
		require.Equal(t, []string{VersionSkew}, ids(p.Errors()), name)
		require.Contains(t, p.Errors()[0].String(), "kubelet on ip-3 is v1.33.3, would be 4 minors behind at v1.37; at most 3 are allowed")
	}
}

func TestManagedPlanIsRefused(t *testing.T) {
	for name, of := range map[string]struct {
		change func(*Cluster)
		says   string
	}{
		"insight":   {func(c *Cluster) { c.Managed.Status = "FAILED" }, "the control plane is FAILED"},
		"downgrade": {func(c *Cluster) { c.Managed.Version = minor(38) }, "is a downgrade"},
		"node":      {func(c *Cluster) { c.Nodes[0].Ready = false }, "the node is not Ready"},
	} {
		c := managedCluster(36)
		of.change(&c)
		p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
		require.True(t, p.Refused(), name)
		require.Contains(t, p.Errors()[0].String(), of.says)
		require.Empty(t, p.Hops)
	}
	c := managedCluster(36)
	c.Nodes[2].Replaced = false
	p := MakePlan(c, Wanted{Target: minor(37)}, managedSettings())
	require.Empty(t, p.Errors())
	require.Contains(t, ids(p.Findings), NodeUnmanaged)
}

func TestPoliciesOfManaged(t *testing.T) {
	for text, want := range map[string]Version{"newest-patch": minor(34), "newest-minor": minor(37), "newest-minor-less-1": minor(36)} {
		policy, err := ParsePolicy(text)
		require.NoError(t, err, text)
		p := MakePlan(managedCluster(34), Wanted{Policy: policy}, managedSettings())
		require.Equal(t, want, p.Target, text)
	}
}

func TestGoingBack(t *testing.T) {
	c := managedCluster(36)
	now := day(2026, time.November, 28)
	c.Managed.UpgradedAt = now.Add(-24 * time.Hour)
	p := MakePlan(c, Wanted{RollBack: true, Now: now}, managedSettings())
	require.True(t, p.Refused())
	require.Contains(t, fmt.Sprint(p.Errors()), "bring the node group back first", "what has followed goes first")

	for i := range c.Nodes {
		c.Nodes[i].Kubelet = MustVersion("v1.35.3")
	}
	c.Managed.NodeGroups[0].Version = minor(35)
	c.Managed.Addons[1].Version = "v1.35.1-eksbuild.1"
	p = MakePlan(c, Wanted{RollBack: true, Now: now}, managedSettings())
	require.Empty(t, p.Errors())
	require.Equal(t, []string{"v1.35: control-plane | "}, walked(p))
	require.Equal(t, []Step{RollBackControlPlane}, p.Hops[0].ControlPlane[0].Steps)

	p = MakePlan(c, Wanted{RollBack: true, Now: now.Add(8 * 24 * time.Hour)}, managedSettings())
	require.Contains(t, fmt.Sprint(p.Errors()), "began more than 7 days ago")

	for _, s := range []Settings{settings(), {Provider: ProviderBinaries}} {
		require.ErrorContains(t, Wanted{RollBack: true}.Check(s), "only a control plane that a provider runs can go back")
	}
	require.NoError(t, Wanted{RollBack: true}.Check(managedSettings()))
}
