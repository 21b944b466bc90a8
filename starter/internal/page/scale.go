package page

import (
	"slices"
	"time"

	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/timing"
)

// scale lays the time of an upgrade out from 0 to 1. Long times in which nothing moved, such as a night in which nobody
// let a held node go on, are drawn short, so that they do not press the work together.
type scale struct {
	pieces []piece
	length time.Duration // as drawn
}

// piece is a time, and how long it is drawn.
type piece struct {
	from, to time.Time
	drawn    time.Duration
}

func (p piece) length() time.Duration { return p.to.Sub(p.from) }
func (p piece) cut() bool             { return p.drawn < p.length() }

const (
	longIdle  = 2 * time.Minute // what is shorter is never cut
	idleShare = 2               // idle time is cut when it is longer than this part of the busy time
	cutShare  = 16              // and then drawn as this part of it
)

// scaleOf lays out the time of a report.
func scaleOf(r report.Report, end time.Time) scale {
	busy, total := busyTimes(r, end)
	s := scale{}
	reached := r.Started
	add := func(to time.Time, idle bool) {
		if !to.After(reached) {
			return
		}
		p := piece{reached, to, to.Sub(reached)}
		if idle && p.drawn > longIdle && p.drawn > total/idleShare {
			p.drawn = max(total/cutShare, time.Second)
		}
		s.pieces, s.length, reached = append(s.pieces, p), s.length+p.drawn, to
	}
	for _, b := range busy {
		add(b.from, true)
		add(b.to, false)
	}
	add(end, true)
	return s
}

// busyTimes are when something was under way, joined where they touch, and how long that is in all.
func busyTimes(r report.Report, end time.Time) (busy []piece, total time.Duration) {
	var all []piece
	take := func(parts []timing.Part) {
		for _, p := range parts {
			if p.Kind != timing.Held {
				all = append(all, piece{from: p.From, to: p.To})
			}
		}
	}
	for _, n := range r.Nodes {
		for _, step := range n.Steps {
			take(timing.OfStep(n, step, end))
		}
	}
	for _, stage := range r.Stages {
		take(timing.OfStage(stage, end))
	}
	slices.SortStableFunc(all, func(a, b piece) int { return a.from.Compare(b.from) })
	for _, p := range all {
		if last := len(busy) - 1; last >= 0 && !p.from.After(busy[last].to) {
			if p.to.After(busy[last].to) {
				busy[last].to = p.to
			}
			continue
		}
		busy = append(busy, p)
	}
	for _, p := range busy {
		total += p.length()
	}
	return busy, total
}

// at is where a moment is, from 0 to 1.
func (s scale) at(t time.Time) float64 {
	var drawn time.Duration
	for _, p := range s.pieces {
		if t.Before(p.to) {
			if in := t.Sub(p.from); in > 0 {
				drawn += time.Duration(float64(p.drawn) * float64(in) / float64(p.length()))
			}
			break
		}
		drawn += p.drawn
	}
	if s.length == 0 {
		return 0
	}
	return float64(drawn) / float64(s.length)
}

// intervals are sensible distances between ticks.
var intervals = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

const (
	mostTicks = 9
	apart     = 0.055 // how near ticks' labels may be to each other
)

// ticks are the moments to label, at round times of the zone.
func (s scale) ticks(zone *time.Location) (ticks []time.Time, interval time.Duration) {
	interval = intervals[len(intervals)-1]
	for _, i := range intervals {
		if s.length/i <= mostTicks {
			interval = i
			break
		}
	}
	last := -1.0
	for _, p := range s.pieces {
		if p.cut() {
			last = s.at(p.to) // its own label stands there
			continue
		}
		_, offset := p.from.In(zone).Zone()
		shift := time.Duration(offset) * time.Second
		for t := p.from.Add(shift).Truncate(interval).Add(-shift); !t.After(p.to); t = t.Add(interval) {
			if x := s.at(t); !t.Before(p.from) && x-last >= apart {
				ticks, last = append(ticks, t.In(zone)), x
			}
		}
	}
	return ticks, interval
}
