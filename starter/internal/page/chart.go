package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/timing"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

// chart is the picture of an upgrade's time: a row for each node, in groups by hop and role.
type chart struct {
	Hops  []hopRows
	Ticks []tick
	Cuts  []bar
}

type hopRows struct {
	Title, From, To string
	Stages          row
	Groups          []group
}

type group struct {
	Title string
	Rows  []row
}

// row is what happened to one node in one hop, or to the whole cluster.
type row struct {
	Name, Took, State string
	Bars              []bar
	Marks             []bar
	Summary           string // for those who cannot see it
}

// bar is a part of a row: where it begins and how wide it is (percent), how it looks, and what it says.
type bar struct {
	X, Width, Class, Text string
}

type tick struct {
	X, Label, Class string
}

func percent(part float64) string { return fmt.Sprintf("%.3f%%", 100*part) }

// drawing draws on one scale.
type drawing struct {
	report report.Report
	scale  scale
	end    time.Time
	clock  func(time.Time) string
}

func chartOf(r report.Report, end time.Time, clock func(time.Time) string) chart {
	d := drawing{report: r, scale: scaleOf(r, end), end: end, clock: clock}
	var c chart
	c.Ticks = d.ticks()
	for _, p := range d.scale.pieces {
		if p.cut() {
			c.Cuts = append(c.Cuts, d.bar(p.from, p.to, "cut", view.Short(p.length())))
		}
	}
	for hop := 1; hop <= r.Hops; hop++ {
		if h, any := d.hop(hop); any {
			c.Hops = append(c.Hops, h)
		}
	}
	return c
}

func (d drawing) ticks() []tick {
	times, interval := d.scale.ticks(d.end.Location())
	format := "15:04"
	switch {
	case interval < time.Minute:
		format = "15:04:05"
	case interval >= 24*time.Hour:
		format = "Jan 2"
	}
	var all []tick
	for i, t := range times {
		x := d.scale.at(t)
		class := "middle"
		if x < 0.03 {
			class = "start"
		} else if x > 0.97 {
			class = "end"
		}
		if i%2 == 1 {
			class += " odd" // the first to go where there is little room
		}
		all = append(all, tick{X: percent(x), Label: t.Format(format), Class: class})
	}
	return all
}

func (d drawing) hop(hop int) (h hopRows, any bool) {
	h.Title = fmt.Sprintf("Hop %d", hop)
	if d.report.Hops == 1 {
		h.Title = "Cluster"
	}
	h.Stages = d.stages(hop)
	controlPlane, workers := group{Title: "Control plane"}, group{Title: "Workers"}
	for _, n := range d.report.Nodes {
		if n.Hop != hop {
			continue
		}
		h.To = n.To.String()
		if h.From == "" {
			h.From = n.From.String()
		}
		if n.Role.IsControlPlane() {
			controlPlane.Rows = append(controlPlane.Rows, d.node(n))
		} else {
			workers.Rows = append(workers.Rows, d.node(n))
		}
	}
	for _, g := range []group{controlPlane, workers} {
		if len(g.Rows) > 0 {
			h.Groups = append(h.Groups, g)
		}
	}
	return h, len(h.Groups) > 0
}

// stages is the row of what belongs to the whole cluster. What was done before the first hop stands with it.
func (d drawing) stages(hop int) row {
	r := row{Name: "Whole cluster"}
	var said []string
	var took time.Duration
	for _, s := range d.report.Stages {
		if s.Started.IsZero() || s.Hop != hop && (s.Hop != 0 || hop != 1) {
			continue
		}
		end := s.Ended
		if end.IsZero() {
			end = d.end
		}
		text := fmt.Sprintf("%s: %s, %s from %s", s.Title, s.State, view.Short(end.Sub(s.Started)), d.clock(s.Started))
		r.Bars = append(r.Bars, d.bar(s.Started, end, "span "+string(s.State), text))
		r.Bars = append(r.Bars, d.parts(timing.OfStage(s, d.end), "stage", text, s.Holds)...)
		said = append(said, text)
		if s.Hop == hop {
			took += end.Sub(s.Started)
		}
	}
	for _, a := range d.report.Actions {
		if a.Node == "" && hop == d.hopAt(a.At) {
			r.Marks = append(r.Marks, d.mark(a))
		}
	}
	r.Took = view.Short(took)
	r.Summary = strings.Join(said, "; ")
	return r
}

// hopAt is in which hop a moment was.
func (d drawing) hopAt(t time.Time) int {
	hop := 1
	for _, s := range d.report.Stages {
		if !s.Started.After(t) && s.Hop > 0 {
			hop = s.Hop
		}
	}
	return hop
}

// node is the row of one node in one hop.
func (d drawing) node(n upgrade.NodeStatus) row {
	r := row{Name: n.Node, State: string(n.State)}
	var said []string
	var took time.Duration
	var first, last time.Time
	for _, s := range n.Steps {
		t := report.Took(s, d.end)
		if s.Started.IsZero() || s.State == upgrade.Pending {
			continue
		}
		if first.IsZero() {
			first = s.Started
		}
		last = s.Started.Add(t)
		took += t
		text := d.stepText(n, s, t)
		said = append(said, text)
		parts := timing.OfStep(n, s, d.end)
		r.Bars = append(r.Bars, d.parts(parts, kind(s.Step), text, s.Holds)...)
		for _, w := range s.Waits {
			if !failedAt(parts, w.From) { // that part is marked already
				r.Bars = append(r.Bars, d.bar(w.From, w.To, "waited", text))
			}
		}
		if s.APIServer == nil {
			continue
		}
		for _, away := range s.APIServer.Stretches {
			r.Bars = append(r.Bars, d.bar(away.From, away.To, "away", fmt.Sprintf("API server of %s away for %s from %s",
				n.Node, view.Short(away.To.Sub(away.From)), d.clock(away.From))))
		}
	}
	if !first.IsZero() {
		r.Took = view.Short(took)
		r.Bars = append([]bar{d.bar(first, last, "line", "")}, r.Bars...)
	}
	for _, a := range d.report.Actions {
		if a.Node == n.Node && n.Hop == d.hopAt(a.At) {
			r.Marks = append(r.Marks, d.mark(a))
		}
	}
	r.Summary = strings.Join(said, "; ")
	if r.Summary == "" {
		r.Summary = "not begun"
	}
	return r
}

func (d drawing) stepText(n upgrade.NodeStatus, s upgrade.StepStatus, took time.Duration) string {
	text := fmt.Sprintf("%s %s: %s, %s from %s", n.Node, s.Step.Title(), s.State, view.Short(took), d.clock(s.Started))
	if s.Attempts > 1 {
		text += fmt.Sprintf(", %d attempts", s.Attempts)
	}
	for _, w := range s.Waits {
		text += fmt.Sprintf(", waited %s for %s", view.Short(w.Waited.Std()), view.Keeper(w))
	}
	return text
}

func failedAt(parts []timing.Part, t time.Time) bool {
	for _, p := range parts {
		if p.Kind == timing.Failed && !t.Before(p.From) && t.Before(p.To) {
			return true
		}
	}
	return false
}

// parts draws what a step's time was.
func (d drawing) parts(parts []timing.Part, kind, text string, holds []upgrade.Hold) []bar {
	var bars []bar
	for _, p := range parts {
		switch p.Kind {
		case timing.Worked:
			bars = append(bars, d.bar(p.From, p.To, kind, text))
		case timing.Failed:
			bars = append(bars, d.bar(p.From, p.To, kind, ""),
				d.bar(p.From, p.To, "failed", text+"; failed attempts: "+view.Short(p.To.Sub(p.From))))
		case timing.Held:
			why := ""
			for _, h := range holds {
				if !h.From.After(p.From) {
					why = h.Reason
				}
			}
			bars = append(bars, d.bar(p.From, p.To, "held", fmt.Sprintf("Held for %s: %s", view.Short(p.To.Sub(p.From)), why)))
		}
	}
	return bars
}

// kind is how a step looks.
func kind(s upgrade.Step) string {
	switch s {
	case upgrade.InstallKubeadm, upgrade.InstallKubelet:
		return "packages"
	case upgrade.UpgradeControlPlane, upgrade.UpgradeNodeConfig, upgrade.AddNode, upgrade.RemoveNode:
		return "upgrade"
	case upgrade.DrainNode, upgrade.StopPods, upgrade.UncordonNode, upgrade.WithdrawNode, upgrade.ReleaseVolumes:
		return "drain"
	}
	return "verify"
}

func (d drawing) mark(a upgrade.Action) bar {
	text := fmt.Sprintf("%s %s by %s", d.clock(a.At), a.What, orUnknown(a.By))
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	return bar{X: percent(d.scale.at(a.At)), Class: "mark", Text: text}
}

func (d drawing) bar(from, to time.Time, class, text string) bar {
	x := d.scale.at(from)
	return bar{X: percent(x), Width: percent(max(0, d.scale.at(to)-x)), Class: class, Text: text}
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}
