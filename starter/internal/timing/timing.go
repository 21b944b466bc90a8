// Package timing accounts for the time of an upgrade: what the steps themselves took, and what pawl added.
//
// Rule: pure; `now` is an argument.
package timing

import (
	"slices"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Account is where the time of an upgrade went.
type Account struct {
	// Wall is from the start to the end, or to now while it runs. It is the sum of Worked, Failed, Held, Waited and Overhead.
	Wall upgrade.Duration `json:"wall"`
	// Worked is the part in which at least one step or stage did its own work.
	Worked upgrade.Duration `json:"worked"`
	// Failed is the part of the rest that went into attempts which did not succeed.
	Failed upgrade.Duration `json:"failedAttempts"`
	// Held is the part of the rest in which somebody was waited for.
	Held upgrade.Duration `json:"held"`
	// Waited is the part of the rest in which a maintenance window was waited for.
	Waited upgrade.Duration `json:"waitedForWindow,omitempty"`
	// Overhead is what is left: what pawl and Temporal added.
	Overhead upgrade.Duration `json:"overhead"`
	// Steps is the sum of all steps' own time; more than Worked when nodes were upgraded side by side.
	Steps upgrade.Duration `json:"steps"`
}

// Of accounts for a status.
func Of(s upgrade.Status, now time.Time) Account {
	end := s.Ended
	if end.IsZero() {
		end = now
	}
	var steps time.Duration
	of := map[Kind][]span{}
	take := func(parts []Part) {
		for _, p := range parts {
			of[p.Kind] = append(of[p.Kind], span{p.From, p.To})
		}
	}
	for _, n := range s.Nodes {
		for _, step := range n.Steps {
			parts := OfStep(n, step, end)
			take(parts)
			for _, p := range parts {
				if p.Kind == Worked {
					steps += p.To.Sub(p.From)
				}
			}
		}
	}
	for _, stage := range s.Stages {
		take(OfStage(stage, end))
	}
	wall := max(0, end.Sub(s.Started))
	// What happens side by side counts as the better of the two.
	spans := of[Worked]
	worked := union(spans, s.Started, end)
	spans = append(spans, of[Failed]...)
	tried := union(spans, s.Started, end)
	spans = append(spans, of[Held]...)
	held := union(spans, s.Started, end)
	for _, w := range s.WindowWaits {
		to := w.To
		if to.IsZero() {
			to = end
		}
		spans = append(spans, span{w.From, to})
	}
	known := union(spans, s.Started, end)
	return Account{
		Wall:     upgrade.Duration(wall),
		Worked:   upgrade.Duration(worked),
		Failed:   upgrade.Duration(tried - worked),
		Held:     upgrade.Duration(held - tried),
		Waited:   upgrade.Duration(known - held),
		Overhead: upgrade.Duration(wall - known),
		Steps:    upgrade.Duration(steps),
	}
}

type span struct{ from, to time.Time }

// union is the length of the spans together, within the bounds, counting what overlaps once.
func union(spans []span, from, to time.Time) time.Duration {
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var total time.Duration
	reached := from
	for _, s := range spans {
		if s.from.Before(reached) {
			s.from = reached
		}
		if s.to.After(to) {
			s.to = to
		}
		if s.to.After(s.from) {
			total += s.to.Sub(s.from)
			reached = s.to
		}
	}
	return total
}
