// Package picture draws a cluster that is being upgraded: its nodes, their versions, and the pods that move.
//
// Rule: pure. What is known goes in, lines come out.
package picture

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Picture is what is known at one moment.
type Picture struct {
	Nodes   []bed.Node
	Waiting []bed.Pod // bound to no node
	Status  upgrade.Status
	Faults  string // that have happened, in lines
	Now     time.Time
	Color   bool
}

const barWidth = 40

// Render draws it.
func (p Picture) Render() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", p.headline(), p.bar())
	w := table.NewWriter()
	w.SetStyle(table.Style{Box: table.BoxStyle{PaddingRight: "  "}, Format: table.FormatOptions{Header: text.FormatUpper}})
	w.AppendHeader(table.Row{"node", "api server", "kubelet", "state", "pods", "now"})
	for _, n := range p.Nodes {
		w.AppendRow(table.Row{n.Name, p.apiServer(n), p.version(n.Kubelet), p.state(n), p.pods(n.Pods), p.doing(n.Name)})
	}
	for i, line := range strings.Split(w.Render(), "\n") {
		line = strings.TrimRight(line, " ")
		if i == 0 {
			line = p.paint(text.Faint, line)
		}
		fmt.Fprintln(&b, line)
	}
	if len(p.Waiting) > 0 {
		fmt.Fprintf(&b, "\n%s wait for a node: %s\n", count(len(p.Waiting), "pod"), p.pods(p.Waiting))
	}
	fmt.Fprintf(&b, "\n%s\n", p.legend())
	if p.Status.Message != "" {
		fmt.Fprintf(&b, "\n%s\n", p.paint(text.FgYellow, p.Status.Message))
	}
	b.WriteString(p.paint(text.FgRed, p.Faults))
	return b.String()
}

func (p Picture) headline() string {
	s := p.Status
	parts := []string{string(s.State)}
	if s.Hop > 0 && !s.State.Ended() {
		parts = append(parts, fmt.Sprintf("hop %d of %d", s.Hop, s.Hops))
	}
	end := p.Now
	if !s.Ended.IsZero() {
		end = s.Ended
	}
	if !s.Started.IsZero() {
		parts = append(parts, end.Sub(s.Started).Round(time.Second).String())
	}
	return p.paint(text.Bold, fmt.Sprintf("%s  %s -> %s", s.Cluster, s.From, s.Target)) + "  " + strings.Join(parts, ", ")
}

func (p Picture) bar() string {
	done, all := 0, 0
	for _, n := range p.Status.Nodes {
		for _, step := range n.Steps {
			all++
			if step.State == upgrade.Done {
				done++
			}
		}
	}
	filled := 0
	if all > 0 {
		filled = barWidth * done / all
	}
	return p.paint(text.FgGreen, strings.Repeat("━", filled)) + p.paint(text.Faint, strings.Repeat("─", barWidth-filled)) +
		fmt.Sprintf("  %d of %s", done, count(all, "step"))
}

func (p Picture) apiServer(n bed.Node) string {
	switch {
	case n.APIServer.IsZero():
		return ""
	case !n.APIReady:
		return p.paint(text.FgRed, n.APIServer.String()+" away")
	}
	return p.version(n.APIServer.String())
}

// version is green when it is the target.
func (p Picture) version(v string) string {
	if v == p.Status.Target.String() {
		return p.paint(text.FgGreen, v)
	}
	return v
}

func (p Picture) state(n bed.Node) string {
	switch {
	case !n.On:
		return p.paint(text.FgRed, "off")
	case !n.Ready:
		return p.paint(text.FgRed, "not ready")
	case n.Cordoned:
		return p.paint(text.FgYellow, "cordoned")
	}
	return "ready"
}

// marks are the applications' colours, in the order of their names.
var marks = map[string]text.Color{"cart": text.FgMagenta, "search": text.FgYellow, "web": text.FgBlue}

// pods is one mark for each pod: full when it is ready, light while it comes or goes.
func (p Picture) pods(pods []bed.Pod) string {
	var b strings.Builder
	for _, pod := range pods {
		mark := "■"
		if pod.Leaving || !pod.Ready {
			mark = "□"
		}
		color, ok := marks[pod.App]
		if !ok {
			color = text.Faint
		}
		b.WriteString(p.paint(color, mark))
	}
	return b.String()
}

func (p Picture) legend() string {
	return fmt.Sprintf("%s web  %s cart  %s search  %s system   □ comes or goes", p.paint(marks["web"], "■"), p.paint(marks["cart"], "■"),
		p.paint(marks["search"], "■"), p.paint(text.Faint, "■"))
}

// doing is the step that a node is at.
func (p Picture) doing(node string) string {
	for _, n := range p.Status.Nodes {
		if n.Node != node || n.State.Ended() {
			continue
		}
		for _, step := range n.Steps {
			if step.State == upgrade.Running || step.State == upgrade.Held {
				if n.State == upgrade.Held {
					return p.paint(text.FgYellow, "held at "+step.Step.Title())
				}
				return step.Step.Title()
			}
		}
	}
	return ""
}

func (p Picture) paint(color text.Color, s string) string {
	if !p.Color || s == "" {
		return s
	}
	return color.Sprint(s)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
