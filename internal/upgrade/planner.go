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
	p.Findings = checkVersions(p)
	p.Findings = append(p.Findings, checkNodes(p)...)
	p.Findings = mergeFindings(append(p.Findings, c.Problems...))
	if p.Refused() {
		return p
	}
	if hop := makeHop(p); len(hop.NodePlans()) > 0 {
		p.Hops = []Hop{hop}
	}
	return p
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

// PathOpen reports whether the cluster's control plane may go to target at all. Where it may not, nothing else about the
// target is worth looking for.
func PathOpen(c Cluster, target Version) bool {
	problem, _ := checkPath(oldestControlPlane(c.Version, c.Nodes), target)
	return problem == ""
}

// oldestControlPlane is the oldest version that a control plane of mixed versions has: the path starts there.
func oldestControlPlane(configured Version, nodes []Node) Version {
	oldest := configured
	for _, n := range nodes {
		if v := n.Components[APIServer]; !v.IsZero() && v.Less(oldest) {
			oldest = v
		}
	}
	return oldest
}

// checkVersions applies the version skew policy to the whole path.
func checkVersions(p Plan) []Finding {
	var found []Finding
	add := func(check, target, message, remedy string) {
		found = append(found, Finding{SeverityError, check, target, message, remedy})
	}
	if problem, remedy := checkPath(oldestControlPlane(p.Current, p.Nodes), p.Target); problem != "" {
		add("version-path", p.Cluster, problem, remedy)
		return found // the rest would only repeat it
	}
	for _, n := range p.Nodes {
		if problem := checkKubelet(n.Name, n.Kubelet, p.Target); problem != "" {
			add("version-skew", n.Name, problem, "bring that kubelet within the skew policy first")
		}
		for _, component := range ControlPlaneComponents {
			if v := n.Components[component]; !v.IsZero() && p.Target.Less(v) {
				add("version-path", n.Name, fmt.Sprintf("%s is %s, newer than the target %s", component, v, p.Target),
					"choose a target of "+v.String()+" or newer")
			}
		}
		if p.Target.Less(n.Host.Kubeadm) {
			add("kubeadm-version", n.Name, fmt.Sprintf("kubeadm is %s, newer than the target %s", n.Host.Kubeadm, p.Target),
				"choose a target of "+n.Host.Kubeadm.String()+" or newer, or install the older kubeadm")
		}
	}
	return found
}

// backupReserve is kept free beside the etcd snapshot and kubeadm's own copy of the etcd data directory, in bytes.
const backupReserve = 256 << 20

// checkNodes looks for what would stop the work on a node.
func checkNodes(p Plan) []Finding {
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
		case !p.Refused() && needsPackages(n, p.Target) && !slices.Contains(n.Host.Available, p.Target):
			add(SeverityError, "package-missing", n.Name, fmt.Sprintf("the repository %s/%s has no kubeadm %s (%s)",
				p.Settings.Repository, p.Target.MinorString(), p.Target, newest(n.Host.Available)),
				"choose a version that it has, or update the mirror")
		}
		if n.ControlPlane && n.Host.Problem == "" {
			if need := 2*n.Host.EtcdBytes + backupReserve; n.Host.FreeBytes < need {
				add(SeverityError, "disk-space", n.Name, fmt.Sprintf("%d MiB free under /var/lib, %d MiB needed for the backup",
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

func needsPackages(n Node, target Version) bool {
	return n.Kubelet != target || n.Host.Kubeadm != target
}

func newest(available []Version) string {
	if len(available) == 0 {
		return "it has none of that minor"
	}
	return "its newest is " + slices.MaxFunc(available, Version.Compare).String()
}

// makeHop lays out one hop: control planes, then workers. What is done already is left out.
func makeHop(p Plan) Hop {
	hop := Hop{From: p.Current, To: p.Target}
	applied := p.Current == p.Target // the cluster-wide part of kubeadm upgrade has been done
	for _, n := range controlPlaneOrder(p.Nodes, p.Target) {
		role := AdditionalControlPlane
		if !applied {
			role, applied = FirstControlPlane, true
		}
		if plan := planNode(n, role, p.Target); len(plan.Steps) > 0 {
			hop.ControlPlane = append(hop.ControlPlane, plan)
		}
	}
	for _, n := range p.Nodes {
		if n.ControlPlane {
			continue
		}
		if plan := planNode(n, Worker, p.Target); len(plan.Steps) > 0 {
			hop.Workers = append(hop.Workers, plan)
		}
	}
	return hop
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
