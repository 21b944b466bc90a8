package upgrade

import (
	"slices"
	"time"
)

// Plan is the whole upgrade, made once from what was observed and then walked. It is data: a later planner never
// changes a plan that is under way.
type Plan struct {
	Cluster string  `json:"cluster"`
	Current Version `json:"current"`
	Target  Version `json:"target"`
	Nodes   []Node  `json:"nodes"` // what is where now
	// Components are all parts of the cluster: what they are and what they will be.
	Components []Component `json:"components,omitempty"`
	Hops       []Hop       `json:"hops"`   // what will be done, in this order; empty when there is nothing to do
	Drains     int         `json:"drains"` // of nodes, in all hops together
	Findings   []Finding   `json:"findings,omitempty"`
	Settings   Settings    `json:"settings"`
	// ExternalEtcd: no node of the cluster has a member of etcd.
	ExternalEtcd bool `json:"externalEtcd,omitempty"`
	// Pools are those that have workers, in the order in which they have their turn. Empty in plans from before there
	// were pools.
	Pools []Pool `json:"pools,omitempty"`
	// Estimate is how long all of it will take, by the longest way through it. Zero in plans from before it was kept.
	Estimate Duration `json:"estimate,omitempty"`
	// Measured is what the estimate is made from: how long steps took in earlier upgrades of the cluster. Of steps that
	// it lacks, typical durations are taken.
	Measured Measured `json:"measured,omitempty"`
	// Forecast is nil where nobody looked at the pods: in plans from before there was one, and in refused ones.
	Forecast *Forecast `json:"forecast,omitempty"`
	// Windows are the maintenance windows that it will use when it starts as soon as it is made, and Ends is when it will
	// end then. Empty without windows.
	Windows []PlannedWindow `json:"windows,omitempty"`
	Ends    time.Time       `json:"ends,omitzero"`
}

// Hop is one move of the control plane to a newer version, with the workers that follow it.
type Hop struct {
	From Version `json:"from"` // the oldest control plane component
	To   Version `json:"to"`
	// ControlPlane: strictly one at a time, in this order: first the components of all, then the kubelets of all.
	ControlPlane []NodePlan `json:"controlPlane,omitempty"`
	// Workers in their order: pool after pool; see Plan.Parts and KeepsKubelet.
	Workers []NodePlan `json:"workers,omitempty"`
}

// NodePlan is what will be done to one node in one hop.
type NodePlan struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	Role    Role   `json:"role"`
	// Pool and Zone are the worker's.
	Pool string `json:"pool,omitempty"`
	Zone string `json:"zone,omitempty"`
	// Host is the machine, and Changes what changes on it, where it was installed by hand.
	Host    string         `json:"host,omitempty"`
	Changes []BinaryChange `json:"changes,omitempty"`
	// Addon is where an add-on goes, for what is one: its versions need not be semantic.
	Addon AddonMove `json:"addon,omitzero"`
	// Machine is what is replaced, where the node is, and UID that of the node's API object.
	Machine Machine `json:"machine,omitzero"`
	UID     string  `json:"uid,omitempty"`
	// From and To are the kubelet's. They are the same where a worker is only configured for the hop's version.
	From Version `json:"from"`
	To   Version `json:"to"`
	// Kubeadm is the version of kubeadm, and of all that it manages: the hop's. Zero in plans from before workers could
	// keep their kubelet, and then it is To.
	Kubeadm Version `json:"kubeadm,omitzero"`
	// StaysCordoned: the node was cordoned by somebody else before, and is left so.
	StaysCordoned bool   `json:"staysCordoned,omitempty"`
	Steps         []Step `json:"steps"`
	// Estimate is how long the node's part will take.
	Estimate Duration `json:"estimate,omitempty"`
}

// Refused reports whether a finding forbids the plan.
func (p Plan) Refused() bool { return len(p.Errors()) > 0 }

// Brief is what the plan comes to, without what there is of each node: for where nobody walks it.
func (p Plan) Brief() Plan {
	p.Nodes, p.Components, p.Measured, p.Forecast = nil, nil, nil, nil
	hops := make([]Hop, len(p.Hops))
	for i, h := range p.Hops {
		hops[i] = Hop{From: h.From, To: h.To}
	}
	p.Hops = hops
	return p
}

// Errors are the findings that forbid the plan.
func (p Plan) Errors() []Finding {
	var errs []Finding
	for _, f := range p.Findings {
		if f.blocks() {
			errs = append(errs, f)
		}
	}
	return errs
}

// NodePlans are all nodes' parts of the hop, in order.
func (h Hop) NodePlans() []NodePlan {
	all := make([]NodePlan, 0, len(h.ControlPlane)+len(h.Workers))
	return append(append(all, h.ControlPlane...), h.Workers...)
}

// KeepsKubelet reports whether the node goes through the hop with the kubelet that it has, and keeps its pods: only
// kubeadm and what it configures move.
func (n NodePlan) KeepsKubelet() bool { return !n.Kubeadm.IsZero() && n.To != n.Kubeadm }

// Version is what a step brings the node to.
func (n NodePlan) Version(s Step) Version {
	if n.KeepsKubelet() && (s == InstallKubeadm || s == UpgradeNodeConfig) {
		return n.Kubeadm
	}
	return n.To
}

// SplitWorkers parts the hop's workers into those that keep their kubelet, and can be worked on side by side since no
// pod notices, and those that are taken out of service one after another.
func (h Hop) SplitWorkers() (keep, move []NodePlan) {
	for _, n := range h.Workers {
		if n.KeepsKubelet() {
			keep = append(keep, n)
		} else {
			move = append(move, n)
		}
	}
	return keep, move
}

// Replaces reports whether another node takes the place of this one.
func (n NodePlan) Replaces() bool { return slices.Contains(n.Steps, AddNode) }

// drains is how many nodes the hops drain.
func drains(hops []Hop) int {
	all := 0
	for _, hop := range hops {
		all += hop.drains()
	}
	return all
}

// drains is how many nodes the hop drains.
func (h Hop) drains() int {
	drains := 0
	for _, n := range h.NodePlans() {
		if n.Drains() {
			drains++
		}
	}
	return drains
}

// Drains reports whether the node is drained in the hop.
func (n NodePlan) Drains() bool { return slices.Contains(n.Steps, DrainNode) }
