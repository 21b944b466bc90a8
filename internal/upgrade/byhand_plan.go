package upgrade

import (
	"fmt"
	"slices"
)

// ProviderBinaries is the provider of clusters that were installed by hand: binaries that systemd's units start.
const ProviderBinaries = "binaries"

// ByHand is what was observed of the machines of a cluster that was installed by hand.
type ByHand struct {
	Hosts   []BinaryHost `json:"hosts"`             // etcd's and the control plane's first, in the definition's order
	Members []EtcdMember `json:"members,omitempty"` // of etcd
}

// BinarySettings are the parts of the definition of such a cluster that shape a plan.
type BinarySettings struct {
	// ControlPlane are the hosts of the control plane, which need not be nodes.
	ControlPlane []string     `json:"controlPlane,omitempty"`
	Source       BinarySource `json:"source,omitzero"`
	// Etcd are the versions of etcd that can be had. It goes to the last before the API servers of the first hop, by those of
	// the others that it has to pass. Empty: it stays.
	Etcd []Version `json:"etcd,omitempty"`
	// EtcdHosts are those of etcd, where they are not the control plane's.
	EtcdHosts []string `json:"etcdHosts,omitempty"`
	// Runtime are where the container runtime's parts and the CNI plugins of nodes go, on drained nodes only.
	Runtime []ComponentVersion `json:"runtime,omitempty"`
}

// EtcdTarget is the version that etcd goes to; zero: it stays.
func (s BinarySettings) EtcdTarget() Version { return last(s.Etcd) }

// targets are where everything goes, for Kubernetes at a version.
func (s BinarySettings) targets(to Version) BinaryTargets {
	return BinaryTargets{Kubernetes: to, Etcd: s.Etcd, Runtime: s.Runtime}
}

// makeByHandPlan is MakePlan for a cluster that was installed by hand: etcd member by member, then each component of the
// control plane on all hosts before the next, then the nodes.
func makeByHandPlan(c Cluster, w Wanted, s Settings) Plan {
	nodes := w.mark(sortNodes(c.Nodes))
	p := Plan{Cluster: c.Name, Current: c.Version, Target: w.Target, Nodes: nodes, Hops: []Hop{}, Measured: c.Measured, Settings: s, Pools: pools(s, nodes)}
	hops, found := byHandHops(p, *c.ByHand, w)
	p.Components = byHandComponents(c, s.Binaries.targets(p.Target))
	return p.finish(c, w, hops, slices.Concat(found, CheckBinaries(c.ByHand.Hosts, s.Binaries.Source, s.Binaries.targets(p.Target)), checkByHandNodes(p), checkLeftOut(nodes, hops),
		checkCloudControllers(c, p, hops), checkByHandProxy(c, p), checkAPIs(c, p), checkSupport(p, w.Now)))
}

// byHandHops walks minor by minor, from where the hop before leaves the binaries.
func byHandHops(p Plan, h ByHand, w Wanted) ([]Hop, []Finding) {
	if !w.Policy.IsZero() {
		return nil, []Finding{failure(VersionPath, p.Cluster, "a policy needs to know what can be had, which binaries' mirrors do not tell", "name a version")}
	}
	if p.Current.IsZero() {
		return nil, []Finding{failure(NoControlPlane, p.Cluster, "no API server said its version", "see what else was found")}
	}
	if problem, remedy := checkPath(p.Current, p.Target); problem != "" {
		return nil, []Finding{failure(VersionPath, p.Cluster, problem, remedy)}
	}
	way := path(p.Current, p.Target)
	if found := checkThrough(p, way, w.Through); len(found) > 0 {
		return nil, found
	}
	etcdWay, found := EtcdWay(h.Members, p.Settings.Binaries.EtcdTarget(), p.Settings.Binaries.Etcd)
	var hops []Hop
	for i, to := range way {
		var next Version // the zero value after the last hop
		if i < len(way)-1 {
			pin := slices.IndexFunc(w.Through, to.SameMinor)
			if pin < 0 {
				return nil, append(found, failure(VersionPath, p.Cluster, "the way goes through "+to.MinorString()+", and nobody says which release of it", "name it: --through "+to.String()))
			}
			to, next = w.Through[pin], way[i+1]
		}
		found = append(found, checkKubelets(p.Nodes, to)...)
		hop := Hop{From: p.Current, To: to}
		h = hop.addByHand(p, h, etcdWay, next)
		etcdWay = nil
		if len(hop.NodePlans()) > 0 {
			hops = append(hops, hop)
		}
		p.Current, p.Nodes = to, hop.leaves(p.Nodes)
	}
	return hops, found
}

// ofNode are the components that have their turn with a node, not with the control plane.
var ofNode = []string{Containerd, Runc, CNIPlugins, Kubelet, KubeProxy, Kubectl}

// addByHand adds what is done in the hop, and says what that leaves.
func (h *Hop) addByHand(p Plan, is ByHand, etcdWay []Version, next Version) ByHand {
	ofNodes := map[string]BinaryPhase{}
	var done []BinaryPhase
	targets := BinaryTargets{Kubernetes: h.To, Etcd: etcdWay, Runtime: p.Settings.Binaries.Runtime}
	for _, phase := range BinaryPhases(is.Hosts, is.Members, targets) {
		first := phase.Steps[0]
		if slices.Contains(ofNode, first.Component) {
			ofNodes[first.Node] = phase
			continue
		}
		h.ControlPlane = append(h.ControlPlane, componentPlans(phase)...)
		done = append(done, phase)
	}
	for _, host := range is.Hosts { // tools on hosts that are no nodes
		phase, there := ofNodes[host.Node]
		if there && !slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.Name == host.Node }) {
			h.ControlPlane = append(h.ControlPlane, componentPlans(phase)...)
			done = append(done, phase)
		}
	}
	for _, n := range inTurn(p.Nodes, p.Settings.Pools) {
		phase, there := ofNodes[n.Name]
		switch {
		case n.LeftOut:
		case n.Replaced:
			if plan := planReplacement(n, h.To, next); len(plan.Steps) > 0 {
				h.Workers = append(h.Workers, plan)
			}
		case !there, !next.IsZero() && p.Settings.WorkerPath != EveryMinor && !n.CordonedByPawl && checkKubelet(n.Name, n.Kubelet, next) == "":
		default:
			h.Workers = append(h.Workers, byHandNode(n, phase, h.To).by(p.Settings.Pool(n.Pool)))
			done = append(done, phase)
		}
	}
	return is.after(done)
}

// componentPlans are what a phase does to hosts: of each host's consecutive steps one.
func componentPlans(phase BinaryPhase) []NodePlan {
	var plans []NodePlan
	for _, step := range phase.Steps {
		last := len(plans) - 1
		if last < 0 || plans[last].Host != step.Node {
			name := step.Node + "/" + step.Component
			if step.Component == etcd { // which may have several versions to go through
				name += "-" + step.To.String()
			}
			plans = append(plans, NodePlan{Node: name, Host: step.Node, Role: ComponentPart, From: step.From, To: step.To, Steps: []Step{FetchBinaries, SwapBinaries}})
			last++
		}
		plans[last].Changes = append(plans[last].Changes, step.BinaryChange)
	}
	return plans
}

// byHandNode is what is done to a node.
func byHandNode(n Node, phase BinaryPhase, to Version) NodePlan {
	plan := NodePlan{Node: n.Name, Address: n.Address, Host: n.Name, Role: Worker, From: n.Kubelet, To: to, Pool: n.Pool, Zone: n.Zone, StaysCordoned: n.Cordoned}
	plan.Steps = []Step{FetchBinaries}
	if phase.Drain != "" {
		plan.Steps = append(plan.Steps, DrainNode)
	}
	plan.Steps = append(plan.Steps, SwapBinaries, VerifyNode)
	if phase.Drain != "" && !n.Cordoned {
		plan.Steps = append(plan.Steps, UncordonNode)
	}
	for _, step := range phase.Steps {
		plan.Changes = append(plan.Changes, step.BinaryChange)
	}
	return plan
}

// after is what phases leave.
func (h ByHand) after(done []BinaryPhase) ByHand {
	h.Hosts, h.Members = slices.Clone(h.Hosts), slices.Clone(h.Members)
	for _, phase := range done {
		for _, step := range phase.Steps {
			for i := range h.Hosts {
				if h.Hosts[i].Node == step.Node {
					h.Hosts[i] = h.Hosts[i].at(step.BinaryChange)
				}
			}
			for i := range h.Members {
				if step.Component == etcd {
					h.Members[i].Version = step.To
				}
			}
		}
	}
	return h
}

// at is the host after a change.
func (h BinaryHost) at(change BinaryChange) BinaryHost {
	h.Binaries = slices.Clone(h.Binaries)
	for i := range h.Binaries {
		if b := &h.Binaries[i]; b.Component == change.Component {
			b.OnDisk = change.To
			if !b.Unit.Running.IsZero() {
				b.Unit.Running = change.To
			}
		}
	}
	return h
}

// checkByHandNodes finds nodes that are not fit for their turn.
func checkByHandNodes(p Plan) []Finding {
	var found []Finding
	for _, n := range p.Nodes {
		if to := versionOf(p.Settings.Binaries.Runtime, Containerd); !to.IsZero() { // which comes before the kubelet
			n.Runtime = Containerd + "://" + to.Number()
		}
		found = append(found, checkRuntime(n, p.Target)...)
		if !n.Ready {
			found = append(found, failure(NodeReady, n.Name, "the node is not Ready", "repair it or remove it from the cluster first"))
		}
		found = append(found, checkConditions(n)...)
		if n.Cordoned {
			found = append(found, Finding{ID: NodeCordoned, Severity: SeverityInfo, Target: n.Name, Message: "the node is cordoned and will stay so"})
		}
	}
	return found
}

// checkByHandProxy finds a kube-proxy that a person has deployed, and has to bring along.
func checkByHandProxy(c Cluster, p Plan) []Finding {
	v := c.KubeProxy.Version
	if v.IsZero() || v == p.Target {
		return nil
	}
	return []Finding{{ID: KubeProxyAddon, Severity: SeverityWarning, Target: "DaemonSet kube-system/kube-proxy", Source: skewPolicy + "#kube-proxy",
		Message: fmt.Sprintf("it is at %s, and stays so: whoever deployed it changes it", v),
		Remedy:  fmt.Sprintf("once all API servers are at %s, set its image to that version", p.Target)}}
}

// byHandComponents says what every part is and will be.
func byHandComponents(c Cluster, targets BinaryTargets) []Component {
	var all componentList
	for _, name := range slices.Concat([]string{etcd}, byHandOrder, ofNode) {
		for _, host := range c.ByHand.Hosts {
			if b, there := host.Binary(name); there {
				all.addBinary(b, targets.on(host).of(name))
			}
		}
	}
	all.addCloudControllers(c)
	all.add(Component{Name: KubeProxy, Current: orEmpty(c.KubeProxy.Version)}) // the DaemonSet's
	for _, tag := range c.CoreDNS {
		all.add(Component{Name: "CoreDNS", Current: tag})
	}
	return all
}

// OldestAPIServer is the oldest version of an API server that runs on hosts that were installed by hand.
func (h ByHand) OldestAPIServer() Version {
	var oldest Version
	for _, host := range h.Hosts {
		if b, there := host.Binary(APIServer); there && !b.version().IsZero() && (oldest.IsZero() || b.version().Less(oldest)) {
			oldest = b.version()
		}
	}
	return oldest
}

// ByHand reports whether the cluster was installed by hand.
func (s Settings) ByHand() bool { return s.Provider == ProviderBinaries }

// Abstract reports whether the plan is of no node of the API: of a component on a host, or of what a provider changes.
func (n NodePlan) Abstract() bool { return n.Role == ManagedPart || n.Role == ComponentPart }

// BackUps are the hosts whose configuration is kept before the hop changes anything: nobody's, where a provider has it. Those
// that have etcd come first.
func (p Plan) BackUps(h Hop) []NodePlan {
	switch {
	case len(h.ControlPlane) == 0:
		return nil
	case p.Settings.ByHand():
		var hosts []NodePlan
		for _, host := range p.Settings.Machines() {
			hosts = append(hosts, NodePlan{Node: host, Host: host, Role: ComponentPart})
		}
		return hosts
	}
	return append(p.Settings.etcdBackUps(), slices.DeleteFunc(slices.Clone(h.ControlPlane), NodePlan.Abstract)...)
}

// Machines are the hosts of etcd and of the control plane, which need not be nodes.
func (s Settings) Machines() []string {
	all := slices.Clone(s.EtcdMachines())
	for _, host := range s.Binaries.ControlPlane {
		if !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return all
}

// ChangesTo are what a host of such a cluster may need for the versions, to ask a source whether it has them.
func (s BinarySettings) ChangesTo(versions ...Version) []BinaryChange {
	var all []BinaryChange
	for _, v := range versions {
		for _, component := range []string{APIServer, ControllerManager, Scheduler, Kubelet, KubeProxy, Kubectl} { // whose releases are one
			all = append(all, BinaryChange{Component: component, To: v})
		}
	}
	for _, v := range s.Etcd {
		all = append(all, BinaryChange{Component: etcd, To: v})
	}
	for _, part := range s.Runtime {
		all = append(all, BinaryChange{Component: part.Component, To: part.Version})
	}
	return all
}

// Text is the change on one line.
func (c BinaryChange) Text() string { return fmt.Sprintf("%s %s to %s", c.Component, c.From, c.To) }
