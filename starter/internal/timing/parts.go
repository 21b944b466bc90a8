package timing

import (
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Kind says what a part of a step's time was.
type Kind string

// The kinds.
const (
	Worked Kind = "worked" // the attempt that succeeded, or the one under way
	Failed Kind = "failed" // attempts that did not, and the pauses after them
	Held   Kind = "held"   // waiting for a person
	Gap    Kind = "gap"    // pawl's own overhead
)

// Part is a part of a step's time.
type Part struct {
	Kind     Kind
	From, To time.Time
}

// noticeable is what a step's time before its work must be to count as failed attempts: below, it is overhead.
const noticeable = time.Second

// OfStep splits the time of a node's step, up to now while it is under way.
func OfStep(n upgrade.NodeStatus, s upgrade.StepStatus, now time.Time) []Part {
	held := s.State == upgrade.Held || n.State == upgrade.Held && s.State == upgrade.Running
	if held && len(s.Holds) == 0 { // nobody recorded since when
		s.Holds = []upgrade.Hold{{From: s.Started}}
	}
	return split(s.State, s.Started, s.Ended, s.Worked, s.Attempts, s.Holds, now)
}

// OfStage splits the time of a stage with work of its own. One that is made of nodes' steps has none.
func OfStage(s upgrade.Progress, now time.Time) []Part {
	if s.Worked == 0 && len(s.Holds) == 0 {
		return nil
	}
	return split(s.State, s.Started, s.Ended, s.Worked, s.Attempts, s.Holds, now)
}

func split(state upgrade.State, started, ended time.Time, worked upgrade.Duration, attempts int, holds []upgrade.Hold, now time.Time) []Part {
	if started.IsZero() || state == upgrade.Pending {
		return nil
	}
	end := ended
	if end.IsZero() {
		end = now
	}
	var parts []Part
	add := func(kind Kind, from, to time.Time) {
		if to.After(from) {
			parts = append(parts, Part{kind, from, to})
		}
	}
	reached := started
	for _, h := range holds {
		to := h.To
		if to.IsZero() {
			to = end
		}
		if to.Before(reached) {
			continue // several were held side by side
		}
		add(Failed, reached, h.From)
		add(Held, later(reached, h.From), to)
		reached = to
	}
	began := reached // of the attempt that succeeded
	switch {
	case len(holds) > 0 && holds[len(holds)-1].To.IsZero():
		return parts // it still waits
	case !ended.IsZero() && state == upgrade.Done:
		began = end.Add(-worked.Std())
		if len(holds) > 0 {
			began = later(began, reached)
		}
	}
	before := Gap
	if attempts > 1 && began.Sub(reached) >= noticeable {
		before = Failed
	}
	add(before, reached, began)
	add(Worked, began, end)
	return parts
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
