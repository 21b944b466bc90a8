package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// Wanted is what a person asks of a plan.
type Wanted struct {
	Target Version
	// Through pins the releases of minors on the way; of the others it is the newest patch that all nodes are offered.
	Through []Version
}

// MakePlan decides what will be done to bring an observed cluster to what is wanted. It never fails: what stands in the
// way is among the plan's findings, and a plan with errors has no hops.
func MakePlan(c Cluster, w Wanted, s Settings) Plan {
	p := Plan{Cluster: c.Name, Current: c.Version, Target: w.Target, Nodes: sortNodes(c.Nodes), Settings: s}
	hops, found := makeHops(p, w.Through)
	found = append(found, checkNodes(p, len(hops))...)
	p.Findings = mergeFindings(append(found, c.Problems...))
	if !p.Refused() {
		p.Hops = hops
	}
	for _, hop := range p.Hops {
		p.Drains += hop.drains()
	}
	return p
}

// makeHops walks the path: each hop is planned from where the one before leaves the nodes. It ends at the first hop
// that cannot be.
func makeHops(p Plan, through []Version) (hops []Hop, found []Finding) {
	oldest := oldestControlPlane(p.Current, p.Nodes)
	if problem, remedy := checkPath(oldest, p.Target); problem != "" {
		return nil, []Finding{{SeverityError, "version-path", p.Cluster, problem, remedy}}
	}
	way := path(oldest, p.Target)
	if found := checkThrough(p, way, through); len(found) > 0 {
		return nil, found
	}
	if catchesUp(p, oldest) {
		way = append([]Version{oldest}, way...)
	}
	for i, to := range way {
		var next Version // the zero value after the last hop
		if i < len(way)-1 {
			next = way[i+1]
			if to != oldest {
				to = passing(p.Nodes, to, through)
			}
		}
		if found = checkVersions(p, to); len(found) == 0 {
			found = append(checkPackages(p, to), checkKubeadm(p, to)...)
		}
		if len(found) > 0 {
			return nil, found
		}
		hop := makeHop(p, to, next)
		if len(hop.NodePlans()) > 0 {
			hops = append(hops, hop)
		}
		p.Current, p.Nodes = to, hop.leaves(p.Nodes)
	}
	return hops, nil
}

// checkThrough finds pinned releases that the way does not go through.
func checkThrough(p Plan, way, through []Version) []Finding {
	var found []Finding
	for i, pin := range through {
		var problem string
		switch {
		case !slices.ContainsFunc(way[:len(way)-1], pin.SameMinor):
			problem = fmt.Sprintf("the way to %s does not pass %s before its last hop, so %s cannot be a stop on it", p.Target, pin.MinorString(), pin)
		case slices.ContainsFunc(through[:i], pin.SameMinor):
			problem = fmt.Sprintf("two stops are pinned for %s", pin.MinorString())
		default:
			continue
		}
		found = append(found, Finding{SeverityError, "version-path", p.Cluster, problem, "name one release for each minor between the cluster's and the target's"})
	}
	return found
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
	}) && slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.leftBehind(oldest.nextMinor()) && !lacks(n, oldest) })
}

// leftBehind reports whether a kubeadm of version v would be more than one minor newer than the one that managed the
// worker last, as far as that can be told: it is taken to be the installed one.
func (n Node) leftBehind(v Version) bool {
	return !n.ControlPlane && !n.Host.Kubeadm.IsZero() && n.Host.Kubeadm.MinorsBehind(v) > kubeadmMaxStep
}

// checkKubeadm holds the workers against kubeadm's own skew policy, which is narrower than Kubernetes'.
func checkKubeadm(p Plan, to Version) []Finding {
	var found []Finding
	for _, n := range p.Nodes {
		if n.leftBehind(to) && n.Host.Problem == "" {
			found = append(found, Finding{SeverityError, "kubeadm-skew", n.Name,
				fmt.Sprintf("kubeadm is %s; one of %s may manage a node only after one of the minor before", n.Host.Kubeadm, to.MinorString()),
				"replace that node by a new one, or run `kubeadm upgrade node` there with each minor's kubeadm"})
		}
	}
	return found
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
	oldest := oldestControlPlane(c.Version, c.Nodes)
	if problem, _ := checkPath(oldest, target); problem != "" {
		return nil
	}
	return path(oldest, target)
}

// CatchUp is the release that a worker must be brought to before the control plane goes on towards target, since it was
// left behind; zero where it need not be. Its packages are needed beside those of the path.
func CatchUp(c Cluster, n Node, target Version) Version {
	oldest := oldestControlPlane(c.Version, c.Nodes)
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

// installed is the version of one thing on a node.
type installed struct {
	name    string
	version Version
}

// versions are those of everything on the node that an upgrade moves.
func (n Node) versions() []installed {
	var all []installed
	for _, component := range ControlPlaneComponents {
		all = append(all, installed{component, n.Components[component]})
	}
	return append(all, installed{"kubelet", n.Kubelet}, installed{"kubeadm", n.Host.Kubeadm})
}

// checkVersions applies the version skew policy to a hop, and lets nothing go back.
func checkVersions(p Plan, to Version) []Finding {
	var found []Finding
	add := func(check, target, message, remedy string) {
		found = append(found, Finding{SeverityError, check, target, message, remedy})
	}
	for _, n := range p.Nodes {
		if problem := checkKubelet(n.Name, n.Kubelet, to); problem != "" {
			add("version-skew", n.Name, problem, "bring that kubelet within the skew policy first")
		}
		for _, has := range n.versions() {
			if !to.Less(has.version) {
				continue
			}
			what, remedy := "the target "+to.String(), "choose a target of "+has.version.String()+" or newer"
			switch {
			case to != p.Target:
				what, remedy = to.String()+", which comes before the target", "install an older one first"
			case has.name == "kubeadm":
				remedy += ", or install the older kubeadm"
			}
			add("version-path", n.Name, fmt.Sprintf("%s is %s, newer than %s", has.name, has.version, what), remedy)
		}
	}
	return found
}

// checkPackages looks for nodes that are not offered what a hop needs. A node that could not be looked at has a finding
// of its own.
func checkPackages(p Plan, to Version) []Finding {
	remedy := "choose a version that it has, or update the mirror"
	if to != p.Target {
		remedy = fmt.Sprintf("update the mirror: the way to %s goes through %s", p.Target, to.MinorString())
	}
	var found []Finding
	for _, n := range p.Nodes {
		if lacks(n, to) {
			found = append(found, Finding{SeverityError, "package-missing", n.Name, fmt.Sprintf("the repository %s/%s has no kubeadm %s (%s)",
				p.Settings.Repository, to.MinorString(), to, newest(n.Host.offered(to))), remedy})
		}
	}
	return found
}

// lacks reports whether the node, as far as it could be looked at, needs packages of v and is not offered them.
func lacks(n Node, v Version) bool {
	looked := n.Host.Problem == "" && n.Host.PackageManager != ""
	needs := n.Kubelet != v || n.Host.Kubeadm != v
	return looked && needs && !slices.Contains(n.Host.Available, v)
}

// offered are the versions of v's minor that the host is offered.
func (h Host) offered(v Version) []Version {
	return slices.DeleteFunc(slices.Clone(h.Available), func(w Version) bool { return !w.SameMinor(v) })
}

// backupReserve is kept free beside the etcd snapshot and kubeadm's own copy of the etcd data directory, in bytes.
const backupReserve = 256 << 20

// checkNodes looks for what would stop the work on a node. Every hop makes a backup.
func checkNodes(p Plan, hops int) []Finding {
	var found []Finding
	add := func(severity Severity, check, target, message, remedy string) {
		found = append(found, Finding{severity, check, target, message, remedy})
	}
	if !slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.ControlPlane }) {
		add(SeverityError, "control-plane", p.Cluster, "no node carries the label node-role.kubernetes.io/control-plane",
			"pawl upgrades kubeadm clusters whose control plane nodes are labelled so")
	}
	for _, n := range p.Nodes {
		if !n.Ready {
			add(SeverityError, "node-ready", n.Name, "the node is not Ready", "repair it or remove it from the cluster first")
		}
		if n.Cordoned {
			add(SeverityInfo, "node-cordoned", n.Name, "the node is cordoned and will stay so", "")
		}
		switch {
		case n.Host.Problem != "":
			add(SeverityError, "host", n.Name, n.Host.Problem, "")
		case n.Host.PackageManager == "":
			add(SeverityError, "package-manager", n.Name, fmt.Sprintf("no package manager that pawl knows (os %s)", n.Host.OS),
				"apt is supported")
		}
		if n.ControlPlane && n.Host.Problem == "" {
			if need := 2*n.Host.EtcdBytes*int64(max(1, hops)) + backupReserve; n.Host.FreeBytes < need {
				add(SeverityError, "disk-space", n.Name, fmt.Sprintf("%d MiB free under /var/lib, %d MiB needed for backups",
					n.Host.FreeBytes>>20, need>>20), "free some space")
			}
		}
	}
	return found
}

// mergeFindings says once what is the case for several targets.
func mergeFindings(found []Finding) []Finding {
	var merged []Finding
	for _, f := range found {
		i := slices.IndexFunc(merged, func(m Finding) bool {
			m.Target = f.Target
			return m == f
		})
		if i < 0 {
			merged = append(merged, f)
		} else if f.Target != "" {
			merged[i].Target += ", " + f.Target
		}
	}
	return merged
}

func newest(available []Version) string {
	if len(available) == 0 {
		return "it has none of that minor"
	}
	return "its newest is " + slices.MaxFunc(available, Version.Compare).String()
}

// makeHop lays out one hop: control planes, then workers. What is done already is left out. next is a version of the
// minor that the hop after this one goes to, and zero after the last.
func makeHop(p Plan, to, next Version) Hop {
	hop := Hop{From: oldestControlPlane(p.Current, p.Nodes), To: to}
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
	for _, n := range p.Nodes {
		if n.ControlPlane {
			continue
		}
		plan := planNode(n, Worker, to)
		if len(plan.Steps) > 0 && n.Kubelet != to && p.Settings.WorkerPath != EveryMinor && mayKeepKubelet(n, to, next) {
			plan = planConfiguration(n, to)
		}
		if len(plan.Steps) > 0 {
			hop.Workers = append(hop.Workers, plan)
		}
	}
	return hop
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
	return NodePlan{Node: n.Name, Address: n.Address, Role: Worker, From: n.Kubelet, To: n.Kubelet, Kubeadm: to,
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
		if !moved {
			continue
		}
		n.Kubelet, n.Host.Kubeadm, n.CordonedByPawl = plan.To, h.To, false
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
	plan := NodePlan{Node: n.Name, Address: n.Address, Role: role, From: n.Kubelet, To: target, Kubeadm: target, StaysCordoned: n.Cordoned}
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
