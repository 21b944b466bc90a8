package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Plan renders a plan: where the nodes are, what will be done in which order, what stands in the way.
func Plan(p upgrade.Plan, st Style) string {
	var b strings.Builder
	fmt.Fprintln(&b, planHeadline(p, st))
	for _, lines := range [][]string{componentTable(p), planTable(p, st)} {
		if len(lines) > 1 {
			fmt.Fprintf(&b, "\n%s\n%s\n", st.dim(lines[0]), strings.Join(lines[1:], "\n"))
		}
	}
	number := 1
	for i, h := range p.Hops {
		fmt.Fprintf(&b, "\n%s\n", st.bold(fmt.Sprintf("Hop %d of %d: %s -> %s", i+1, len(p.Hops), h.From, h.To)))
		number = hopLines(&b, p, h, number)
	}
	if lines := additions(p); len(lines) > 0 {
		fmt.Fprintf(&b, "\n%s\n  %s\n", st.bold("Hooks, health gates and notifications"), strings.Join(lines, "\n  "))
	}
	b.WriteString(windows(p, st))
	if len(p.Findings) > 0 {
		fmt.Fprintf(&b, "\n%s\n%s", st.bold("Findings"), Findings(p.Findings, st))
	}
	b.WriteString(forecast(p, st))
	return b.String()
}

// additions are what the cluster's definition adds to the runbook, in the order in which it comes.
func additions(p upgrade.Plan) []string {
	if len(p.Hops) == 0 {
		return nil
	}
	lines := p.Settings.Order()
	for _, n := range p.Settings.Notifications {
		events := "all events"
		if len(n.Events) > 0 {
			var names []string
			for _, e := range n.Events {
				names = append(names, string(e))
			}
			events = strings.Join(names, ", ")
		}
		lines = append(lines, fmt.Sprintf("notified: %s of %s", n.Name, events))
	}
	return lines
}

func planHeadline(p upgrade.Plan, st Style) string {
	path := fmt.Sprintf("%s: %s -> %s", p.Cluster, p.Current, p.Target)
	switch {
	case p.Refused():
		return st.red(st.bold(path+" refused")) + ": " + count(len(p.Errors()), "error")
	case len(p.Hops) == 0:
		return st.bold(fmt.Sprintf("%s: every node is at %s, nothing to do", p.Cluster, p.Target))
	}
	way := []string{p.Hops[0].From.String()}
	for _, h := range p.Hops {
		way = append(way, h.To.String())
	}
	path = p.Cluster + ": " + strings.Join(way, " -> ")
	s := fmt.Sprintf("%s, %s, %s, %s, %s", st.bold(path), count(len(p.Hops), "hop"),
		count(len(p.Nodes), "node"), count(p.Drains, "drain"), about(p.Estimate.Std()))
	if len(p.Measured) > 0 {
		s += " (as earlier upgrades took)"
	}
	if n := len(p.Windows); n > 0 {
		s += " in " + count(n, "maintenance window")
	}
	return s
}

// componentTable says what every part of the cluster is, what it will be, and who brings it there.
func componentTable(p upgrade.Plan) []string {
	var rows [][]string
	for _, c := range p.Components {
		current := c.Current
		if c.Nodes > 0 {
			current += " on " + count(c.Nodes, "node")
		}
		target := c.Target
		if target == "" {
			target = "stays"
		}
		rows = append(rows, []string{c.Name, current, target, c.By})
	}
	return tableLines([]string{"component", "current", "target", "upgraded by"}, rows)
}

// nodesListed is how many nodes have a row of their own; of more, those that are alike share one.
const nodesListed = 20

func planTable(p upgrade.Plan, st Style) []string {
	var rows [][]string
	var sharing [][]string // the nodes of each row
	for _, n := range p.Nodes {
		role := "worker"
		if n.ControlPlane {
			role = "control plane"
		}
		row := []string{n.Name, role, n.Kubelet.String(), components(n), n.Host.Kubeadm.String(), condition(n, st), n.Host.OS}
		last := len(rows) - 1
		if len(p.Nodes) > nodesListed && last >= 0 && slices.Equal(rows[last][1:], row[1:]) {
			sharing[last] = append(sharing[last], n.Name)
			continue
		}
		rows, sharing = append(rows, row), append(sharing, []string{n.Name})
	}
	for i := range rows {
		rows[i][0] = names(sharing[i])
	}
	return tableLines([]string{"node", "role", "kubelet", "control plane", "kubeadm", "state", "os"}, rows)
}

// components are the versions of a node's static pods: one when they agree, all when they do not.
func components(n upgrade.Node) string {
	var parts []string
	var versions []upgrade.Version
	for _, name := range upgrade.ControlPlaneComponents {
		if v, ok := n.Components[name]; ok {
			versions = append(versions, v)
			parts = append(parts, strings.TrimPrefix(name, "kube-")+" "+v.String())
		}
	}
	if len(slices.Compact(slices.Clone(versions))) == 1 {
		return versions[0].String()
	}
	return strings.Join(parts, ", ")
}

func condition(n upgrade.Node, st Style) string {
	s := "Ready"
	if !n.Ready {
		s = st.red("NotReady")
	}
	switch {
	case n.CordonedByPawl:
		s += st.yellow(", cordoned by pawl")
	case n.Cordoned:
		s += st.yellow(", cordoned")
	}
	return s
}

// hopLines lists what will be done in the order in which the workflow does it, numbered through; nodes with the same
// steps share an entry.
func hopLines(b *strings.Builder, p upgrade.Plan, h upgrade.Hop, number int) int {
	type titled struct {
		title string
		nodes []upgrade.NodePlan
	}
	var parts []titled
	for _, phase := range h.Phases() {
		parts = append(parts, titled{phase.Heading, phase.Nodes})
	}
	keep, _ := h.SplitWorkers()
	parts = append(parts, titled{"Workers that keep their kubelet and their pods, side by side", keep})
	for _, part := range p.Parts(h) {
		parts = append(parts, titled{poolTitle(part, len(p.Pools)), part.Nodes})
	}
	for _, part := range parts {
		if len(part.nodes) > 0 {
			fmt.Fprintf(b, "  %s\n", part.title)
			number = groupLines(b, part.nodes, number)
		}
	}
	return number
}

// poolTitle says how a pool's nodes are gone about. Where there is only one pool nobody needs its name.
func poolTitle(part upgrade.PoolPart, pools int) string {
	p, title := part.Pool, "Workers"
	if pools > 1 || p.Name != upgrade.DefaultPool {
		title = "Pool " + p.Name
	}
	switch p.Strategy {
	case upgrade.ByProvider:
		return fmt.Sprintf("%s, updated by %s, one after another", strings.ToUpper(p.Name[:1])+strings.ReplaceAll(p.Name[1:], "-", " "), p.Provider)
	case upgrade.AllAtOnce:
		title += ", all at the same time: their applications are down"
	case upgrade.AddNewNodes:
		title += fmt.Sprintf(", replaced by new nodes (%s), at most %d at a time", p.Provider, p.AtOnce)
	default:
		title += fmt.Sprintf(", at most %d at a time", p.AtOnce)
	}
	if p.OneZoneAtATime {
		title += ", one zone after another"
	}
	if p.Canary && len(part.Nodes) > 1 {
		title += ", the first one alone"
	}
	return title
}

func groupLines(b *strings.Builder, plans []upgrade.NodePlan, number int) int {
	for len(plans) > 0 {
		same := 1
		for same < len(plans) && alike(plans[0], plans[same]) {
			same++
		}
		var nodes []string
		for _, n := range plans[:same] {
			nodes = append(nodes, n.Node)
		}
		label := fmt.Sprintf("%d.", number)
		if same > 1 {
			label = fmt.Sprintf("%d-%d.", number, number+same-1)
		}
		fmt.Fprintf(b, "    %s %s: %s\n", label, names(nodes), stepTitles(plans[0]))
		plans, number = plans[same:], number+same
	}
	return number
}

// alike reports whether two nodes share an entry.
func alike(a, b upgrade.NodePlan) bool {
	return !applies(a) && !applies(b) && a.StaysCordoned == b.StaysCordoned && slices.Equal(a.Steps, b.Steps)
}

// applies reports whether the node's part upgrades what belongs to the whole cluster.
func applies(n upgrade.NodePlan) bool {
	return n.Role == upgrade.FirstControlPlane && slices.Contains(n.Steps, upgrade.UpgradeControlPlane)
}

func stepTitles(n upgrade.NodePlan) string {
	var titles []string
	for _, step := range n.Steps {
		title := step.Title()
		titles = append(titles, strings.ToLower(title[:1])+title[1:])
	}
	s := strings.Join(titles, ", ")
	if applies(n) {
		s += " (applies the upgrade to the cluster)"
	}
	if n.StaysCordoned {
		s += " (stays cordoned)"
	}
	return s
}

// Findings lists findings, the gravest first, one on a line.
func Findings(all []upgrade.Finding, st Style) string {
	var b strings.Builder
	for _, kind := range []struct {
		severity upgrade.Severity
		paint    func(string) string
	}{{upgrade.SeverityError, st.red}, {upgrade.SeverityWarning, st.yellow}, {upgrade.SeverityInfo, st.dim}} {
		for _, f := range all {
			if f.Severity == kind.severity {
				fmt.Fprintf(&b, "  %s %s\n", kind.paint(fmt.Sprintf("%-7s", f.Severity)), f)
			}
		}
	}
	return b.String()
}
