package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var v136, v137 = MustVersion("v1.36.3"), MustVersion("v1.37.2")

// healthy is a cluster with nothing in the way of an upgrade to v1.37.2.
func healthy(controlPlanes, workers int) Cluster {
	c := Cluster{Name: "lab", Version: v136}
	for i := range controlPlanes {
		c.Nodes = append(c.Nodes, nodeAt(fmt.Sprintf("cp%d", i+1), true, v136))
	}
	for i := range workers {
		c.Nodes = append(c.Nodes, nodeAt(fmt.Sprintf("w%d", i+1), false, v136))
	}
	return c
}

func nodeAt(name string, controlPlane bool, v Version) Node {
	n := Node{Name: name, Address: "10.0.0.1", ControlPlane: controlPlane, Kubelet: v, Ready: true,
		Host: Host{OS: "debian", PackageManager: "apt", Kubeadm: v, Available: []Version{v137}, FreeBytes: 1 << 40}}
	if controlPlane {
		n.Components = map[string]Version{APIServer: v, ControllerManager: v, Scheduler: v}
	}
	return n
}

// versions parses them all.
func versions(texts ...string) []Version {
	var all []Version
	for _, s := range texts {
		all = append(all, MustVersion(s))
	}
	return all
}

func settings() Settings { return Settings{Repository: "https://pkgs", MaxUnavailable: AtMost(1)} }

func TestPlanOfAHealthyCluster(t *testing.T) {
	c := healthy(3, 2)
	slices.Reverse(c.Nodes)
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.Empty(t, p.Findings)
	require.Len(t, p.Hops, 1)
	var order []string
	for _, n := range p.Hops[0].NodePlans() {
		order = append(order, n.Node+" "+string(n.Role))
	}
	require.Equal(t, []string{"cp1 firstControlPlane", "cp2 additionalControlPlane", "cp3 additionalControlPlane", "w1 worker", "w2 worker"}, order)
	require.Equal(t, KubeadmSteps(FirstControlPlane, false), p.Hops[0].ControlPlane[0].Steps)
	require.Equal(t, KubeadmSteps(Worker, false), p.Hops[0].Workers[0].Steps)
}

func TestPlanRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Cluster)
		target string
		want   string
	}{
		"downgrade":   {nil, "v1.35.4", "lab: v1.36.3 to v1.35.4 is a downgrade, which Kubernetes does not support; choose a target of v1.36.3 or newer"},
		"far away":    {nil, "v1.99.0", "lab: v1.36.3 to v1.99.0 is a way of more than 20 minors; check the target"},
		"other major": {nil, "v2.0.0", "lab: v1.36.3 to v2.0.0 crosses a major version; choose a target of the same major version"},
		"old kubelet": {func(c *Cluster) { c.Nodes[1].Kubelet = MustVersion("v1.33.0") }, "v1.37.2",
			"w1: kubelet on w1 is v1.33.0, would be 4 minors behind at v1.37; at most 3 are allowed; bring that kubelet within the skew policy first"},
		"old kubelet on the way": {func(c *Cluster) { c.Nodes[1].Kubelet = MustVersion("v1.33.0") }, "v1.38.0",
			"w1: kubelet on w1 is v1.33.0, would be 4 minors behind at v1.37; at most 3 are allowed; bring that kubelet within the skew policy first"},
		"nothing of the target's minor": {nil, "v1.38.0",
			"cp1, w1: the repository https://pkgs/v1.38 has no kubeadm v1.38.0 (it has none of that minor); choose a version that it has, or update the mirror"},
		"nothing of a minor on the way": {func(c *Cluster) { offer(c, "v1.38.0") }, "v1.38.0",
			"cp1, w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.0 (it has none of that minor); update the mirror: the way to v1.38.0 goes through v1.37"},
		"only a pre-release on the way": {func(c *Cluster) { offer(c, "v1.37.0-rc.1", "v1.38.0") }, "v1.38.0",
			"cp1, w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.0 (its newest is v1.37.0-rc.1); update the mirror: the way to v1.38.0 goes through v1.37"},
		"no patch in common on the way": {func(c *Cluster) {
			c.Nodes[0].Host.Available, c.Nodes[1].Host.Available = versions("v1.37.2", "v1.38.0"), versions("v1.37.1", "v1.38.0")
		}, "v1.38.0",
			"w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.2 (its newest is v1.37.1); update the mirror: the way to v1.38.0 goes through v1.37"},
		"older patches than one that is installed": {func(c *Cluster) {
			offer(c, "v1.37.2", "v1.38.0")
			c.Nodes[0].Components[APIServer] = MustVersion("v1.37.6")
		}, "v1.38.0",
			"cp1, w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.6 (its newest is v1.37.2); update the mirror: the way to v1.38.0 goes through v1.37"},
		"not ready": {func(c *Cluster) { c.Nodes[1].Ready = false }, "v1.37.2",
			"w1: the node is not Ready; repair it or remove it from the cluster first"},
		"no such package": {func(c *Cluster) {
			c.Nodes[1].Host.Available = []Version{MustVersion("v1.37.0"), MustVersion("v1.37.1")}
		}, "v1.37.2",
			"w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.2 (its newest is v1.37.1); choose a version that it has, or update the mirror"},
		"empty repository": {func(c *Cluster) { c.Nodes[1].Host.Available = nil }, "v1.37.2",
			"w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.2 (it has none of that minor); choose a version that it has, or update the mirror"},
		"repository that cannot be read": {func(c *Cluster) {
			c.Nodes[1].Host.Available, c.Nodes[1].Host.Unread = nil, Unread{MustVersion("v1.37.0"), "read the package repository https://pkgs/v1.37: 403; look whether it can be reached"}
		}, "v1.37.2", "w1: read the package repository https://pkgs/v1.37: 403; look whether it can be reached"},
		"unreachable host": {func(c *Cluster) { c.Nodes[1].Host = Host{Problem: "dial root@w1: connection refused"} }, "v1.37.2",
			"w1: dial root@w1: connection refused"},
		"no package manager": {func(c *Cluster) { c.Nodes[1].Host.PackageManager, c.Nodes[1].Host.OS = "", "flatcar" }, "v1.37.2",
			"w1: no package manager that pawl knows (os flatcar); apt, dnf and zypper are supported"},
		"disk": {func(c *Cluster) { c.Nodes[0].Host.FreeBytes = 1 << 20 }, "v1.37.2",
			"cp1: 1 MiB free under /var/lib, 256 MiB needed for backups; free some space, or waive disk-space"},
		"disk for every hop's backup": {func(c *Cluster) {
			offer(c, "v1.37.2", "v1.38.0")
			c.Nodes[0].Host.EtcdBytes, c.Nodes[0].Host.FreeBytes = 512<<20, 2000<<20
		}, "v1.38.0",
			"cp1: 2000 MiB free under /var/lib, 2304 MiB needed for backups; free some space, or waive disk-space"},
		"newer kubeadm": {func(c *Cluster) { c.Nodes[1].Host.Kubeadm = MustVersion("v1.37.5") }, "v1.37.2",
			"w1: kubeadm is v1.37.5, newer than the target v1.37.2; choose a target of v1.37.5 or newer, or install the older kubeadm"},
		"newer kubelet": {func(c *Cluster) { c.Nodes[1].Kubelet = MustVersion("v1.37.5") }, "v1.37.2",
			"w1: kubelet is v1.37.5, newer than the target v1.37.2; choose a target of v1.37.5 or newer"},
		"kubeadm beyond the way": {func(c *Cluster) {
			offer(c, "v1.37.2", "v1.38.0")
			c.Nodes[1].Host.Kubeadm = MustVersion("v1.38.0")
		}, "v1.38.0",
			"w1: kubeadm is v1.38.0, newer than v1.37.2, which comes before the target; install an older one first"},
		"component beyond the way": {func(c *Cluster) {
			offer(c, "v1.37.2", "v1.38.0")
			c.Nodes[0].Components[APIServer] = MustVersion("v1.38.0")
		}, "v1.38.0",
			"cp1: kube-apiserver is v1.38.0, newer than v1.37.2, which comes before the target; install an older one first"},
		"newer component": {func(c *Cluster) { c.Nodes[0].Components[Scheduler] = MustVersion("v1.37.5") }, "v1.37.2",
			"cp1: kube-scheduler is v1.37.5, newer than the target v1.37.2; choose a target of v1.37.5 or newer"},
		"unhealthy control plane": {func(c *Cluster) {
			c.Problems = []Finding{{Severity: SeverityError, Message: "etcd member unhealthy"}}
		}, "v1.37.2", "etcd member unhealthy"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := healthy(1, 1)
			if c.change != nil {
				c.change(&cluster)
			}
			p := MakePlan(cluster, Wanted{Target: MustVersion(c.target)}, settings())
			require.True(t, p.Refused())
			require.Empty(t, p.Hops, "a refused plan is never walked")
			require.Len(t, p.Errors(), 1)
			require.Equal(t, c.want, p.Errors()[0].String())
		})
	}
}

// offer makes the repositories offer these versions to every node.
func offer(c *Cluster, available ...string) {
	for i := range c.Nodes {
		c.Nodes[i].Host.Available = versions(available...)
	}
}

func TestPlanGoesThroughEveryMinor(t *testing.T) {
	c := healthy(2, 1)
	offer(&c, "v1.37.0", "v1.37.2", "v1.37.3-rc.0", "v1.38.0", "v1.38.1", "v1.39.0", "v1.39.4")
	c.Nodes[1].Host.Available = versions("v1.37.2", "v1.38.0", "v1.38.1", "v1.39.0") // v1.39.4 is not for all
	c.Nodes[2].Kubelet = MustVersion("v1.34.1")                                      // in skew at v1.37, and brought along from there
	s := settings()
	s.WorkerPath = EveryMinor
	p := MakePlan(c, Wanted{Target: MustVersion("v1.39.0")}, s)
	require.Empty(t, p.Findings)
	require.Equal(t, 9, p.Drains)
	require.Equal(t, [][2]Version{{v136, v137}, {v137, MustVersion("v1.38.1")}, {MustVersion("v1.38.1"), MustVersion("v1.39.0")}}, moves(p))
	for i, hop := range p.Hops {
		require.Len(t, hop.NodePlans(), 3)
		require.Equal(t, FirstControlPlane, hop.ControlPlane[0].Role)
		require.Equal(t, AdditionalControlPlane, hop.ControlPlane[1].Role)
		for _, n := range hop.NodePlans() {
			require.Equal(t, KubeadmSteps(n.Role, false), n.Steps)
			require.Equal(t, hop.To, n.To)
			if i > 0 {
				require.Equal(t, hop.From, n.From)
			}
		}
	}
	require.Equal(t, MustVersion("v1.34.1"), p.Hops[0].Workers[0].From)
	require.Equal(t, v136, p.Nodes[0].Components[APIServer], "the plan shows what is where now")
}

// TestFewestDrains: a worker's kubelet moves when the policy wants it to, and kubeadm in every hop.
func TestFewestDrains(t *testing.T) {
	at := func(kubelet string, target string) Plan {
		c := healthy(1, 1)
		for i := range c.Nodes {
			c.Nodes[i] = nodeAt(c.Nodes[i].Name, c.Nodes[i].ControlPlane, MustVersion(kubelet))
		}
		c.Version = MustVersion(kubelet)
		var all []string
		for minor := uint64(10); minor <= 40; minor++ {
			all = append(all, fmt.Sprintf("v1.%d.0", minor))
		}
		offer(&c, all...)
		return MakePlan(c, Wanted{Target: MustVersion(target)}, settings())
	}
	for _, c := range []struct {
		from, to string
		want     string // the worker's kubelet after each hop
	}{
		{"v1.36.0", "v1.37.0", "v1.37.0"},
		{"v1.35.0", "v1.37.0", "v1.35.0 v1.37.0"},
		{"v1.34.0", "v1.37.0", "v1.34.0 v1.34.0 v1.37.0"},
		{"v1.33.0", "v1.37.0", "v1.33.0 v1.33.0 v1.36.0 v1.37.0"},
		{"v1.30.0", "v1.37.0", "v1.30.0 v1.30.0 v1.33.0 v1.33.0 v1.33.0 v1.36.0 v1.37.0"},
		{"v1.10.0", "v1.13.0", "v1.11.0 v1.12.0 v1.13.0"}, // kubeadm before v1.29 takes kubelets of one minor before only
		{"v1.26.0", "v1.31.0", "v1.27.0 v1.27.0 v1.27.0 v1.30.0 v1.31.0"},
	} {
		p := at(c.from, c.to)
		require.Empty(t, p.Findings)
		var got []string
		for _, hop := range p.Hops {
			w := hop.Workers[0]
			got = append(got, w.To.String())
			require.Equal(t, hop.To, w.Kubeadm)
			if w.From == w.To {
				require.True(t, w.KeepsKubelet())
				require.Equal(t, []Step{InstallKubeadm, UpgradeNodeConfig}, w.Steps)
				require.Equal(t, hop.To, w.Version(InstallKubeadm))
				require.Equal(t, hop.To, w.Version(UpgradeNodeConfig))
			} else {
				require.Equal(t, KubeadmSteps(Worker, false), w.Steps)
			}
		}
		require.Equal(t, c.want, strings.Join(got, " "), "%s to %s", c.from, c.to)
	}
	require.Equal(t, 3+1, at("v1.34.0", "v1.37.0").Drains, "three of the control plane node, one of the worker")
}

func TestWaivers(t *testing.T) {
	c := healthy(1, 1)
	c.Nodes[0].Host.FreeBytes = 1 << 20
	p := MakePlan(c, Wanted{Target: v137, Waive: []string{DiskSpace}}, settings())
	require.False(t, p.Refused())
	require.Len(t, p.Hops, 1)
	require.Equal(t, SeverityError, p.Findings[0].Severity, "it is what it is")
	require.True(t, p.Findings[0].Waived)
	require.Equal(t, "cp1: 1 MiB free under /var/lib, 256 MiB needed for backups (waived)", p.Findings[0].String())

	c.Nodes[1].Ready = false
	p = MakePlan(c, Wanted{Target: v137, Waive: []string{DiskSpace, NodeReady}}, settings())
	require.Len(t, p.Errors(), 2, "what cannot be waived stays, and is not ignored silently")
	require.Equal(t, `"node-ready" cannot be waived; these can: `+strings.Join(waivable, ", "), p.Errors()[1].String())
}

func TestVersionsThatAreOutOfThePolicyNow(t *testing.T) {
	c := healthy(2, 1)
	c.Nodes[0].Components[Scheduler] = v137
	c.Nodes[2].Kubelet, c.Nodes[2].Host.Kubeadm = v137, v137
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.False(t, p.Refused())
	require.Len(t, p.Findings, 2)
	require.Equal(t, "cp1: kube-scheduler is v1.37.2; v1.35 to v1.36 are allowed beside kube-apiserver v1.36.3; the upgrade puts it right", p.Findings[0].String())
	require.Equal(t, "w1: kubelet is v1.37.2; v1.33 to v1.36 are allowed beside kube-apiserver v1.36.3; the upgrade puts it right", p.Findings[1].String())
	require.Equal(t, "https://kubernetes.io/releases/version-skew-policy/#kubelet", p.Findings[1].Source)

	c = healthy(2, 0)
	c.Nodes[1].Components = map[string]Version{APIServer: MustVersion("v1.34.0"), ControllerManager: MustVersion("v1.34.0"), Scheduler: MustVersion("v1.34.0")}
	offer(&c, "v1.35.4", "v1.36.3", "v1.37.2")
	p = MakePlan(c, Wanted{Target: v137}, settings())
	require.True(t, p.Refused())
	require.Contains(t, p.Errors()[len(p.Errors())-1].String(), "API servers may be one minor apart, these are 2")
}

func TestRepositoriesBeyondTheTargetDoNotMatter(t *testing.T) {
	c := healthy(1, 1)
	for i := range c.Nodes {
		c.Nodes[i].Host.Unread = Unread{MustVersion("v1.38.0"), "there is none"}
	}
	require.Empty(t, MakePlan(c, Wanted{Target: v137}, settings()).Findings)
	require.Equal(t, "cp1, w1: there is none", MakePlan(c, Wanted{Target: MustVersion("v1.38.0")}, settings()).Errors()[0].String())
}

func TestStopsMayBePinned(t *testing.T) {
	c := healthy(1, 1)
	offer(&c, "v1.37.0", "v1.37.2", "v1.38.0", "v1.38.1", "v1.39.0")
	v139 := MustVersion("v1.39.0")
	p := MakePlan(c, Wanted{Target: v139, Through: versions("v1.37.0")}, settings())
	require.Empty(t, p.Findings)
	require.Equal(t, [][2]Version{{v136, MustVersion("v1.37.0")}, {MustVersion("v1.37.0"), MustVersion("v1.38.1")}, {MustVersion("v1.38.1"), v139}}, moves(p))
	for pin, want := range map[string]string{
		"v1.37.9": "cp1, w1: the repository https://pkgs/v1.37 has no kubeadm v1.37.9 (its newest is v1.37.2); update the mirror: the way to v1.39.0 goes through v1.37",
		"v1.36.9": "lab: the way to v1.39.0 does not pass v1.36 before its last hop, so v1.36.9 cannot be a stop on it; name one release for each minor between the cluster's and the target's",
		"v1.39.0": "lab: the way to v1.39.0 does not pass v1.39 before its last hop, so v1.39.0 cannot be a stop on it; name one release for each minor between the cluster's and the target's",
	} {
		p := MakePlan(c, Wanted{Target: v139, Through: versions(pin)}, settings())
		require.Len(t, p.Errors(), 1)
		require.Equal(t, want, p.Errors()[0].String())
	}
	p = MakePlan(c, Wanted{Target: v139, Through: versions("v1.37.0", "v1.37.2")}, settings())
	require.Equal(t, "lab: two stops are pinned for v1.37; name one release for each minor between the cluster's and the target's", p.Errors()[0].String())
}

// TestWorkersThatWereLeftBehindCatchUp: whoever upgraded only the control plane has workers whose kubeadm would skip a
// minor at the next one.
func TestWorkersThatWereLeftBehindCatchUp(t *testing.T) {
	v135 := MustVersion("v1.35.4")
	c := healthy(1, 2)
	offer(&c, "v1.36.3", "v1.37.2")
	c.Nodes[1] = nodeAt("w1", false, v135)
	c.Nodes[1].Host.Available = versions("v1.36.3", "v1.37.2")
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.Empty(t, p.Findings)
	require.Equal(t, [][2]Version{{v136, v136}, {v136, v137}}, moves(p))
	require.Empty(t, p.Hops[0].ControlPlane)
	require.Len(t, p.Hops[0].Workers, 1)
	require.Equal(t, "w1", p.Hops[0].Workers[0].Node)
	require.True(t, p.Hops[0].Workers[0].KeepsKubelet())
	require.Equal(t, 3, p.Drains)

	require.Equal(t, v136, CatchUp(c, c.Nodes[1], v137))
	require.Zero(t, CatchUp(c, c.Nodes[2], v137), "w2 was not left behind")
	require.Zero(t, CatchUp(c, c.Nodes[1], MustVersion("v1.36.5")), "within the minor nothing is skipped")
	c.Nodes[1].Host.Kubeadm = MustVersion("v1.34.1")
	require.Equal(t, "w1: kubeadm is v1.34.1; one of v1.36 may manage a node only after one of the minor before; "+
		"replace that node by a new one, or waive kubeadm-skew",
		MakePlan(c, Wanted{Target: v137}, settings()).Errors()[0].String(), "too far even for where the cluster is")

	p = MakePlan(c, Wanted{Target: v137, Waive: []string{KubeadmSkew}}, settings())
	require.False(t, p.Refused())
	require.Equal(t, [][2]Version{{v136, v136}, {v136, v137}}, moves(p))
	require.Equal(t, "w1: kubeadm is v1.34.1; one of v1.36 may manage a node only after one of the minor before (waived)", p.Findings[0].String())
	require.Contains(t, p.Findings[0].Source, "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/")

	c.Nodes[1].Host.Kubeadm = v135
	c.Nodes[2] = nodeAt("w2", false, MustVersion("v1.36.9"))
	offer(&c, "v1.36.3", "v1.37.2")
	p = MakePlan(c, Wanted{Target: v137}, settings())
	require.Empty(t, p.Findings, "a newer patch on another worker is in nobody's way")
	require.Len(t, p.Hops[0].Workers, 1)

	c.Nodes[2] = nodeAt("w2", false, v135) // which is not offered what w1 is
	p = MakePlan(c, Wanted{Target: v137}, settings())
	require.Len(t, p.Errors(), 1)
	require.Contains(t, p.Errors()[0].String(), "w2: kubeadm is v1.35.4; one of v1.37")
	p = MakePlan(c, Wanted{Target: v137, Waive: []string{KubeadmSkew}}, settings())
	require.False(t, p.Refused())
	require.Len(t, p.Hops[0].Workers, 1, "w1 catches up all the same")
	c.Nodes[2] = nodeAt("w2", false, MustVersion("v1.36.9"))

	offer(&c, "v1.37.2")
	require.Contains(t, MakePlan(c, Wanted{Target: v137}, settings()).Errors()[0].String(), "w1: kubeadm is v1.35.4; one of v1.37",
		"what would help is not offered")
}

func moves(p Plan) [][2]Version {
	var all [][2]Version
	for _, hop := range p.Hops {
		all = append(all, [2]Version{hop.From, hop.To})
	}
	return all
}

func TestHalfDoneUpgradeOverSeveralMinors(t *testing.T) {
	v138 := MustVersion("v1.38.0")
	c := healthy(2, 3)
	offer(&c, "v1.37.1", "v1.37.2", "v1.38.0")
	c.Version = v137
	c.Nodes[0] = nodeAt("cp1", true, v137) // all done for v1.37, and the repository may be gone
	c.Nodes[0].Host.Available = versions("v1.38.0")
	c.Nodes[1].Components[APIServer] = v137 // begun
	c.Nodes[2].Kubelet = MustVersion("v1.35.4")
	c.Nodes[3].CordonedByPawl, c.Nodes[4].Cordoned = true, true
	p := MakePlan(c, Wanted{Target: v138}, settings())
	require.Empty(t, p.Errors())
	require.Equal(t, [][2]Version{{v136, v137}, {v137, v138}}, moves(p))
	first, second := p.Hops[0], p.Hops[1]
	require.Len(t, first.ControlPlane, 1, "cp1 is where the first hop goes")
	require.Equal(t, AdditionalControlPlane, first.ControlPlane[0].Role, "the cluster is configured for it")
	require.Len(t, first.Workers, 3)
	require.Len(t, second.NodePlans(), 5)
	require.Equal(t, UncordonNode, second.Workers[1].Steps[len(second.Workers[1].Steps)-1])
	require.True(t, second.Workers[2].StaysCordoned)

	c.Nodes[1] = nodeAt("cp2", true, v137)
	offer(&c, "v1.37.2", "v1.38.0")
	require.Equal(t, [][2]Version{{v137, v137}, {v137, v138}}, moves(MakePlan(c, Wanted{Target: v138}, settings())), "the workers' kubeadm comes first")
	for i := range c.Nodes {
		c.Nodes[i].Host.Kubeadm = v137
	}
	offer(&c, "v1.38.0") // once kubeadm is through everywhere, nobody needs the minor before any more
	require.Equal(t, [][2]Version{{v137, v138}}, moves(MakePlan(c, Wanted{Target: v138}, settings())))
}

func TestPath(t *testing.T) {
	c := healthy(2, 0)
	for target, want := range map[string][]Version{
		"v1.36.4": versions("v1.36.4"), "v1.37.2": versions("v1.37.2"), "v1.39.1": versions("v1.37.0", "v1.38.0", "v1.39.1"),
		"v1.35.0": nil, "v2.0.0": nil, "v1.18446744073709551615.0": nil,
	} {
		require.Equal(t, want, Path(c, MustVersion(target)), target)
	}
	c.Nodes[1].Components[Scheduler] = MustVersion("v1.35.4")
	require.Equal(t, versions("v1.36.0", "v1.37.2"), Path(c, v137), "from the oldest component")
}

func TestWhatHoldsForSeveralNodesIsSaidOnce(t *testing.T) {
	p := MakePlan(healthy(1, 2), Wanted{Target: MustVersion("v1.37.9")}, settings())
	require.Len(t, p.Errors(), 1)
	require.Equal(t, "cp1, w1, w2", p.Errors()[0].Target)
}

func TestPlanWithoutControlPlane(t *testing.T) {
	p := MakePlan(healthy(0, 1), Wanted{Target: v137}, settings())
	require.Contains(t, p.Errors()[0].String(), "node-role.kubernetes.io/control-plane")
}

func TestFinishedNodesAreLeftOut(t *testing.T) {
	c := healthy(2, 2)
	for i, name := range []string{"cp1", "cp2"} {
		c.Nodes[i] = nodeAt(name, true, v137)
	}
	c.Nodes[2] = nodeAt("w1", false, v137)
	c.Version = v137
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.Empty(t, p.Hops[0].ControlPlane)
	require.Len(t, p.Hops[0].Workers, 1)
	require.Equal(t, "w2", p.Hops[0].Workers[0].Node)
	c.Nodes[3] = nodeAt("w2", false, v137)
	require.Empty(t, MakePlan(c, Wanted{Target: v137}, settings()).Hops, "nothing is left to do")
}

func TestUpgradeIsAppliedWhereItWasBegun(t *testing.T) {
	c := healthy(3, 0)
	c.Nodes[1].Components[APIServer] = v137 // an earlier run got this far on cp2
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.Equal(t, "cp2", p.Hops[0].ControlPlane[0].Node)
	require.Equal(t, FirstControlPlane, p.Hops[0].ControlPlane[0].Role)
}

func TestConfiguredClusterNeedsNoFirstControlPlane(t *testing.T) {
	c := healthy(2, 0)
	c.Version = v137
	c.Nodes[0] = nodeAt("cp1", true, v137)
	c.Nodes[0].Kubelet = v136
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.Len(t, p.Hops[0].ControlPlane, 2)
	for _, n := range p.Hops[0].ControlPlane {
		require.Equal(t, AdditionalControlPlane, n.Role)
	}
}

func TestNodeThatWeLeftCordonedIsFinished(t *testing.T) {
	c := healthy(1, 1)
	c.Version, c.Nodes[0], c.Nodes[1] = v137, nodeAt("cp1", true, v137), nodeAt("w1", false, v137)
	c.Nodes[1].CordonedByPawl = true
	p := MakePlan(c, Wanted{Target: v137}, settings())
	require.Equal(t, []Step{VerifyNode, UncordonNode}, p.Hops[0].Workers[0].Steps)
}

// TestPlansKeepTheSkewPolicy walks generated plans, from clusters that an upgrade may have left anywhere, and checks the
// version skew policy in every state on the way.
func TestPlansKeepTheSkewPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.IntRange(20, 40).Draw(t, "minor")
		c := halfDone(t, minor)
		target := MustVersion(fmt.Sprintf("v1.%d.%d", minor+rapid.IntRange(0, 4).Draw(t, "minors"), rapid.IntRange(3, 6).Draw(t, "patch")))
		for i := range c.Nodes {
			c.Nodes[i].Host.Available = append(c.Nodes[i].Host.Available, target)
		}
		s := settings()
		s.WorkerPath = rapid.SampledFrom([]WorkerPath{FewestDrains, EveryMinor, ""}).Draw(t, "way of the workers")
		w := Wanted{Target: target, Waive: rapid.SampledFrom([][]string{nil, {KubeadmSkew}}).Draw(t, "waived")}
		p := MakePlan(c, w, s)
		if p.Refused() {
			require.Empty(t, p.Hops)
			return
		}
		if w.Waive == nil {
			requireDrains(t, c, p)
		}
		requireFits(t, c, p, w)
		walk(t, c, p, w.Waive != nil)
	})
}

// halfDone is a cluster at a minor, on whose nodes an upgrade to the next one may have got anywhere.
func halfDone(t *rapid.T, minor int) Cluster {
	release := func(minor int) Version {
		return MustVersion(fmt.Sprintf("v1.%d.%d", minor, rapid.IntRange(0, 5).Draw(t, "patch")))
	}
	before, after := release(minor), release(minor+1)
	c := Cluster{Name: "lab", Version: before}
	begun := rapid.Bool().Draw(t, "begun")
	through := true // the control plane is
	for i := range rapid.IntRange(1, 3).Draw(t, "control planes") {
		n := nodeAt(fmt.Sprintf("cp%d", i), true, before)
		got := 0
		if begun {
			got = rapid.IntRange(0, 3).Draw(t, "got")
		}
		if got > 0 {
			n.Host.Kubeadm = after
		}
		if got > 1 {
			n.Components[APIServer] = after
		}
		if got > 2 {
			n.Components[ControllerManager], n.Components[Scheduler], c.Version = after, after, after
		}
		through = through && got > 2
		c.Nodes = append(c.Nodes, n)
	}
	most := rapid.IntRange(0, 4).Draw(t, "most behind")
	for i := range rapid.IntRange(0, 5).Draw(t, "workers") {
		n := nodeAt(fmt.Sprintf("w%d", i), false, release(minor-rapid.IntRange(0, most).Draw(t, "behind")))
		n.CordonedByPawl = rapid.Bool().Draw(t, "cordoned by pawl")
		c.Nodes = append(c.Nodes, n)
	}
	offered := map[int][]Version{}
	for m := minor; m <= minor+4; m++ {
		for range rapid.IntRange(1, 6).Draw(t, "releases") {
			offered[m] = append(offered[m], release(m))
		}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if through && rapid.Bool().Draw(t, "done") {
			n.Kubelet, n.Host.Kubeadm = after, after
		}
		n.Host.Available = nil
		for m := minor; m <= minor+4; m++ {
			n.Host.Available = append(n.Host.Available, offered[m][rapid.IntRange(0, len(offered[m])/3).Draw(t, "not for this node"):]...)
		}
	}
	return c
}

// walk applies the plan's steps in order to a model of the cluster.
func walk(t *rapid.T, c Cluster, p Plan, kubeadmMaySkip bool) {
	nodes := map[string]*Node{}
	for i := range c.Nodes {
		nodes[c.Nodes[i].Name] = &c.Nodes[i]
	}
	requireSkew(t, c.Nodes)
	configured := p.Current
	for _, hop := range p.Hops {
		for _, plan := range hop.ControlPlane {
			for component, v := range nodes[plan.Node].Components {
				require.LessOrEqual(t, v.MinorsBehind(hop.To), 1, "%s of %s skips a minor", component, plan.Node)
				require.False(t, hop.To.Less(v), "%s of %s goes back", component, plan.Node)
			}
		}
		var parts []NodePlan
		for _, plan := range hop.ControlPlane {
			parts = append(parts, plan.Components())
		}
		for _, plan := range hop.ControlPlane {
			parts = append(parts, plan.Kubelet())
		}
		for _, plan := range append(parts, hop.Workers...) {
			n := nodes[plan.Node]
			require.Equal(t, hop.To, plan.Kubeadm)
			require.Equal(t, n.Kubelet, plan.From)
			if plan.KeepsKubelet() {
				require.Equal(t, Worker, plan.Role)
				require.NotEqual(t, EveryMinor, p.Settings.WorkerPath)
				require.Equal(t, []Step{InstallKubeadm, UpgradeNodeConfig}, plan.Steps)
				require.Equal(t, plan.From, plan.To)
			} else {
				require.Equal(t, hop.To, plan.To)
			}
			for _, step := range plan.Steps {
				switch step {
				case InstallKubeadm:
					to := plan.Version(step)
					require.Equal(t, hop.To, to)
					require.False(t, to.Less(n.Host.Kubeadm), "kubeadm of %s goes back", n.Name)
					require.True(t, n.Host.Kubeadm == to || slices.Contains(n.Host.Available, to), "%s is offered %s", n.Name, to)
					require.True(t, kubeadmMaySkip || n.Host.Kubeadm.MinorsBehind(to) <= 1, "kubeadm of %s skips a minor", n.Name)
					n.Host.Kubeadm = to
				case UpgradeControlPlane:
					require.Equal(t, configured != plan.To, plan.Role == FirstControlPlane, "the cluster-wide upgrade is applied exactly once, first")
					require.Equal(t, plan.To, n.Host.Kubeadm)
					configured = plan.To
					for _, component := range ControlPlaneComponents {
						n.Components[component] = plan.To
					}
				case UpgradeNodeConfig:
					require.Equal(t, hop.To, configured)
					require.Equal(t, hop.To, n.Host.Kubeadm)
					require.True(t, kubeadmMaySkip || kubeadmAllowsKubelet(hop.To, n.Kubelet))
				case RestartKubelet:
					require.False(t, plan.To.Less(n.Kubelet), "kubelet of %s goes back", n.Name)
					n.Kubelet = plan.To
				}
				requireSkew(t, c.Nodes)
			}
		}
	}
	require.Equal(t, p.Target, configured)
	for _, n := range c.Nodes {
		require.Equal(t, p.Target, n.Kubelet, n.Name)
		require.True(t, componentsAt(n, p.Target), n.Name)
	}
}

// requireSkew holds every component against the policy as it is written, not as the engine reads it.
func requireSkew(t *rapid.T, nodes []Node) {
	var servers []Version
	for _, n := range nodes {
		if n.ControlPlane {
			servers = append(servers, n.Components[APIServer])
		}
	}
	oldest, newest := slices.MinFunc(servers, Version.Compare), slices.MaxFunc(servers, Version.Compare)
	require.LessOrEqual(t, oldest.MinorsBehind(newest), 1, "API servers within one minor")
	var all []Instance
	for _, n := range nodes {
		require.False(t, oldest.MinorsBehind(n.Kubelet) > 0, "kubelet %s of %s newer than API server %s", n.Kubelet, n.Name, oldest)
		allowed := 3
		if n.Kubelet.MinorsBehind(MustVersion("v1.25.0")) > 0 {
			allowed = 2
		}
		require.LessOrEqual(t, n.Kubelet.MinorsBehind(newest), allowed, "kubelet %s of %s under API server %s", n.Kubelet, n.Name, newest)
		all = append(all, Instance{Kubelet, n.Name, n.Kubelet})
		if n.ControlPlane {
			all = append(all, Instance{APIServer, n.Name, n.Components[APIServer]})
		}
	}
	require.Empty(t, CheckSkew(all), "the engine agrees")
}

// requireDrains requires that each worker is drained as seldom as can be: no choice of hops in which its kubelet moves
// keeps the policy with fewer.
func requireDrains(t *rapid.T, c Cluster, p Plan) {
	drains := map[string]int{}
	for _, hop := range p.Hops {
		for _, n := range hop.NodePlans() {
			if slices.Contains(n.Steps, DrainNode) {
				drains[n.Node]++
			}
		}
	}
	sum := 0
	for _, n := range c.Nodes {
		sum += drains[n.Name]
		if n.ControlPlane || n.CordonedByPawl || p.Settings.WorkerPath == EveryMinor {
			continue
		}
		require.Equal(t, fewest(n.Kubelet, p.Hops), drains[n.Name], "drains of %s", n.Name)
	}
	require.Equal(t, sum, p.Drains)
}

// fewest tries every choice.
func fewest(kubelet Version, hops []Hop) int {
	if len(hops) == 0 {
		return 0
	}
	to := hops[0].To
	if kubelet.MinorsBehind(to) > kubeletMaxBehind(kubelet) || kubelet.MinorsBehind(to) > 1 && !to.AtLeastMinor(1, 29) {
		return 1000 // not allowed when the control plane is there, whatever is done then
	}
	least := 1 + fewest(to, hops[1:])
	if kubelet == to {
		least--
	}
	if len(hops) > 1 {
		least = min(least, fewest(kubelet, hops[1:]))
	}
	return least
}

func TestRemaining(t *testing.T) {
	p := MakePlan(healthy(1, 4), Wanted{Target: v137}, Settings{MaxUnavailable: AtMost(2)})
	s := p.NewStatus()
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	all := s.Remaining(began)
	require.Equal(t, p.Estimate.Std(), all)

	w1 := &s.Nodes[1]
	for i := range w1.Steps {
		w1.Steps[i].State, w1.Steps[i].Started, w1.Steps[i].Ended = Done, began, began.Add(time.Hour)
	}
	steps := time.Duration(len(w1.Steps))
	control := all - 2*nodeEstimate(s, 2)
	require.Equal(t, control+2*steps*time.Hour, s.Remaining(began), "measured times replace typical ones, two workers at a time")

	step := &s.Nodes[2].Steps[0]
	step.State, step.Started = Running, began
	require.Equal(t, control+2*steps*time.Hour-30*time.Minute, s.Remaining(began.Add(30*time.Minute)), "a running step counts what is left of it")
	require.Equal(t, control+(2*steps-1)*time.Hour, s.Remaining(began.Add(3*time.Hour)), "and nothing once it is overdue")
}

func TestHopsAreEstimatedOneAfterAnother(t *testing.T) {
	c := healthy(1, 3)
	offer(&c, "v1.37.2", "v1.38.0")
	p := MakePlan(c, Wanted{Target: MustVersion("v1.38.0")}, Settings{MaxUnavailable: AtMost(3)}) // all workers at a time, so that the longest counts
	require.Len(t, p.Hops, 2)
	first, second := p, p
	first.Hops, second.Hops = p.Hops[:1], p.Hops[1:]
	first.estimate()
	second.estimate()
	require.Equal(t, first.Estimate+second.Estimate, p.Estimate)
}

func nodeEstimate(s Status, i int) time.Duration {
	one := Status{Nodes: s.Nodes[i : i+1]}
	for j := range one.Nodes[0].Steps {
		one.Nodes[0].Steps[j].State = Pending
	}
	return one.Remaining(time.Time{})
}

// BenchmarkPlan plans for a thousand nodes over three minors.
func BenchmarkPlan(b *testing.B) {
	c := healthy(3, 997)
	offer(&c, "v1.37.0", "v1.37.1", "v1.37.2", "v1.38.0", "v1.38.1", "v1.39.0")
	for b.Loop() {
		if p := MakePlan(c, Wanted{Target: MustVersion("v1.39.0")}, settings()); len(p.Hops) != 3 {
			b.Fatal(p.Errors())
		}
	}
}

func TestAMinorIsATargetOnlyOfManagedControlPlanes(t *testing.T) {
	whole := Wanted{Target: MustVersion("v1.37.0").Whole()}
	require.EqualError(t, whole.Check(Settings{}), `"v1.37" names no release, wanted a version like v1.37.2: only where a provider runs the control plane it chooses the patch`)
	require.Error(t, whole.Check(Settings{Provider: ProviderBinaries}))
	require.NoError(t, whole.Check(Settings{Provider: ProviderEKS}))
	require.NoError(t, Wanted{Target: MustVersion("v1.37.0")}.Check(Settings{}))
}
