package upgrade

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// PlannedWindow is a maintenance window that a plan uses.
type PlannedWindow struct {
	Opening
	// Nodes are those whose work, or a part of it, begins in it.
	Nodes []string `json:"nodes,omitempty"`
}

// Begins is what the hop may begin for only where all of it fits into a window: the components of the whole control
// plane, so that it is not left at two versions until the next window; without such, its first node.
func (h Hop) Begins() []NodePlan {
	var parts []NodePlan
	for _, n := range h.ControlPlane {
		if part := n.Components(); len(part.Steps) > 0 {
			parts = append(parts, part)
		}
	}
	if len(parts) > 0 {
		return parts
	}
	all := h.NodePlans()
	return all[:min(1, len(all))]
}

// Expected is how long these parts of nodes will take, one after another: a step what this run has measured of it on such
// nodes, else what earlier ones have, else what is typical.
func (s Status) Expected(parts ...NodePlan) time.Duration {
	run := Measure(s)
	var all time.Duration
	for _, n := range parts {
		for _, step := range n.Steps {
			all += expectation(n.Role, step, run, s.Measured)
		}
	}
	return all
}

// foresight is a walk through a plan by the calendar, as the workflow will walk it.
type foresight struct {
	calendar *Calendar
	waived   bool
	status   Status // of nothing done, without its nodes
	used     []PlannedWindow
	now      time.Time // when the last part began; later ones do not begin before
	ends     time.Time
	problems []Finding
}

// foresee says which windows the hops will use when the upgrade starts at a time, when it will end, and what does not fit.
func (p Plan) foresee(hops []Hop, now time.Time, waived bool) (f foresight, found []Finding) {
	if !p.Settings.Windows.Defined() || now.IsZero() || len(hops) == 0 {
		return f, nil
	}
	calendar, err := p.Settings.Windows.Calendar()
	if err != nil {
		return f, []Finding{failure(MaintenanceWindow, p.Cluster, err.Error(), "put it right in the cluster's definition")}
	}
	f = foresight{calendar: calendar, waived: waived, status: Status{Measured: p.Measured}, now: now, ends: now}
	for _, hop := range hops {
		f.hop(p, hop)
	}
	f.ends = f.ends.In(f.calendar.zone)
	found = f.problems
	if len(f.used) > 1 && (len(found) == 0 || waived) {
		found = append(found, Finding{ID: MaintenanceWindow, Severity: SeverityInfo, Target: p.Cluster,
			Message: fmt.Sprintf("it takes %d maintenance windows and ends about %s %s", len(f.used), Moment(f.ends), p.Settings.Windows.TimeZone)})
	}
	return f, found
}

// hop walks a hop: its control plane one node after another, workers that keep their kubelet side by side, the others pool
// after pool, as a sliding window.
func (f *foresight) hop(p Plan, h Hop) {
	f.now = f.ends
	f.begin(p.Cluster, "", h.Begins()...)
	for _, phase := range h.Phases() {
		f.side(phase.Nodes, 1)
	}
	keep, _ := h.SplitWorkers()
	f.side(keep, WorkersAside)
	for _, part := range p.Parts(h) {
		for _, round := range part.Rounds() {
			f.side(round, part.Pool.AtOnce)
		}
	}
}

// side walks nodes in their order, at most so many at a time, the next one as soon as one is done.
func (f *foresight) side(nodes []NodePlan, atOnce int) {
	free := make([]time.Time, min(atOnce, len(nodes))) // when each place is free
	for i := range free {
		free[i] = f.ends
	}
	for _, n := range nodes {
		place := slices.Index(free, slices.MinFunc(free, time.Time.Compare))
		f.now = later(f.now, free[place])
		f.begin(n.Node, n.Node, n)
		free[place] = f.now.Add(f.status.Expected(n))
		f.ends = later(f.ends, free[place])
	}
}

// begin waits for a window with room for the parts. What never fits is a problem, and begins all the same, so that all
// problems are found.
func (f *foresight) begin(target, node string, parts ...NodePlan) {
	needs := f.status.Expected(parts...)
	turn, err := f.calendar.Turn(f.now, needs, f.waived)
	if err != nil {
		f.problem(errors.Is(err, errNeverOpen), target, node, err.Error())
		return
	}
	if turn.Needs.Std() < needs { // which was waived
		_, err := f.calendar.Turn(f.now, needs, false)
		f.problem(false, target, node, err.Error())
	}
	f.now = later(f.now, turn.From)
	last := len(f.used) - 1
	if last < 0 || !f.now.Before(f.used[last].To) {
		last, f.used = last+1, append(f.used, PlannedWindow{Opening: turn.Opening})
	}
	if w := &f.used[last]; node != "" && !slices.Contains(w.Nodes, node) {
		w.Nodes = append(w.Nodes, node)
	}
}

func (f *foresight) problem(never bool, target, node, what string) {
	id, remedy := WindowTooShort, "make a window longer in the cluster's definition"
	switch {
	case never:
		id, remedy = MaintenanceWindow, "look at windows in the cluster's definition"
	case node == "":
		what = "the components of the control plane: " + what
	}
	if found := failure(id, target, what, remedy); !slices.Contains(f.problems, found) {
		f.problems = append(f.problems, found)
	}
}
