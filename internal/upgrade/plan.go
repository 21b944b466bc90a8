package upgrade

// Plan is the whole upgrade, made once from what was observed and then walked. It is data: a later planner never
// changes a plan that is under way.
type Plan struct {
	Cluster  string    `json:"cluster"`
	Current  Version   `json:"current"`
	Target   Version   `json:"target"`
	Nodes    []Node    `json:"nodes"` // what is where now
	Hops     []Hop     `json:"hops"`  // what will be done, in this order; empty when there is nothing to do
	Findings []Finding `json:"findings,omitempty"`
	Settings Settings  `json:"settings"`
}

// Hop is one move of the control plane to a newer version, with the workers that follow it.
type Hop struct {
	From Version `json:"from"` // the oldest control plane component
	To   Version `json:"to"`
	// ControlPlane: strictly one at a time, in this order: first the components of all, then the kubelets of all.
	ControlPlane []NodePlan `json:"controlPlane,omitempty"`
	// Workers: at most Settings.MaxUnavailable at a time, in this order.
	Workers []NodePlan `json:"workers,omitempty"`
}

// NodePlan is what will be done to one node in one hop.
type NodePlan struct {
	Node    string  `json:"node"`
	Address string  `json:"address"`
	Role    Role    `json:"role"`
	From    Version `json:"from"` // kubelet
	To      Version `json:"to"`
	// StaysCordoned: the node was cordoned by somebody else before, and is left so.
	StaysCordoned bool   `json:"staysCordoned,omitempty"`
	Steps         []Step `json:"steps"`
}

// Refused reports whether a finding forbids the plan.
func (p Plan) Refused() bool { return len(p.Errors()) > 0 }

// Errors are the findings that forbid the plan.
func (p Plan) Errors() []Finding {
	var errs []Finding
	for _, f := range p.Findings {
		if f.Severity == SeverityError {
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
