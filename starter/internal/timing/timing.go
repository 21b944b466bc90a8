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
	// Wall is from the start to the end, or to now while it runs.
	Wall upgrade.Duration `json:"wall"`
	// Worked is the part of Wall in which at least one step or stage did its own work.
	Worked upgrade.Duration `json:"worked"`
	// Overhead is the rest: what pawl and Temporal added, and time spent waiting for people.
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
	spans, steps := worked(s, end)
	wall := max(0, end.Sub(s.Started))
	busy := union(spans, s.Started, end)
	return Account{
		Wall:     upgrade.Duration(wall),
		Worked:   upgrade.Duration(busy),
		Overhead: upgrade.Duration(wall - busy),
		Steps:    upgrade.Duration(steps),
	}
}

type span struct{ from, to time.Time }

// worked collects when steps and stages did their own work. One that has ended worked up to its end; one that runs has
// worked since it began. Stages made of node steps have no work of their own, and are not counted twice.
func worked(s upgrade.Status, now time.Time) (spans []span, steps time.Duration) {
	for _, n := range s.Nodes {
		for _, step := range n.Steps {
			if n.State == upgrade.Held && step.Ended.IsZero() {
				continue // it waits for a person
			}
			w := ownWork(step.State, step.Started, step.Ended, step.Worked, now)
			spans = append(spans, w)
			steps += w.to.Sub(w.from)
		}
	}
	for _, stage := range s.Stages {
		if stage.Worked > 0 {
			spans = append(spans, ownWork(stage.State, stage.Started, stage.Ended, stage.Worked, now))
		}
	}
	return spans, steps
}

func ownWork(state upgrade.State, started, ended time.Time, took upgrade.Duration, now time.Time) span {
	switch {
	case !ended.IsZero():
		return span{ended.Add(-took.Std()), ended}
	case state == upgrade.Running && !started.IsZero():
		return span{started, now}
	}
	return span{}
}

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
