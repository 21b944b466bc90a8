package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// Status renders where an upgrade is: headline, stages, nodes with what they do, and what a person can do.
func Status(s snapshot.Snapshot, now time.Time, st Style) string {
	if !s.Ended.IsZero() {
		now = s.Ended
	}
	lines := []string{Headline(s, now, st)}
	if bar := bar(s.Status, st); bar != "" {
		lines = append(lines, bar)
	}
	lines = append(lines, stageLines(s, now, st)...)
	foot := footLines(s, st)
	room := 0
	if st.Height > 0 {
		room = max(4, st.Height-len(lines)-len(foot)-2)
	}
	if len(s.Nodes) > 0 {
		lines = append(lines, "")
		lines = append(lines, nodeLines(s, now, st, room)...)
	}
	lines = append(lines, foot...)
	return strings.Join(lines, "\n") + "\n"
}

// Headline says it in one line.
func Headline(s snapshot.Snapshot, now time.Time, st Style) string {
	parts := []string{st.state(s.State, string(s.State))}
	if s.Hops > 1 || s.Hop > 0 && !s.State.Ended() {
		parts = append(parts, fmt.Sprintf("hop %d of %d", max(1, s.Hop), s.Hops))
	}
	if !s.Started.IsZero() {
		parts = append(parts, elapsed(s.Started, s.Ended, now))
	}
	if (s.State == upgrade.Running || s.State == upgrade.Waiting) && len(s.Nodes) > 0 {
		parts = append(parts, remaining(s, now))
	}
	return st.bold(s.Cluster+"  "+path(s.Status)) + "  " + strings.Join(parts, ", ")
}

// barWidth is the length of the progress bar.
const barWidth = 30

// bar counts the steps that are done.
func bar(s upgrade.Status, st Style) string {
	done, all := 0, 0
	for _, n := range s.Nodes {
		for _, step := range n.Steps {
			all++
			if step.State == upgrade.Done {
				done++
			}
		}
	}
	if all == 0 {
		return ""
	}
	filled := barWidth * done / all
	return st.green(strings.Repeat("━", filled)) + st.dim(strings.Repeat("─", barWidth-filled)) +
		fmt.Sprintf("  %d of %s", done, count(all, "step"))
}

func stageLines(s snapshot.Snapshot, now time.Time, st Style) []string {
	if len(s.Stages) == 0 {
		return nil
	}
	lines := []string{""}
	for _, stage := range s.Stages {
		took := elapsed(stage.Started, stage.Ended, now)
		lines = append(lines, strings.TrimRight(st.state(stage.State, mark(stage.State))+" "+stage.Title+"  "+st.dim(took), " "))
	}
	for _, note := range s.NotesOf("") {
		lines = append(lines, "    "+st.yellow(note))
	}
	return lines
}

// nodeLines is the table of nodes, each followed by its notes. With room for fewer lines, nodes that are not under way
// are counted instead of shown.
func nodeLines(s snapshot.Snapshot, now time.Time, st Style, room int) []string {
	shown, left := s.Nodes, ""
	if room > 0 && len(shown)+1+len(s.Notes) > room {
		shown, left = active(s.Nodes)
	}
	several := s.Hops > 1
	header := []string{"node", "role", "from", "to", "state", "steps", "now", "elapsed"}
	if several {
		header = append([]string{"hop"}, header...)
	}
	var rows [][]string
	for _, n := range shown {
		now, took := current(n, now)
		to := n.To.String()
		if n.From == n.To {
			to = "stays"
		}
		name := n.Node
		if n.Successor != "" {
			name += " -> " + n.Successor
		}
		row := []string{name, roleName(n.Role), n.From.String(), to, st.state(n.State, string(n.State)), dots(n, st), now, took}
		if several {
			row = append([]string{fmt.Sprint(n.Hop)}, row...)
		}
		rows = append(rows, row)
	}
	table := tableLines(header, rows)
	lines := []string{st.dim(table[0])}
	for i, n := range shown {
		lines = append(lines, table[i+1])
		if n.Held != "" {
			lines = append(lines, "    "+st.yellow(n.Held))
		}
		if n.Left != "" {
			lines = append(lines, "    "+st.dim("left "+n.Left))
		}
		if n.State == upgrade.Running {
			for _, note := range s.NotesOf(n.Node) {
				lines = append(lines, "    "+st.yellow(note))
			}
		}
	}
	if left != "" {
		lines = append(lines, st.dim(left))
	}
	return lines
}

// active picks the nodes worth looking at, and counts the others.
func active(nodes []upgrade.NodeStatus) (shown []upgrade.NodeStatus, left string) {
	done, pending := 0, 0
	for _, n := range nodes {
		switch n.State {
		case upgrade.Done:
			done++
		case upgrade.Pending:
			pending++
		default:
			shown = append(shown, n)
		}
	}
	return shown, fmt.Sprintf("and %s done, %d pending", count(done, "node"), pending)
}

// current is the step that a node is at, and for how long.
func current(n upgrade.NodeStatus, now time.Time) (title, took string) {
	for _, step := range n.Steps {
		if step.State != upgrade.Done && step.State != upgrade.Pending {
			return step.Step.Title(), elapsed(step.Started, step.Ended, now)
		}
	}
	if len(n.Steps) > 0 && n.State == upgrade.Done {
		return "", elapsed(n.Steps[0].Started, n.Steps[len(n.Steps)-1].Ended, now)
	}
	return "", ""
}

func dots(n upgrade.NodeStatus, st Style) string {
	var b strings.Builder
	for _, step := range n.Steps {
		state := step.State
		if n.State == upgrade.Held && state == upgrade.Running {
			state = upgrade.Held // the step runs no more: it waits
		}
		b.WriteString(st.state(state, mark(state)))
	}
	return b.String()
}

func elapsed(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	return Short(to.Sub(from))
}

// footLines say what is the matter and what a person can do about it.
func footLines(s snapshot.Snapshot, st Style) []string {
	var lines []string
	for _, n := range s.Notices {
		lines = append(lines, st.yellow("! "+n.Text))
	}
	if len(lines) > 0 {
		lines = append([]string{""}, lines...)
	}
	if s.Message != "" && !repeated(s) {
		lines = append(lines, "", st.state(s.State, s.Message))
	}
	for _, w := range s.Waits {
		if w.String() != s.Message && w.For == upgrade.ForWindow { // while other nodes are under way
			lines = append(lines, "", st.state(upgrade.Waiting, w.String()))
		}
		for _, line := range w.Details {
			lines = append(lines, "  "+line)
		}
	}
	if choices := Choices(s); len(choices) > 0 {
		lines = append(lines, "", "What can be done:")
		for _, c := range choices {
			lines = append(lines, "  "+c)
		}
	}
	return lines
}

// repeated reports whether the message stands under a node already.
func repeated(s snapshot.Snapshot) bool {
	for _, n := range s.Nodes {
		if n.Held != "" && (n.Held == s.Message || n.Node+": "+n.Held == s.Message) {
			return true
		}
	}
	return false
}
