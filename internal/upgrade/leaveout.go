package upgrade

import (
	"fmt"
	"slices"
)

// A person may leave a node as it is while the rest of the cluster goes on, if the version skew policy lets it be where
// it is when the cluster has arrived. A worker is then not touched any more. Of a control plane node only the kubelet
// can be left: its components have to follow the others'.

// Unskippable says in one line why a node must not be left as it is in a hop and those that follow, or "". hop counts
// from 1; n is the part of the node's plan that would be left.
func (p Plan) Unskippable(hop int, n NodePlan) string {
	if n.Node == managedControlPlane {
		return "it is the control plane, which all that follows stands on"
	}
	if n.Role == ComponentPart {
		return "components of the control plane go together"
	}
	if n.Addon.Name != "" || n.Node == followers || n.Node == fargatePods {
		return ""
	}
	if slices.ContainsFunc(n.Steps, Step.ofComponents) && n.Role.IsControlPlane() {
		return fmt.Sprintf("%s is of the control plane, and the kubelets that follow may not be newer than its API server", n.Node)
	}
	for _, h := range p.Hops[hop-1:] {
		if problem := checkKubelet(n.Node, n.From, h.To); problem != "" {
			return problem
		}
	}
	return ""
}

// LeaveOut is the plan without what its hops after this one were to do to the node.
func (p Plan) LeaveOut(hop int, node string) Plan {
	p.Hops = slices.Clone(p.Hops)
	for i := hop; i < len(p.Hops); i++ {
		h := &p.Hops[i]
		h.Workers = slices.DeleteFunc(slices.Clone(h.Workers), func(n NodePlan) bool { return n.Node == node })
		h.ControlPlane = slices.Clone(h.ControlPlane)
		for j, n := range h.ControlPlane {
			if n.Node == node {
				h.ControlPlane[j] = n.Components()
			}
		}
	}
	p.Drains = drains(p.Hops)
	p.Nodes = slices.Clone(p.Nodes)
	for i := range p.Nodes {
		if p.Nodes[i].Name == node {
			p.Nodes[i].LeftOut = true
		}
	}
	p.estimate()
	return p
}

// mark marks the nodes that are to be left as they are.
func (w Wanted) mark(nodes []Node) []Node {
	for i := range nodes {
		nodes[i].LeftOut = slices.Contains(w.LeaveOut, nodes[i].Name)
	}
	return nodes
}

// stays reports whether nothing at all is to be done to the node.
func (n Node) stays() bool { return n.LeftOut && !n.ControlPlane }

// checkLeftOut holds what is left as it is against every hop.
func checkLeftOut(nodes []Node, hops []Hop) []Finding {
	var found []Finding
	for _, n := range nodes {
		if !n.LeftOut {
			continue
		}
		for _, h := range hops {
			if problem := checkKubelet(n.Name, n.Kubelet, h.To); problem != "" {
				f := failure(VersionSkew, n.Name, problem, "upgrade it too, or remove it from the cluster")
				f.Source = skewPolicy + "#kubelet"
				found = append(found, f)
				break
			}
		}
	}
	return found
}
