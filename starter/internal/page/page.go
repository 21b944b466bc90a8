// Package page renders the report of an upgrade as one HTML page that needs nothing else: it can be attached to a
// ticket, opened years later, and printed.
//
// Rule: pure, and self-contained: no script, no font, no picture from anywhere else. Whatever comes from outside goes
// through html/template.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

//go:embed page.html
var source string

//go:embed page.css
var css string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"short":      func(d upgrade.Duration) string { return view.Short(d.Std()) },
	"title":      func(s upgrade.Step) string { return s.Title() },
	"away":       view.Away,
	"keeper":     view.Keeper,
	"pods":       view.Pods,
	"or_unknown": orUnknown,
	"next":       func(i int) int { return i + 1 },
	"between":    func(s upgrade.Stretch) string { return view.Short(s.To.Sub(s.From)) },
	"stage": func(s upgrade.Progress, now time.Time) string {
		if s.Started.IsZero() {
			return ""
		}
		if !s.Ended.IsZero() {
			now = s.Ended
		}
		return view.Short(now.Sub(s.Started))
	},
	"draw":    func(c chart, r row) drawn { return drawn{c, r} },
	"nothing": func() row { return row{} },
	"role": func(r upgrade.Role) string {
		if r.IsControlPlane() {
			return "control plane"
		}
		return "worker"
	},
}).Parse(source))

// model is what the page shows.
type model struct {
	report.Report
	CSS     template.CSS
	Clock   func(time.Time) string
	Day     func(time.Time) string
	Outcome string
	Ended   time.Time // or when the report was made
	Backups []string
	Figures []figure
	Chart   chart
	Legend  []legend
	Columns []view.Column
	Rows    []nodeRow
	Several bool // hops
}

// drawn is a row on its chart.
type drawn struct {
	Chart chart
	Row   row
}

// figure is a sum that matters, and its share of the whole (percent).
type figure struct {
	Name, Value, Class, X, Share, Note string
}

type legend struct{ Class, Text string }

// nodeRow is one node in one hop with the time of each step.
type nodeRow struct {
	upgrade.NodeStatus
	Times []string
	Total string
}

// Write writes the page.
func Write(w io.Writer, r report.Report) error {
	end := r.Made
	if !r.Ended.IsZero() {
		end = r.Ended
	}
	end = end.In(r.Made.Location())
	clock := clockFor(r.Started, end)
	m := model{
		Report: r, CSS: template.CSS(css), Clock: clock, Ended: end, Backups: view.Backups(r.Snapshot),
		Day:     func(t time.Time) string { return t.In(end.Location()).Format("2 January 2006, 15:04:05 MST") },
		Outcome: outcome(r), Figures: figures(r), Chart: chartOf(r, end, clock), Several: r.Hops > 1,
	}
	m.Legend = m.Chart.legend()
	m.Columns = view.Columns(r.Status)
	m.Rows = nodeRows(m.Columns, r, end)
	return page.Execute(w, m)
}

// clockFor shows times of day, with the day where there are several.
func clockFor(from, to time.Time) func(time.Time) string {
	zone, format := to.Location(), "15:04:05"
	if from.In(zone).Format(time.DateOnly) != to.Format(time.DateOnly) {
		format = "2 Jan 15:04:05"
	}
	return func(t time.Time) string { return t.In(zone).Format(format) }
}

// outcome says in a sentence or two what became of it.
func outcome(r report.Report) string {
	var b strings.Builder
	took := view.Short(r.Time.Wall.Std())
	switch r.State {
	case upgrade.Done:
		fmt.Fprintf(&b, "%s upgraded in %s.", count(len(r.Totals), "node"), took)
	case upgrade.Running, upgrade.Held:
		fmt.Fprintf(&b, "Under way for %s.", took)
	default:
		fmt.Fprintf(&b, "Ended after %s.", took)
	}
	var had []string
	add := func(n int, noun string) {
		if n > 0 {
			had = append(had, count(n, noun))
		}
	}
	add(len(r.Holds), "hold")
	add(len(r.DrainWaits), "drain wait")
	add(len(r.Retries), "repeated step")
	if len(had) > 0 {
		fmt.Fprintf(&b, " On the way: %s.", strings.Join(had, ", "))
	}
	return b.String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// figures are the parts of the wall time, in the order in which the bar shows them.
func figures(r report.Report) []figure {
	wall := r.Time.Wall.Std()
	if wall == 0 {
		return nil
	}
	var all []figure
	reached := 0.0
	add := func(name, class string, d upgrade.Duration) {
		if d == 0 {
			return
		}
		share := float64(d) / float64(wall)
		all = append(all, figure{Name: name, Value: view.Short(d.Std()), Class: class, X: percent(reached), Share: percent(share),
			Note: fmt.Sprintf("%.1f %%", 100*share)})
		reached += share
	}
	add("Own work", "worked", r.Time.Worked)
	add("Failed attempts", "failed", r.Time.Failed)
	add("Held", "held", r.Time.Held)
	add("No maintenance window", "window", r.Time.Waited)
	add("pawl’s own", "overhead", r.Time.Overhead)
	return all
}

// legend names only what the chart shows.
func (c chart) legend() []legend {
	shown := map[string]bool{}
	note := func(r row) {
		for _, b := range append(r.Bars, r.Marks...) {
			shown[b.Class] = true
		}
	}
	for _, h := range c.Hops {
		note(h.Stages)
		for _, g := range h.Groups {
			for _, r := range g.Rows {
				note(r)
			}
		}
	}
	shown["cut"] = len(c.Cuts) > 0
	var all []legend
	for _, l := range []legend{
		{"stage", "Whole cluster"}, {"packages", "Packages"}, {"upgrade", "Upgrade"}, {"drain", "Drain, uncordon"}, {"verify", "Restart, verify"},
		{"waited", "Drain waits"}, {"failed", "Attempt that failed"}, {"held", "Held for a person"},
		{"away", "API server away"}, {"mark", "What a person did"}, {"cut", "Shortened: nothing moved"},
	} {
		if shown[l.Class] {
			all = append(all, l)
		}
	}
	return all
}

// nodeRows are the nodes' steps with their times.
func nodeRows(columns []view.Column, r report.Report, end time.Time) []nodeRow {
	var rows []nodeRow
	for _, n := range r.Nodes {
		rows = append(rows, nodeRow{n, view.StepTimes(columns, n, end), view.NodeTime(n, end)})
	}
	return rows
}
