package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Calendar knows when windows are open. One without windows is open at any time.
type Calendar struct {
	zone   *time.Location
	rules  []windowRule
	except []dates
}

// Ahead is how many days ahead a window is looked for: more than a year, so that each has opened in between.
const Ahead = 400

// Turn is when something may begin.
type Turn struct {
	Opening
	// Needs is how long it is expected to take: as asked for, or as long as the longest opening where that is accepted.
	Needs Duration `json:"needs,omitempty"`
	// Reason is why it may not begin now, one line; empty when it may.
	Reason string `json:"reason,omitempty"`
}

var errNeverOpen = fmt.Errorf("no maintenance window opens within %d days", Ahead)

// Turn finds the opening that is open at a time, or comes next, in which what needs so long ends before the opening does.
// Where none is long enough it fails, or, if that has been waived, takes one that is as long as any.
func (c *Calendar) Turn(at time.Time, needs time.Duration, waived bool) (Turn, error) {
	next, ok := c.Next(at, needs)
	if !ok {
		longest := c.longest(at)
		switch {
		case longest == 0:
			return Turn{}, errNeverOpen
		case !waived:
			return Turn{}, fmt.Errorf("it is expected to take %s, the longest maintenance window has %s", shortly(needs), shortly(longest))
		}
		needs = longest
		next, _ = c.Next(at, needs)
	}
	turn := Turn{Opening: next, Needs: Duration(needs)}
	if at.Before(next.From) {
		turn.Reason = "the next maintenance window opens " + next.Opens()
		if now, ok := c.Next(at, 0); ok && !at.Before(now.From) {
			turn.Reason = fmt.Sprintf("it is expected to take %s, too long for the maintenance window that closes %s; the next one opens %s",
				shortly(needs), Moment(now.To), next.Opens())
		}
	}
	return turn, nil
}

// Next is the opening that is open at a time, or comes next, in which there is still room for what needs so long.
func (c *Calendar) Next(at time.Time, needs time.Duration) (Opening, bool) {
	if len(c.rules) == 0 {
		return Opening{}, true
	}
	for _, days := range []int{35, Ahead} { // most need no long look
		all := c.openings(at, days)
		for i, o := range all {
			last := i == len(all)-1 // which may go on after these days
			if o.Fits(later(at, o.From), needs) && (!last || days == Ahead) {
				return o, true
			}
		}
	}
	return Opening{}, false
}

// longest is how much time the longest opening has, of what is left of it.
func (c *Calendar) longest(at time.Time) time.Duration {
	var longest time.Duration
	for _, o := range c.openings(at, Ahead) {
		longest = max(longest, o.To.Sub(later(at, o.From)))
	}
	return longest
}

// openings are those that end after a time and begin in the days from then on, in order. Windows that touch or overlap
// are one opening.
func (c *Calendar) openings(at time.Time, days int) []Opening {
	var all []Opening
	today := midnight(at.In(c.zone))
	for i := -int(mostOpen/(24*time.Hour)) - 1; i <= days; i++ {
		day := today.AddDate(0, 0, i)
		if slices.ContainsFunc(c.except, func(d dates) bool { return !day.Before(d.from) && !day.After(d.to) }) {
			continue
		}
		for _, r := range c.rules {
			if !r.opens(day) {
				continue
			}
			if from, ok := c.moment(day, r.start); ok {
				all = append(all, Opening{from, from.Add(r.duration), c.zone.String()})
			}
		}
	}
	slices.SortFunc(all, func(a, b Opening) int { return a.From.Compare(b.From) })
	var merged []Opening
	for _, o := range all {
		if last := len(merged) - 1; last >= 0 && !o.From.After(merged[last].To) {
			merged[last].To = later(merged[last].To, o.To)
			continue
		}
		merged = append(merged, o)
	}
	return slices.DeleteFunc(merged, func(o Opening) bool { return !o.To.After(at) })
}

// midnight is the day of a time, as its midnight in UTC.
func midnight(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// moment is when it is some time after midnight on a day, by the clocks of the zone. A time that comes twice, when clocks
// are put back, is the first of the two. One that is left out, when they are put forward, is as much later: 02:30 is
// 03:30. It is not there on a day that is left out as a whole, as 30 December 2011 was in Samoa.
// Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.3.5
func (c *Calendar) moment(day time.Time, clock time.Duration) (time.Time, bool) {
	t, there := c.clockTime(day.Add(clock))
	if there {
		return t, true
	}
	_, begins := c.clockTime(day)
	_, ends := c.clockTime(day.Add(24*time.Hour - time.Second))
	return t, begins || ends
}

// farthest is more than any zone is away from UTC.
const farthest = 26 * time.Hour

// clockTime is when the clocks of the zone show what a time shows in UTC, and whether they ever do.
func (c *Calendar) clockTime(shown time.Time) (t time.Time, there bool) {
	for from := shown.Add(-farthest).In(c.zone); ; { // through the offsets that the zone has around then
		_, offset := from.Zone()
		begins, ends := from.ZoneBounds()
		by := shown.Add(-time.Duration(offset) * time.Second).In(c.zone)
		if !begins.IsZero() && by.Before(begins) {
			return t, false // and by the offset before, it was over already
		}
		if ends.IsZero() || by.Before(ends) {
			return by, true
		}
		t, from = by, ends
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// shortly is a duration without what is zero at its end: 12m, 1h30m.
func shortly(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
