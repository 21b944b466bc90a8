package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// Rest is what is wanted of a plan that is made again after its first hops: the same target by the same stops.
func (p Plan) Rest(done int, waive []string) Wanted {
	w := Wanted{Target: p.Target, Waive: waive}
	for _, hop := range p.Hops[done:] {
		if hop.To != p.Target && !hop.To.IsWhole() { // of a minor nobody pins a release
			w.Through = append(w.Through, hop.To)
		}
	}
	return w
}

// Changes says in which way the facts no longer fit what is left of the plan after its first hops, a line each: now is
// the plan that is made from them for the Rest. Facts that make no difference to what will be done are none of it.
func (p Plan) Changes(done int, now Plan) []string {
	var changes []string
	for _, f := range now.Errors() {
		changes = append(changes, f.String())
	}
	if len(changes) > 0 || sameHops(p.Hops[done:], now.Hops) {
		return changes
	}
	expected := p.Nodes
	for _, hop := range p.Hops[:done] {
		expected = hop.leaves(expected)
	}
	for _, n := range now.Nodes {
		i := slices.IndexFunc(expected, func(e Node) bool { return e.Name == n.Name })
		if i < 0 {
			changes = append(changes, fmt.Sprintf("%s is new, with kubelet %s", n.Name, n.Kubelet))
			continue
		}
		changes = append(changes, n.changes(expected[i])...)
	}
	for _, e := range expected {
		if !e.LeftOut && !slices.ContainsFunc(now.Nodes, func(n Node) bool { return n.Name == e.Name }) {
			changes = append(changes, e.Name+" is gone")
		}
	}
	if len(changes) == 0 {
		changes = append(changes, fmt.Sprintf("the rest would be done otherwise now: %s instead of %s", outline(now.Hops), outline(p.Hops[done:])))
	}
	return changes
}

// changes says in which way a node is not as it was expected to be. Of one that is left out nobody expects anything.
func (n Node) changes(expected Node) []string {
	var changes []string
	if n.LeftOut {
		return nil
	}
	has := expected.versions()
	for i, is := range n.versions() {
		if was := has[i].version; is.version != was {
			changes = append(changes, fmt.Sprintf("%s: %s is %s, expected %s", n.Name, is.name, orNone(is.version), orNone(was)))
		}
	}
	if n.Address != expected.Address {
		changes = append(changes, fmt.Sprintf("%s: its address is %s, was %s", n.Name, n.Address, expected.Address))
	}
	if n.ControlPlane != expected.ControlPlane {
		changes = append(changes, n.Name+": its control plane label has come or gone")
	}
	switch {
	case n.Cordoned && !expected.Cordoned:
		changes = append(changes, n.Name+": somebody has cordoned it")
	case expected.Cordoned && !n.Cordoned:
		changes = append(changes, n.Name+": it is no longer cordoned")
	case n.CordonedByPawl:
		changes = append(changes, n.Name+": it is still cordoned by pawl")
	}
	return changes
}

func orNone(v Version) string {
	if v.IsZero() {
		return "unknown"
	}
	return v.String()
}

// sameHops compares what will be done.
func sameHops(a, b []Hop) bool {
	return slices.EqualFunc(a, b, func(a, b Hop) bool {
		return a.From == b.From && a.To == b.To && slices.EqualFunc(a.ControlPlane, b.ControlPlane, NodePlan.same) && slices.EqualFunc(a.Workers, b.Workers, NodePlan.same)
	})
}

// same reports whether the same will be done.
func (n NodePlan) same(o NodePlan) bool {
	return n.Node == o.Node && n.Address == o.Address && n.Role == o.Role && n.From == o.From && n.To == o.To &&
		n.UID == o.UID && n.Kubeadm == o.Kubeadm && n.StaysCordoned == o.StaysCordoned && slices.Equal(n.Steps, o.Steps)
}

// outline is hops on one line.
func outline(hops []Hop) string {
	var parts []string
	for _, h := range hops {
		parts = append(parts, fmt.Sprintf("%s to %s on %d nodes with %d drains", h.From, h.To, len(h.NodePlans()), h.drains()))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", then ")
}

// Replan puts what is planned now in place of what was left after the first hops.
func (p Plan) Replan(done int, now Plan) Plan {
	now.Current = p.Current
	now.Hops = slices.Concat(p.Hops[:done], now.Hops)
	now.Drains = drains(now.Hops)
	now.estimate()
	return now
}
