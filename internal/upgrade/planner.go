package upgrade

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Wanted is what a person asks of a plan.
type Wanted struct {
	Target Version
	// Policy chooses the target, where it is not zero.
	Policy Policy
	// RollBack: a managed control plane goes back by a minor; there is no target then.
	RollBack bool
	// Through pins the releases of minors on the way; of the others it is the newest patch that all nodes are offered.
	Through []Version
	// Waive are ids of findings that a person has looked at and does not want to be stopped by.
	Waive []string
	// LeaveOut are nodes that are to be left as they are.
	LeaveOut []string
	// Now is when the plan is made; zero where it does not matter.
	Now time.Time
}

// Check says what a cluster of such settings cannot be asked for.
func (w Wanted) Check(s Settings) error {
	if w.RollBack && !s.Managed() {
		return errors.New("only a control plane that a provider runs can go back; restore a backup: the runbook says how")
	}
	if w.Target.IsWhole() && !s.Managed() {
		return fmt.Errorf("%q names no release, wanted a version like %s.2: only where a provider runs the control plane it chooses the patch", w.Target, w.Target)
	}
	return nil
}

// MakePlan decides what will be done to bring an observed cluster to what is wanted. It never fails: what stands in the
// way is among the plan's findings, and a plan with errors has no hops.
func MakePlan(c Cluster, w Wanted, s Settings) Plan {
	if c.Managed != nil {
		return makeManagedPlan(c, w, s)
	}
	if c.ByHand != nil {
		return makeByHandPlan(c, w, s)
	}
	var chosen []Finding
	if !w.Policy.IsZero() {
		w.Target, chosen = w.Policy.choose(c)
	}
	nodes := w.mark(sortNodes(c.Nodes))
	p := Plan{Cluster: c.Name, Current: c.Version, Target: w.Target, Nodes: slices.DeleteFunc(slices.Clone(nodes), Node.stays), Hops: []Hop{}, Measured: c.Measured, Settings: s, Pools: pools(s, nodes)}
	p.ExternalEtcd = c.Kubeadm.ExternalEtcd
	hops, found := makeHops(p, w)
	hops, members := addExternalEtcd(hops, c, p)
	found = slices.Concat(chosen, found, members, checkExternalEtcd(c, p), checkLeftOut(nodes, hops), checkNow(p), checkSupport(p, w.Now), checkEtcd(p), checkMembers(p), checkNodes(p, len(hops)), checkHosts(p, w.Now),
		checkAPIs(c, p), checkConfiguration(c, p), checkAddons(c, p), checkEmulation(c, p), checkCloudControllers(c, p, hops))
	p = p.finish(c, w, hops, found)
	p.Nodes = nodes
	p.Components = components(c, p)
	return p
}

// finish adds to a plan, whatever made its hops, what is looked at in all. A plan with errors keeps no hops.
func (p Plan) finish(c Cluster, w Wanted, hops []Hop, found []Finding) Plan {
	ahead, late := p.foresee(hops, w.Now, slices.Contains(w.Waive, WindowTooShort))
	found = slices.Concat(found, checkLock(c), checkHooks(p), checkPools(p, hops), c.Problems, late, checkWaivers(w.Waive))
	p.Findings = mergeFindings(waive(found, w.Waive))
	if !p.Refused() && len(hops) > 0 {
		p.Hops, p.Windows, p.Ends = hops, ahead.used, ahead.ends
	}
	p.Drains = drains(p.Hops)
	p.estimate()
	return p
}

// makeHops walks the path: each hop is planned from where the one before leaves the nodes. It ends at the first hop
// that cannot be.
func makeHops(p Plan, w Wanted) (hops []Hop, found []Finding) {
	oldest := p.oldest()
	if problem, remedy := checkPath(oldest, p.Target); problem != "" {
		return nil, []Finding{failure(VersionPath, p.Cluster, problem, remedy)}
	}
	way := path(oldest, p.Target)
	if found := checkThrough(p, way, w.Through); len(found) > 0 {
		return nil, found
	}
	if catchesUp(p, oldest) {
		behind := p
		behind.Nodes = slices.DeleteFunc(slices.Clone(p.Nodes), func(n Node) bool { return !n.catchesUp(oldest) })
		found = checkHop(behind, oldest)
		if blocked(found, w.Waive) {
			return nil, found
		}
		hops = append(hops, makeHop(behind, oldest, way[0]))
		p.Nodes = hops[0].leaves(p.Nodes)
	}
	for i, to := range way {
		var next Version // the zero value after the last hop
		if i < len(way)-1 {
			to, next = passing(p.Nodes, to, w.Through), way[i+1]
		}
		found = append(found, checkHop(p, to)...)
		if blocked(found, w.Waive) {
			return nil, found
		}
		hop := makeHop(p, to, next)
		if len(hop.NodePlans()) > 0 {
			hops = append(hops, hop)
		}
		p.Current, p.Nodes = to, hop.leaves(p.Nodes)
	}
	return hops, found
}

// checkHop looks for what stands in the way of a hop.
func checkHop(p Plan, to Version) []Finding {
	if found := checkVersions(p, to); len(found) > 0 {
		return found
	}
	return append(checkPackages(p, to), checkKubeadm(p, to)...)
}

// passing is the release of a minor on the way that the hop goes to.
func passing(nodes []Node, minor Version, through []Version) Version {
	if i := slices.IndexFunc(through, minor.SameMinor); i >= 0 {
		return through[i]
	}
	return newestPatch(nodes, minor)
}

// catchesUp reports whether workers were left so far behind that a hop to where the control plane is now must come
// first: at the next one their kubeadm would be more than one minor newer than the one that managed them last. Only
// while the whole control plane is at one version can they be brought to it, since `kubeadm upgrade node` takes its
// target from the cluster.
func catchesUp(p Plan, oldest Version) bool {
	return p.Target.minor > oldest.minor && p.Current == oldest && !slices.ContainsFunc(p.Nodes, func(n Node) bool {
		return n.ControlPlane && !componentsAt(n, oldest)
	}) && slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.catchesUp(oldest) })
}

// catchesUp reports whether the worker was left behind and is offered what brings it to where the control plane is. Of
// one that is not, the next hop says what it means.
func (n Node) catchesUp(oldest Version) bool {
	return n.leftBehind(oldest.nextMinor()) && !lacks(n, oldest)
}

// leftBehind reports whether a kubeadm of version v would be more than one minor newer than the one that managed the
// worker last, as far as that can be told: it is taken to be the installed one.
func (n Node) leftBehind(v Version) bool {
	return !n.ControlPlane && !n.Host.Kubeadm.IsZero() && n.Host.Kubeadm.MinorsBehind(v) > kubeadmMaxStep
}

// sortNodes puts control planes first, then workers, each by name.
func sortNodes(nodes []Node) []Node {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b Node) int {
		if a.ControlPlane != b.ControlPlane {
			if a.ControlPlane {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return sorted
}

// Path is one version of each minor that the control plane goes through, the target last. It is empty where the control
// plane may not go to target at all: then nothing else about the target is worth looking for.
func Path(c Cluster, target Version) []Version {
	oldest := Oldest(c)
	if problem, _ := checkPath(oldest, target); problem != "" {
		return nil
	}
	return path(oldest, target)
}

// CatchUp is the release that a worker must be brought to before the control plane goes on towards target, since it was
// left behind; zero where it need not be. Its packages are needed beside those of the path.
func CatchUp(c Cluster, n Node, target Version) Version {
	oldest := Oldest(c)
	if target.minor > oldest.minor && n.leftBehind(oldest.nextMinor()) {
		return oldest
	}
	return Version{}
}

// oldestControlPlane is the oldest version that a control plane of mixed versions has: the path starts there.
func oldestControlPlane(configured Version, nodes []Node) Version {
	oldest := configured
	for _, n := range nodes {
		for _, component := range ControlPlaneComponents {
			if v := n.Components[component]; !v.IsZero() && v.Less(oldest) {
				oldest = v
			}
		}
	}
	return oldest
}

// newestPatch is what a hop to an intermediate minor goes to: its newest release that every node is offered or has, and
// that takes no node back. Where there is none, it is one that some node lacks, for checkPackages to name.
func newestPatch(nodes []Node, minor Version) Version {
	least, candidates := minor, []Version{}
	for _, n := range nodes {
		for _, has := range n.versions() {
			if !has.version.SameMinor(minor) {
				continue
			}
			candidates = append(candidates, has.version)
			if least.Less(has.version) {
				least = has.version
			}
		}
		candidates = append(candidates, n.Host.offered(minor)...)
	}
	candidates = slices.DeleteFunc(candidates, func(v Version) bool { return v.pre != "" || v.Less(least) })
	slices.SortFunc(candidates, func(a, b Version) int { return b.Compare(a) })
	candidates = slices.Compact(candidates)
	for _, v := range candidates {
		if !slices.ContainsFunc(nodes, func(n Node) bool { return lacks(n, v) }) {
			return v
		}
	}
	return append(candidates, minor)[0]
}

// makeHop lays out one hop: control planes, then workers. What is done already is left out. next is a version of the
// minor that the hop after this one goes to, and zero after the last.
func makeHop(p Plan, to, next Version) Hop {
	hop := Hop{From: p.oldest(), To: to}
	applied := p.Current == to // the cluster-wide part of kubeadm upgrade has been done
	for _, n := range controlPlaneOrder(p.Nodes, to) {
		role := AdditionalControlPlane
		if !applied {
			role, applied = FirstControlPlane, true
		}
		if plan := planNode(n, role, to); len(plan.Steps) > 0 {
			hop.ControlPlane = append(hop.ControlPlane, plan)
		}
	}
	for _, n := range inTurn(p.Nodes, p.Settings.Pools) {
		if n.ControlPlane {
			continue
		}
		if n.Replaced {
			if plan := planReplacement(n, to, next); len(plan.Steps) > 0 {
				hop.Workers = append(hop.Workers, plan)
			}
			continue
		}
		plan := planNode(n, Worker, to)
		if len(plan.Steps) > 0 && n.Kubelet != to && p.Settings.WorkerPath != EveryMinor && mayKeepKubelet(n, to, next) {
			plan = planConfiguration(n, to)
		}
		if len(plan.Steps) > 0 {
			hop.Workers = append(hop.Workers, plan.by(p.Settings.Pool(n.Pool)))
		}
	}
	return hop
}

// planReplacement is the part of a hop of a worker that is replaced by a new one: nothing for as long as its kubelet may
// stay behind, since nobody works on a machine that will be removed.
func planReplacement(n Node, to, next Version) NodePlan {
	plan := NodePlan{Node: n.Name, Address: n.Address, Role: Worker, From: n.Kubelet, To: to, Pool: n.Pool, Zone: n.Zone, UID: n.UID,
		Machine: n.Machine()}
	stays := !next.IsZero() && !n.CordonedByPawl && checkKubelet(n.Name, n.Kubelet, next) == ""
	if n.Kubelet != to && !stays {
		plan.Steps = ReplacementSteps()
	}
	return plan
}

// by is the node's plan as its pool's strategy has it.
func (n NodePlan) by(p PoolSettings) NodePlan {
	if p.Strategy == AllAtOnce && !p.Drain {
		for i, s := range n.Steps {
			if s == DrainNode {
				n.Steps[i] = StopPods
			}
		}
	}
	return n
}

// mayKeepKubelet reports whether a worker may go through a hop with the kubelet that it has, so that the next hop's drain
// does for both. Its kubelet must be within the policy still when the control plane is at next, also by kubeadm's own,
// since that manages the node in both. A node that an earlier run had begun with is finished first.
func mayKeepKubelet(n Node, to, next Version) bool {
	return !next.IsZero() && !n.CordonedByPawl && checkKubelet(n.Name, n.Kubelet, next) == "" &&
		kubeadmAllowsKubelet(to, n.Kubelet) && kubeadmAllowsKubelet(next, n.Kubelet)
}

// planConfiguration is the part of a hop of a worker that keeps its kubelet: kubeadm moves every minor, because each
// knows how to come from the one before only, and takes away what the next kubelet no longer understands.
// Source: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#kubeadm-s-skew-against-kubeadm
func planConfiguration(n Node, to Version) NodePlan {
	return NodePlan{Node: n.Name, Address: n.Address, Role: Worker, From: n.Kubelet, To: n.Kubelet, Kubeadm: to, Pool: n.Pool, Zone: n.Zone,
		StaysCordoned: n.Cordoned, Steps: []Step{InstallKubeadm, UpgradeNodeConfig}}
}

// leaves is what the hop makes of the nodes.
func (h Hop) leaves(nodes []Node) []Node {
	plans := map[string]NodePlan{}
	for _, plan := range h.NodePlans() {
		plans[plan.Node] = plan
	}
	after := slices.Clone(nodes)
	for i := range after {
		n := &after[i]
		plan, moved := plans[n.Name]
		if !moved && n.Group != "" {
			plan, moved = plans[nodeGroupPrefix+n.Group]
		}
		if !moved && n.Keeper == KeptByFargate {
			plan, moved = plans[fargatePods]
		}
		if !moved {
			continue
		}
		if !n.Replaced {
			n.Host.Kubeadm = h.To
		}
		if !n.LeftOut {
			n.Kubelet, n.CordonedByPawl = plan.To, false
		}
		if n.ControlPlane {
			n.Components = map[string]Version{}
			for _, component := range ControlPlaneComponents {
				n.Components[component] = h.To
			}
		}
	}
	return after
}

// controlPlaneOrder is by name, except that a node on which an earlier run got as far as the new API server comes
// first: the cluster-wide upgrade is applied where it was begun.
func controlPlaneOrder(nodes []Node, target Version) []Node {
	var begun, rest []Node
	for _, n := range nodes {
		switch {
		case !n.ControlPlane:
		case n.Components[APIServer] == target:
			begun = append(begun, n)
		default:
			rest = append(rest, n)
		}
	}
	return append(begun, rest...)
}

// planNode is the part of the runbook that a node still needs; no steps when it is done.
func planNode(n Node, role Role, target Version) NodePlan {
	plan := NodePlan{Node: n.Name, Address: n.Address, Role: role, From: n.Kubelet, To: target, Kubeadm: target, Pool: n.Pool, Zone: n.Zone, StaysCordoned: n.Cordoned}
	configured := n.Host.Kubeadm == target && role != FirstControlPlane && componentsAt(n, target)
	kubelet := n.Kubelet == target
	if configured && kubelet && !n.CordonedByPawl {
		return plan
	}
	for _, step := range KubeadmSteps(role, n.Cordoned) {
		switch step {
		case InstallKubeadm, UpgradeControlPlane, VerifyControlPlane, UpgradeNodeConfig:
			if configured && kubelet {
				continue
			}
		case DrainNode, InstallKubelet, RestartKubelet:
			if kubelet {
				continue
			}
		}
		plan.Steps = append(plan.Steps, step)
	}
	if n.LeftOut {
		return plan.Components()
	}
	return plan
}

func componentsAt(n Node, target Version) bool {
	if !n.ControlPlane {
		return true
	}
	for _, component := range ControlPlaneComponents {
		if n.Components[component] != target {
			return false
		}
	}
	return true
}
