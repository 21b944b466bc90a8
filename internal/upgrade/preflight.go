package upgrade

import (
	"fmt"
	"slices"
)

// What stands in the way of a plan, or is worth knowing, from what was observed. Findings of the observation itself, such
// as an unhealthy etcd member, come with the Cluster.

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
		found = append(found, failure(VersionPath, p.Cluster, problem, "name one release for each minor between the cluster's and the target's"))
	}
	return found
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
	for _, n := range p.Nodes {
		if n.Kubelet.IsZero() {
			continue // checkNodes says so
		}
		if problem := checkKubelet(n.Name, n.Kubelet, to); problem != "" {
			f := failure(VersionSkew, n.Name, problem, "bring that kubelet within the skew policy first")
			f.Source = skewPolicy + "#kubelet"
			found = append(found, f)
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
			found = append(found, failure(VersionPath, n.Name, fmt.Sprintf("%s is %s, newer than %s", has.name, has.version, what), remedy))
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
		switch {
		case !lacks(n, to):
		case n.Host.Unread.Minor.SameMinor(to):
			found = append(found, failure(Repository, n.Name, n.Host.Unread.Problem, ""))
		default:
			found = append(found, failure(PackageMissing, n.Name, fmt.Sprintf("the repository %s/%s has no kubeadm %s (%s)",
				p.Settings.Repository, to.MinorString(), to, newest(n.Host.offered(to))), remedy))
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

// checkKubeadm holds the nodes against kubeadm's own skew policy, which is narrower than Kubernetes'.
func checkKubeadm(p Plan, to Version) []Finding {
	var found []Finding
	add := func(n Node, message, remedy, source string) {
		f := failure(KubeadmSkew, n.Name, message, remedy)
		f.Source = source
		found = append(found, f)
	}
	for _, n := range p.Nodes {
		if n.leftBehind(to) && n.Host.Problem == "" {
			add(n, fmt.Sprintf("kubeadm is %s; one of %s may manage a node only after one of the minor before", n.Host.Kubeadm, to.MinorString()),
				"replace that node by a new one", kubeadmSkewPolicy+"#kubeadm-s-skew-against-kubeadm")
		}
		if !n.Replaced && !n.Kubelet.IsZero() && !kubeadmAllowsKubelet(to, n.Kubelet) {
			add(n, fmt.Sprintf("kubelet is %s, too old for kubeadm of %s", n.Kubelet, to.MinorString()),
				"bring that kubelet to a newer minor first", kubeadmSkewPolicy+"#kubeadm-s-skew-against-the-kubelet")
		}
	}
	return found
}

// backupReserve is kept free beside the etcd snapshot and kubeadm's own copy of the etcd data directory, in bytes.
const backupReserve = 256 << 20

// checkNodes looks for what would stop the work on a node. Every hop makes a backup.
func checkNodes(p Plan, hops int) []Finding {
	var found []Finding
	add := func(f Finding) { found = append(found, f) }
	if !slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.ControlPlane }) {
		add(failure(NoControlPlane, p.Cluster, "no node carries the label node-role.kubernetes.io/control-plane",
			"pawl upgrades kubeadm clusters whose control plane nodes are labelled so"))
	}
	for _, n := range p.Nodes {
		if !n.Ready {
			add(failure(NodeReady, n.Name, "the node is not Ready", "repair it or remove it from the cluster first"))
		}
		if n.Kubelet.IsZero() {
			add(failure(KubeletVersion, n.Name, fmt.Sprintf("the kubelet says that its version is %q, wanted one like v1.37.2", n.KubeletText),
				"install a kubelet of a release, or remove the node from the cluster"))
		}
		found = append(found, checkConditions(n)...)
		if n.Cordoned {
			add(Finding{ID: NodeCordoned, Severity: SeverityInfo, Target: n.Name, Message: "the node is cordoned and will stay so"})
		}
		switch {
		case n.Host.Problem != "":
			add(failure(HostProblem, n.Name, n.Host.Problem, ""))
		case n.Host.PackageManager == "" && !n.Replaced:
			add(failure(PackageManager, n.Name, fmt.Sprintf("no package manager that pawl knows (os %s)", n.Host.OS),
				"apt, dnf and zypper are supported"))
		}
		if n.ControlPlane && n.Host.Problem == "" {
			if need := 2*n.Host.EtcdBytes*int64(max(1, hops)) + backupReserve; n.Host.FreeBytes < need {
				add(failure(DiskSpace, n.Name, fmt.Sprintf("%d MiB free under /var/lib, %d MiB needed for backups",
					n.Host.FreeBytes>>20, need>>20), "free some space"))
			}
		}
	}
	return found
}

// checkConditions says what the node complains of.
func checkConditions(n Node) []Finding {
	var found []Finding
	for _, condition := range n.Conditions {
		f := Finding{ID: NodeCondition, Severity: SeverityWarning, Target: n.Name, Message: "the node reports " + condition,
			Remedy: "put it right first: pods of drained nodes have to find room elsewhere", Source: "https://kubernetes.io/docs/reference/node/node-status/#condition"}
		switch condition {
		case "DiskPressure":
			f.Severity, f.Remedy = SeverityError, "free some space: its kubelet evicts pods and removes images, and an upgrade brings more images"
		case "NetworkUnavailable":
			f.Severity, f.Remedy = SeverityError, "repair the node's network: its pods have none"
		}
		found = append(found, f)
	}
	return found
}

func newest(available []Version) string {
	if len(available) == 0 {
		return "it has none of that minor"
	}
	return "its newest is " + slices.MaxFunc(available, Version.Compare).String()
}

// checkNow holds the versions that run now against the policy. Workers' kubelets are held against every hop as well; what
// breaks it now without forbidding a hop is put right on the way.
func checkNow(p Plan) []Finding {
	var all []Instance
	for _, n := range p.Nodes {
		for _, has := range n.versions() {
			if has.name != "kubeadm" && !has.version.IsZero() {
				all = append(all, Instance{has.name, n.Name, has.version})
			}
		}
	}
	var found []Finding
	for _, v := range CheckSkew(all) {
		f := Finding{ID: VersionSkew, Severity: SeverityWarning, Target: v.Node, Message: fmt.Sprintf("%s is %s; %s", v.Component, v.Version, v.Rule),
			Remedy: "the upgrade puts it right", Source: v.Source}
		if v.Component == APIServer {
			f.Severity, f.Remedy = SeverityError, "bring the oldest API servers one minor further first"
		}
		found = append(found, f)
	}
	return found
}
