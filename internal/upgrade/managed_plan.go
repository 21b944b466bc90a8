package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What of a plan stands for something that is no node: it has its turn, its steps and its holds as a node has.
const (
	managedControlPlane = "control-plane"
	addonPrefix         = "addon/"
	nodeGroupPrefix     = "nodegroup/"
	followers           = "self-replacing-nodes" // of Karpenter and Auto Mode
	fargatePods         = "pods-on-fargate"
)

// What a provider changes after the control plane belongs to pools of its own, in which one thing follows another.
const (
	nodeGroupsPool = "node-groups"
	addonsPool     = "add-ons"
)

func managedPools(m Managed, s Settings, nodes []Node) []Pool {
	of := func(name string, size int) Pool {
		return Pool{PoolSettings: PoolSettings{Name: name, Strategy: ByProvider, Provider: m.Provider}, Size: size, AtOnce: 1}
	}
	all := []Pool{of(nodeGroupsPool, len(m.NodeGroups))}
	for _, p := range pools(s, nodes) {
		if p.Strategy == AddNewNodes {
			all = append(all, p)
		}
	}
	return append(all, of(addonsPool, len(m.Addons)))
}

// makeManagedPlan is MakePlan for a cluster whose control plane a provider runs: each minor's add-ons and control plane by the
// provider's own updates, then the node groups that may not stay behind, and the workers that are nobody's but the
// cluster's owner's.
func makeManagedPlan(c Cluster, w Wanted, s Settings) Plan {
	nodes := w.mark(sortNodes(c.Nodes))
	m := *c.Managed
	var chosen []Finding
	if w.RollBack {
		return makeRollback(c, w, s, nodes)
	}
	if !w.Policy.IsZero() {
		w.Target, chosen = w.Policy.chooseOffered(m)
	}
	w.Target = w.Target.Whole()
	p := Plan{Cluster: c.Name, Current: m.Version, Target: w.Target, Nodes: nodes, Hops: []Hop{}, Measured: c.Measured, Settings: s, Pools: managedPools(m, s, nodes)}
	found := slices.Concat(chosen, CheckManaged(m, w.Target, s.WorkerPath, w.Now), m.checkFargate(w.Target, s.RestartFargate))
	var hops []Hop
	if !blocked(found, w.Waive) {
		hops, found = managedHops(p, m, found)
	}
	p.Components = managedComponents(m, nodes, p.Target)
	return p.finish(c, w, hops, slices.Concat(found, checkManagedNodes(nodes, s.RestartFargate), checkAPIs(c, p)))
}

// makeRollback is the plan of going back by a minor: of the control plane alone, and only if all else is back already.
func makeRollback(c Cluster, w Wanted, s Settings, nodes []Node) Plan {
	m := *c.Managed
	p := Plan{Cluster: c.Name, Current: m.Version, Target: m.previousMinor(), Nodes: nodes, Hops: []Hop{}, Measured: c.Measured, Settings: s, Pools: managedPools(m, s, nodes)}
	found := CheckRollback(m, w.Now)
	for _, n := range nodes {
		if p.Target.MinorsBehind(n.Kubelet) > 0 {
			found = append(found, failure(ManagedRollback, n.Name, "its kubelet is "+n.Kubelet.String()+", newer than "+p.Target.MinorString(), "replace the node by an older one first"))
		}
	}
	p.Components = managedComponents(m, nil, p.Target)
	return p.finish(c, w, []Hop{{From: m.Version, To: p.Target, ControlPlane: []NodePlan{{
		Node: managedControlPlane, Role: ManagedPart, From: m.Version, To: p.Target, Steps: []Step{RollBackControlPlane}}}}}, found)
}

// managedHops walks minor by minor, from where the hop before leaves what is managed. What was left so far behind that the
// control plane may not go on comes first.
func managedHops(p Plan, m Managed, found []Finding) ([]Hop, []Finding) {
	var hops []Hop
	way := m.Way(p.Target)
	if len(way) > 0 {
		catchUp := Hop{From: m.Version, To: m.Version}
		if m, p.Nodes = catchUp.addWorkers(p, m, way[0]); len(catchUp.Workers) > 0 {
			hops = append(hops, catchUp)
		}
	}
	for _, to := range way {
		found = append(found, checkKubelets(p.Nodes, to)...)
		hop := Hop{From: m.Version, To: to}
		before, lacks := m.AddonsBefore(to)
		found = append(found, lacks...)
		m = m.WithAddons(before)
		hop.ControlPlane = append(addonPlans(before), NodePlan{Node: managedControlPlane, Role: ManagedPart, From: m.Version, To: to, Steps: []Step{UpdateControlPlane}})
		after := m.KubeProxyAfter(to)
		m = m.WithAddons(after)
		m.Version = to
		hop.ControlPlane = append(hop.ControlPlane, addonPlans(after)...)
		m, p.Nodes = hop.addWorkers(p, m, m.NextOf(to, p.Target))
		hops = append(hops, hop)
	}
	last := Hop{From: m.Version, To: p.Target}
	if len(way) > 0 {
		last, hops = hops[len(hops)-1], hops[:len(hops)-1]
	} else { // only what was left behind
		m, _ = last.addWorkers(p, m, Version{})
	}
	if slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.Keeper.FollowsByItself() && n.Kubelet.MinorsBehind(p.Target) > 0 }) {
		last.Workers = append(last.Workers, NodePlan{Node: followers, Role: ManagedPart, To: p.Target, Pool: nodeGroupsPool, Steps: []Step{AwaitNodes}})
	}
	last.Workers = append(last.Workers, addonPlans(m.AddonsAfter(p.Target))...)
	if len(last.NodePlans()) > 0 {
		hops = append(hops, last)
	}
	return hops, found
}

// addWorkers adds the node groups that must move in the hop, and the workers that are replaced, and says what that leaves.
func (h *Hop) addWorkers(p Plan, m Managed, next Version) (Managed, []Node) {
	move, _ := m.MovingGroups(h.To, next, p.Settings.WorkerPath)
	m.NodeGroups = slices.Clone(m.NodeGroups)
	for _, g := range move {
		h.Workers = append(h.Workers, NodePlan{Node: nodeGroupPrefix + g.Name, Role: ManagedPart, From: g.Version, To: h.To, Pool: nodeGroupsPool, Steps: []Step{UpdateNodeGroup}})
		for i := range m.NodeGroups {
			if m.NodeGroups[i].Name == g.Name {
				m.NodeGroups[i].Version = h.To
			}
		}
	}
	for _, n := range inTurn(p.Nodes, p.Settings.Pools) {
		if !n.Replaced || n.Group != "" || n.LeftOut || n.Kubelet.MinorsBehind(h.To) <= 0 {
			continue
		}
		if plan := planReplacement(n, h.To, next); len(plan.Steps) > 0 {
			h.Workers = append(h.Workers, plan)
		}
	}
	if p.Settings.RestartFargate && slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.Keeper == KeptByFargate && n.mustMove(h.To, next, p.Settings.WorkerPath) }) {
		h.Workers = append(h.Workers, NodePlan{Node: fargatePods, Role: ManagedPart, To: h.To, Pool: nodeGroupsPool, Steps: []Step{RestartFargate}})
	}
	return m, h.leaves(p.Nodes)
}

// mustMove reports whether the node may not stay as it is once the control plane is at a version, and next is the minor that it
// goes to then, zero after the last.
func (n Node) mustMove(to, next Version, path WorkerPath) bool {
	return NodeGroup{Name: n.Name, Version: n.Kubelet}.MustMove(to, next, path)
}

func addonPlans(moves []AddonMove) []NodePlan {
	var plans []NodePlan
	for _, move := range moves {
		n := NodePlan{Node: addonPrefix + move.Name, Role: ManagedPart, Addon: move, Pool: addonsPool, Steps: []Step{UpdateAddon}}
		n.From, _ = ParseVersion(move.From)
		n.To, _ = ParseVersion(move.To)
		plans = append(plans, n)
	}
	return plans
}

// checkManagedNodes finds workers that nobody moves.
func checkManagedNodes(nodes []Node, restarts bool) []Finding {
	var found []Finding
	for _, n := range nodes {
		if !n.Ready {
			found = append(found, failure(NodeReady, n.Name, "the node is not Ready", "repair it or remove it from the cluster first"))
		}
		switch {
		case n.Replaced || n.Group != "" || n.Keeper.FollowsByItself() || n.Keeper == KeptByFargate && restarts:
		case n.Keeper == KeptByFargate:
			found = append(found, Finding{ID: NodeUnmanaged, Severity: SeverityInfo, Target: n.Name, Message: "its pod stays at " + n.Kubelet.String() + " until it is made anew",
				Remedy: "kubectl rollout restart its deployment afterwards"})
		default:
			found = append(found, Finding{ID: NodeUnmanaged, Severity: SeverityWarning, Target: n.Name,
				Message: "the node is of no node group, and no pool says how it is replaced: it stays at " + n.Kubelet.String(),
				Remedy:  "give it a pool with strategy addNewNodes, or replace it yourself"})
		}
	}
	return found
}

// managedComponents says what every part of the cluster is and will be.
func managedComponents(m Managed, nodes []Node, target Version) []Component {
	all := []Component{{Name: "control plane", Current: m.Version.MinorString(), Target: target.MinorString(), By: m.Provider}}
	for _, a := range sortedAddons(m.Addons) {
		all = append(all, Component{Name: a.Name, Current: a.Version, By: m.Provider})
	}
	for _, g := range sortedGroups(m.NodeGroups) {
		all = append(all, Component{Name: "node group " + g.Name, Current: g.Version.MinorString(), Nodes: g.Desired, Target: target.MinorString(), By: m.Provider})
	}
	for _, n := range nodes {
		if n.Group == "" {
			i := slices.IndexFunc(all, func(c Component) bool { return c.Name == Kubelet && c.Current == n.Kubelet.String() })
			if i < 0 {
				i, all = len(all), append(all, Component{Name: Kubelet, Current: n.Kubelet.String()})
			}
			all[i].Nodes++
		}
	}
	return all
}

// chooseOffered is the minor that a policy wants of what a provider offers. Patches are the provider's.
func (p Policy) chooseOffered(m Managed) (Version, []Finding) {
	target := m.Version
	if p.FollowsMinors() {
		for _, o := range m.Offered {
			if wanted := int(o.Version.minor) - p.less; wanted > int(target.minor) {
				target = Version{major: target.major, minor: uint64(wanted), whole: true}
			}
		}
	}
	return target, []Finding{{ID: ChosenByPolicy, Severity: SeverityInfo, Message: fmt.Sprintf("%s: %s of those that %s offers", p, target.MinorString(), m.Provider)}}
}

// Managed reports whether the plan is of something that a provider changes, and of no machine that anybody reaches.
func (n NodePlan) Managed() bool { return n.Role == ManagedPart }

// Managed reports whether a provider runs the control plane.
func (s Settings) Managed() bool { return s.Provider == ProviderEKS }

// NodeGroupOf is the node group that a part of a plan stands for.
func NodeGroupOf(node string) string { return strings.TrimPrefix(node, nodeGroupPrefix) }

// InsightsAgainst are findings of the provider's checks that forbid to go on to a version.
func InsightsAgainst(all []ManagedInsight, v Version) []Finding {
	var found []Finding
	for _, f := range (Managed{Insights: all}).checkInsights(v) {
		if f.Severity == SeverityError {
			found = append(found, f)
		}
	}
	return found
}

// typicalManaged are typical durations of a provider's updates. Source: reports of EKS users; a control plane takes 8 to 15 minutes.
var typicalManaged = map[Step]time.Duration{UpdateControlPlane: 10 * time.Minute, RollBackControlPlane: 10 * time.Minute, UpdateAddon: time.Minute, UpdateNodeGroup: 15 * time.Minute, AwaitNodes: 15 * time.Minute, RestartFargate: 5 * time.Minute}
