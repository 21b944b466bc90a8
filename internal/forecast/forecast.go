package forecast

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Make forecasts the drains of a plan, and says what of it a person should know. A plan that is refused has none.
func Make(p upgrade.Plan, w Workloads) (*upgrade.Forecast, []upgrade.Finding) {
	if len(p.Hops) == 0 || len(w.Nodes) == 0 {
		return nil, unseen(w)
	}
	drains := walk(p, w)
	f := &upgrade.Forecast{Drains: make([]upgrade.DrainForecast, 0, len(drains))}
	room := entriesInAll
	for _, d := range drains {
		f.Drains = append(f.Drains, d.summary(&room))
	}
	return f, append(findings(p, w, drains), unseen(w)...)
}

// walk goes through the plan in the order in which the upgrade does. As there, up to maxUnavailable workers are out of
// service at a time: the last ones that were drained, of which the first is the first to come back. Of nodes that are
// replaced the successor comes first.
func walk(p upgrade.Plan, w Workloads) []*drained {
	m := newWorld(withSuccessors(p, w))
	left := map[string]bool{} // cordoned by somebody else, or gone
	for _, n := range successions(p) {
		m.cordon(m.byName[successor(n)], true)
		left[n] = true
	}
	for _, n := range p.Nodes {
		if o := m.byName[n.Name]; o != nil && (n.Cordoned || n.CordonedByPawl) {
			m.cordon(o, true)
			left[n.Name] = left[n.Name] || n.Cordoned
		}
	}
	var all []*drained
	for i, hop := range p.Hops {
		here := m.window(drainedOf(m, hop.ControlPlane), 1, left)
		for _, part := range p.Parts(hop) {
			for _, round := range part.Rounds() {
				here = append(here, m.window(drainedOf(m, round), part.Pool.AtOnce, left)...)
			}
		}
		for _, d := range here {
			d.hop = i + 1
		}
		all = append(all, here...)
	}
	return all
}

// successor is what the node is called here that takes the place of another.
func successor(node string) string { return node + " (new)" }

// successions are the nodes that are replaced.
func successions(p upgrade.Plan) []string {
	var nodes []string
	for _, hop := range p.Hops {
		for _, n := range hop.Workers {
			if n.Replaces() && !slices.Contains(nodes, n.Node) {
				nodes = append(nodes, n.Node)
			}
		}
	}
	return nodes
}

// withSuccessors adds the nodes that will come: each like the one whose place it takes, and in its zone.
func withSuccessors(p upgrade.Plan, w Workloads) Workloads {
	nodes := slices.Clone(w.Nodes)
	for _, name := range successions(p) {
		n := Node{Name: name}
		if i := slices.IndexFunc(w.Nodes, func(n Node) bool { return n.Name == name }); i >= 0 {
			n = w.Nodes[i]
		}
		n.Name, n.Labels = successor(name), maps.Clone(n.Labels)
		if n.Labels[corev1.LabelHostname] != "" {
			n.Labels[corev1.LabelHostname] = n.Name
		}
		nodes = append(nodes, n)
	}
	w.Nodes = nodes
	return w
}

// drainedOf are the nodes that are drained.
func drainedOf(m *world, plans []upgrade.NodePlan) []*node {
	var nodes []*node
	for _, n := range plans {
		if o := m.byName[n.Node]; o != nil && n.Drains() {
			nodes = append(nodes, o)
		}
	}
	return nodes
}

// window drains nodes in order, at most so many out of service at a time. left are those that stay cordoned.
func (m *world) window(nodes []*node, most int, left map[string]bool) (all []*drained) {
	var out []*node // cordoned, in order
	comeBack := func(n *node) string {
		if !left[n.name()] {
			m.cordon(n, false)
			m.retry(n, n)
		}
		return n.name()
	}
	for i, n := range nodes {
		if len(out) == most {
			comeBack(out[0])
			out = out[1:]
		}
		if s := m.byName[successor(n.name())]; s != nil {
			m.cordon(s, false)
			m.retry(s, s)
		}
		m.cordon(n, true)
		var others []*node // that are out because they began together with the first
		if i == 0 {
			others = slices.Clone(nodes[1:min(most, len(nodes))])
		}
		for _, o := range others {
			m.cordon(o, true)
		}
		all = append(all, m.drain(n, func() (back string) {
			switch {
			case len(out) > 0:
				back, out = comeBack(out[0]), out[1:]
			case len(others) > 0: // they will have been drained meanwhile
				back, others = comeBack(others[0]), others[1:]
			}
			return back
		}))
		out = append(out, n)
	}
	for _, n := range out {
		comeBack(n)
	}
	return all
}

// How much of a forecast is kept: it stands in a workflow's history with the plan. What is left out is counted.
const (
	entriesOfDrain = 6
	entriesInAll   = 600
)

// summary is the drain for a plan. room is how many entries there may be still.
func (d *drained) summary(room *int) upgrade.DrainForecast {
	f := upgrade.DrainForecast{Hop: d.hop, Node: d.node.name(), Pods: d.pods, Lost: len(d.emptyDir),
		AtLeast: upgrade.Duration(time.Duration(min(d.atLeast, maxGrace)) * time.Second)}
	left := min(entriesOfDrain, *room)
	keep := func(entries []upgrade.PodsForecast) []upgrade.PodsForecast {
		n := min(left, len(entries))
		left -= n
		*room -= n
		f.More += len(entries) - n
		return slices.Clone(entries[:n])
	}
	f.Blocked = keep(group(d.blocked, kept.entry))
	f.Waiting = keep(group(d.waiting, kept.entryUntil))
	f.Pending = keep(group(d.pending, (*pod).entry))
	return f
}

// maxGrace is more than any grace period: beyond it a duration cannot be said.
const maxGrace = 100 * 365 * 24 * 60 * 60

func (k kept) entry() upgrade.PodsForecast {
	of := k.of
	if k.Controller.Kind == "" {
		of = "Pod " + k.Namespace + "/" + k.Name
	}
	return upgrade.PodsForecast{Of: of, Budget: k.budget, Reason: k.why}
}

func (k kept) entryUntil() upgrade.PodsForecast {
	e := k.entry()
	e.Until = k.waitedFor
	return e
}

func (p *pod) entry() upgrade.PodsForecast {
	return upgrade.PodsForecast{Of: p.of, Reason: p.why, Until: p.until}
}

// group counts what is alike, in the order in which it came. It is never nil where there is something.
func group[T any](all []T, entry func(T) upgrade.PodsForecast) []upgrade.PodsForecast {
	var entries []upgrade.PodsForecast
	for _, one := range all {
		e := entry(one)
		i := slices.IndexFunc(entries, func(o upgrade.PodsForecast) bool {
			return o.Of == e.Of && o.Budget == e.Budget && o.Until == e.Until && (o.Reason == e.Reason || e.Budget != "")
		})
		if i < 0 {
			i = len(entries)
			entries = append(entries, e)
		}
		entries[i].Pods++
	}
	return entries
}
