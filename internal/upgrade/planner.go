package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// MakePlan decides what will be done to bring an observed cluster to target. It never fails: what stands in the way is
// among the plan's findings, and a plan with errors has no hops.
func MakePlan(c Cluster, target Version, s Settings) Plan {
	p := Plan{Cluster: c.Name, Current: c.Version, Target: target, Nodes: sortNodes(c.Nodes), Settings: s}
	hops, found := makeHops(p)
	found = append(found, checkNodes(p, len(hops))...)
	p.Findings = mergeFindings(append(found, c.Problems...))
	if !p.Refused() {
		p.Hops = hops
	}
	return p
}

// makeHops walks the path: each hop is planned from where the one before leaves the nodes. It ends at the first hop
// that cannot be.
func makeHops(p Plan) (hops []Hop, found []Finding) {
	oldest := oldestControlPlane(p.Current, p.Nodes)
	if problem, remedy := checkPath(oldest, p.Target); problem != "" {
		return nil, []Finding{{SeverityError, "version-path", p.Cluster, problem, remedy}}
	}
	for _, to := range path(oldest, p.Target) {
		if to != p.Target {
			to = newestPatch(p.Nodes, to)
		}
		if found = checkVersions(p, to); len(found) == 0 {
			found = checkPackages(p, to)
		}
		if len(found) > 0 {
			return nil, found
		}
		hop := makeHop(p, to)
		if len(hop.NodePlans()) > 0 {
			hops = append(hops, hop)
		}
		p.Current, p.Nodes = to, hop.leaves(p.Nodes)
	}
	return hops, nil
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

// makeHop lays out one hop: control planes, then workers. What is done already is left out.
func makeHop(p Plan, to Version) Hop {
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
		if plan := planNode(n, Worker, to); len(plan.Steps) > 0 {
			hop.Workers = append(hop.Workers, plan)
		}
	}
	return hop
}

// leaves is what the hop makes of the nodes.
func (h Hop) leaves(nodes []Node) []Node {
	moved := map[string]bool{}
	for _, plan := range h.NodePlans() {
		moved[plan.Node] = true
	}
	after := slices.Clone(nodes)
	for i := range after {
		n := &after[i]
		if !moved[n.Name] {
			continue
		}
		n.Kubelet, n.Host.Kubeadm, n.CordonedByPawl = h.To, h.To, false
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
	plan := NodePlan{Node: n.Name, Address: n.Address, Role: role, From: n.Kubelet, To: target, StaysCordoned: n.Cordoned}
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
