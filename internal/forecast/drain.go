package forecast

import (
	"fmt"
	"slices"
	"strings"
)

// cause is why a pod is kept on its node.
type cause int

const (
	goes cause = iota
	budgetSpent
	budgetFailed
	twoBudgets
	noController
	comesBack
)

// kept is a pod that does not go, and why.
type kept struct {
	*pod
	cause  cause
	budget string
	why    string
}

// drained is what the drain of one node does, pod by pod.
type drained struct {
	hop      int
	node     *node
	pods     int
	atLeast  int64 // seconds
	blocked  []kept
	waiting  []kept
	pending  []*pod // replacements
	emptyDir []*pod
}

// drain moves all pods off a node that is cordoned already. back lets another node of those that are out come back, and
// names it; it returns "" when there is none.
//
// It goes in passes, as a drain does: each evicts what may go, then the replacements find their places, which gives the
// budgets room again. When nothing goes any more, the other nodes come back; then a person makes the rest go.
func (m *world) drain(n *node, back func() string) *drained {
	d := &drained{node: n}
	left := n.movable()
	d.pods = len(left)
	clock := map[*budget]int64{} // when the budget lets the next ones go
	for len(left) > 0 {
		var stay, waiting []kept
		var gone []*pod
		for _, p := range left {
			if k := evict(p); k.cause == goes {
				m.take(p)
				gone = append(gone, p)
			} else {
				stay = append(stay, k)
			}
		}
		d.timePass(gone, clock)
		for _, p := range gone {
			if p.waitedFor != "" {
				waiting = append(waiting, kept{pod: p, budget: p.budgets[0].name(), why: "it has no room until then"})
			}
		}
		d.waiting = append(d.waiting, waiting...)
		m.replaceAll(d, gone)
		m.retry(nil, n)
		left = left[:0]
		for _, k := range stay {
			left = append(left, k.pod)
		}
		if len(gone) > 0 || len(left) == 0 {
			continue
		}
		if name := back(); name != "" {
			for _, p := range left {
				if len(p.budgets) == 1 {
					p.waitedFor = name
				}
			}
			continue
		}
		d.blocked = append(d.blocked, stay...)
		m.force(d, stay)
		break
	}
	d.pending = slices.DeleteFunc(d.pending, func(p *pod) bool { return p.node != nil }) // one that found a place meanwhile
	return d
}

// evict asks for a pod's eviction, by the rules of the eviction API and of kubectl's filters that pawl drains with: what
// has no controller is left to a person. A pod that goes takes its health from its budgets.
// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/#how-api-initiated-eviction-works
func evict(p *pod) kept {
	k := kept{pod: p}
	switch {
	case p.Controller.Kind == "":
		k.cause, k.why = noController, "it has no controller, so nothing would bring it back"
	case p.Pending || len(p.budgets) == 0:
	case len(p.budgets) > 1:
		names := make([]string, 0, len(p.budgets))
		for _, b := range p.budgets {
			names = append(names, b.name())
		}
		k.cause, k.why = twoBudgets, "more than one budget selects it, which the eviction API refuses: "+strings.Join(names, ", ")
	default:
		b := p.budgets[0]
		switch {
		case p.Unready && (b.AlwaysAllow || b.healthy >= b.Desired && b.Desired > 0), b.allows():
		case b.Failed != "":
			k.cause, k.budget, k.why = budgetFailed, b.name(), "it cannot be evaluated: "+b.Failed
		default:
			k.cause, k.budget, k.why = budgetSpent, b.name(), fmt.Sprintf("needs %d healthy, has %d", b.Desired, b.healthy)
			if b.waiting > 0 {
				k.why += fmt.Sprintf(", %d found no room", b.waiting)
			}
		}
	}
	if k.cause == goes {
		p.count(-1)
	}
	return k
}

// count takes a pod out of its budgets' healthy ones, or adds it.
func (p *pod) count(by int32) {
	if p.ready() {
		for _, b := range p.budgets {
			b.healthy += by
		}
	}
}

// timePass adds the time that pods take to end. The replacement of a StatefulSet's pod comes only when the old one has
// ended, that of others at once.
func (d *drained) timePass(gone []*pod, clock map[*budget]int64) {
	next := map[*budget]int64{}
	for _, p := range gone {
		grace := max(0, p.Grace)
		var b *budget
		if len(p.budgets) > 0 {
			b = p.budgets[0]
		}
		d.atLeast = max(d.atLeast, clock[b]+grace)
		if b != nil && p.Controller.Kind == "StatefulSet" {
			next[b] = max(next[b], clock[b]+grace)
		}
	}
	for b, t := range next {
		clock[b] = t
	}
}

// replaceAll makes the replacements of pods that are gone, and finds places for them.
func (m *world) replaceAll(d *drained, gone []*pod) {
	for _, p := range gone {
		if p.EmptyDir {
			d.emptyDir = append(d.emptyDir, p)
		}
		if p.Controller.Kind == "" {
			continue
		}
		replacement := &pod{template: p.template, Pod: p.Pod}
		best, why := m.choose(replacement, d.node)
		if best != nil {
			m.put(replacement, best)
			replacement.count(1)
			continue
		}
		if m.fit(replacement, d.node, leastOf(replacement)) == fits {
			// It tolerates the cordon: a scheduler puts it back where it was, as often as it is evicted.
			m.put(replacement, d.node)
			replacement.count(1)
			d.blocked = append(d.blocked, kept{pod: replacement, cause: comesBack, why: "it tolerates the cordon and fits nowhere else, so it comes back"})
			continue
		}
		why[outOfService]++ // the node itself
		replacement.why = m.explain(why)
		for _, b := range replacement.budgets {
			b.waiting++
		}
		m.pending = append(m.pending, replacement)
		d.pending = append(d.pending, replacement)
	}
}

// force does what a person would do with pods that nothing moves.
func (m *world) force(d *drained, stay []kept) {
	gone := make([]*pod, 0, len(stay))
	for _, k := range stay {
		m.take(k.pod)
		k.count(-1)
		gone = append(gone, k.pod)
	}
	for _, p := range gone {
		d.atLeast = max(d.atLeast, p.Grace)
	}
	m.replaceAll(d, gone)
	m.retry(nil, d.node)
}

// retry looks for places for the pods that have none, at a node's turn. back is the node that has just come back, or nil:
// then only pods that others keep from their place may find one, since no node has more room than before.
func (m *world) retry(back, turn *node) {
	type kind struct {
		*template
		volumes string
	}
	var failed map[kind]bool
	m.pending = slices.DeleteFunc(m.pending, func(p *pod) bool {
		simple := len(p.avoids)+len(p.repelledBy)+len(p.beside)+len(p.spread) == 0
		if simple && (back == nil || m.fit(p, back, nil) != fits) {
			return false
		}
		k := kind{p.template, fmt.Sprint(p.Volumes)}
		if failed[k] {
			return false
		}
		best, _ := m.choose(p, nil)
		if best == nil {
			if failed == nil {
				failed = map[kind]bool{}
			}
			failed[k] = true
			return false
		}
		m.put(p, best)
		p.count(1)
		if p.why != "" { // it is one that a drain left without a place
			for _, b := range p.budgets {
				b.waiting--
			}
			p.until = turn.name()
		}
		return true
	})
}
