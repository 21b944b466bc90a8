package upgrade

import "slices"

// Phase is a part of a hop in which the nodes of the control plane have their turn one after another. Only when all have had
// it does the next phase begin.
type Phase struct {
	Title   string     // of the stage, without the version: "Upgrade the control plane"
	Heading string     // of the list of nodes in a plan
	What    string     // is done to a node: "control plane"
	Nodes   []NodePlan // the phase's part of each; without those that have none
}

// phases are those of a kubeadm cluster: every control plane node's components come before any kubelet, which may not be newer
// than the oldest API server that it can reach, and behind a load balancer it can reach them all.
// Source: https://kubernetes.io/releases/version-skew-policy/#kubelet
var phases = []struct {
	Phase
	part func(NodePlan) NodePlan
}{
	{Phase{Title: "Upgrade the control plane", Heading: "Control plane components, one node at a time", What: "control plane"}, NodePlan.Components},
	{Phase{Title: "Upgrade the control plane's kubelets", Heading: "Control plane kubelets, one node at a time", What: "kubelet"}, NodePlan.Kubelet},
}

// Phases are those of the hop's control plane, in their order.
func (h Hop) Phases() []Phase {
	var all []Phase
	for _, p := range phases {
		for _, n := range h.ControlPlane {
			if part := p.part(n); len(part.Steps) > 0 {
				p.Nodes = append(p.Nodes, part)
			}
		}
		if len(p.Nodes) > 0 || !h.abstract() {
			all = append(all, p.Phase)
		}
	}
	return all
}

// abstract: the control plane's parts are no nodes, and have no kubelets of their own.
func (h Hop) abstract() bool { return slices.ContainsFunc(h.NodePlans(), NodePlan.Abstract) }
