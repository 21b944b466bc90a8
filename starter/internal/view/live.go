package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// Live is the picture of an upgrade on a terminal that a person can move in.
type Live struct {
	Snapshot snapshot.Snapshot
	Now      time.Time
	Width    int // columns; 0 is no limit
	Height   int // lines; 0 is no limit
	Selected string
	Offset   int      // the first line that is shown, of a node's details or of the help
	Keys     []string // what can be done now: "r retry"
	Asking   bool     // and nothing else can: Foot asks something
	Foot     string   // a question with what has been typed, or what came of the last answer
}

// Rows are the nodes of the hop that the upgrade is at: those that the picture has a row for.
func Rows(s snapshot.Snapshot) []upgrade.NodeStatus {
	var rows []upgrade.NodeStatus
	for _, n := range s.Nodes {
		if n.Hop == max(1, s.Hop) {
			rows = append(rows, n)
		}
	}
	return rows
}

// Overview renders the upgrade with its nodes as rows, of which only those around the selected one are there when not all
// fit.
func (l Live) Overview(st Style) string {
	head := l.head(st)
	if n := len(l.Snapshot.Stages); n > 0 {
		stage := l.Snapshot.Stages[n-1]
		head = append(head, strings.TrimRight(st.state(stage.State, mark(stage.State))+" "+stage.Title+"  "+
			st.dim(elapsed(stage.Started, stage.Ended, l.Now)), " "))
	}
	for _, note := range l.Snapshot.NotesOf("") {
		head = append(head, "    "+st.yellow(note))
	}
	waits := l.waitLines(st)
	foot := l.foot(st, "↑↓ select", "enter details", "? help", "q quit")
	rows := Rows(l.Snapshot)
	if len(rows) == 0 {
		return l.page(slices.Concat(head, waits), nil, foot)
	}
	table := l.nodeTable(rows, st)
	head = append(head, "", "  "+st.dim(table[0]))
	room := len(rows)
	if l.Height > 0 {
		room = max(1, l.Height-len(head)-len(waits)-len(foot)-2) // what is above and below is counted in two lines
		if len(rows) <= room+2 {
			room += 2
		}
	}
	at := max(0, slices.IndexFunc(rows, func(n upgrade.NodeStatus) bool { return n.Node == l.Selected }))
	first := min(max(0, at-room/2), max(0, len(rows)-room))
	last := min(len(rows), first+room)
	body := make([]string, 0, room+2)
	if first > 0 {
		body = append(body, st.dim(fmt.Sprintf("  ↑ %d more", first)))
	}
	for i := first; i < last; i++ {
		pointer := "  "
		if rows[i].Node == l.Selected {
			pointer = st.bold("▸ ")
		}
		body = append(body, pointer+table[i+1])
	}
	if last < len(rows) {
		body = append(body, st.dim(fmt.Sprintf("  ↓ %d more", len(rows)-last)))
	}
	return l.page(head, slices.Concat(body, waits), foot)
}

// head is the headline and how far the plan is.
func (l Live) head(st Style) []string {
	lines := []string{Headline(l.Snapshot, l.Now, st)}
	if bar := bar(l.Snapshot.Status, st); bar != "" {
		lines = append(lines, bar)
	}
	return lines
}

func (l Live) nodeTable(nodes []upgrade.NodeStatus, st Style) []string {
	header := []string{"node", "version", "state", "steps", "now", "for", "pods"}
	var rows [][]string
	for _, n := range nodes {
		now, took := current(n, l.Now)
		version := n.From.String()
		switch {
		case n.State == upgrade.Done:
			version = n.To.String()
		case n.From != n.To && (n.State == upgrade.Running || n.State == upgrade.Held):
			version += " → " + n.To.String()
		}
		pods := ""
		if left := l.Snapshot.PodsLeft(n.Node); left > 0 {
			pods = fmt.Sprintf("%d left", left)
		}
		rows = append(rows, []string{n.Node, version, st.state(n.State, string(n.State)), dots(n, st), now, took, pods})
	}
	return tableLines(header, rows)
}

// How many waits are named before the rest is counted, and how much of each.
const (
	waitsShown     = 4
	waitLinesShown = 6
)

// waitLines are what the upgrade waits for, and what the selected node says.
func (l Live) waitLines(st Style) []string {
	var lines []string
	waits := l.Snapshot.AllWaits()
	for i, w := range waits {
		if i == waitsShown {
			lines = append(lines, st.dim(fmt.Sprintf("  and %d more", len(waits)-i)))
			break
		}
		lines = append(lines, st.yellow("! "+waitText(w, l.Now)))
		for _, line := range w.Details[:min(len(w.Details), waitLinesShown)] {
			lines = append(lines, "    "+line)
		}
	}
	if n := len(l.Snapshot.NotesOf(l.Selected)); n > 0 && l.Selected != "" {
		for _, note := range l.Snapshot.NotesOf(l.Selected) {
			lines = append(lines, "  "+l.Selected+" "+note)
		}
	}
	if l.Snapshot.Message != "" && len(waits) == 0 {
		lines = append(lines, st.state(l.Snapshot.State, l.Snapshot.Message))
	}
	if len(lines) > 0 {
		lines = append([]string{""}, lines...)
	}
	return lines
}

// waitText says what a wait is for, since when, and until when if that is known.
func waitText(w upgrade.Wait, now time.Time) string {
	text := w.String()
	if !w.Since.IsZero() {
		text += fmt.Sprintf(" (%s, for %s)", w.For, elapsed(w.Since, time.Time{}, now))
	}
	if !w.Until.IsZero() {
		text += " until " + w.Until.Local().Format("2006-01-02 15:04")
	}
	return text
}

// Details renders one node: its steps, what held them and what they waited for. It also says how far it can be scrolled.
func (l Live) Details(st Style) (text string, end int) {
	rows := Rows(l.Snapshot)
	i := slices.IndexFunc(rows, func(n upgrade.NodeStatus) bool { return n.Node == l.Selected })
	if i < 0 {
		return l.Overview(st), 0
	}
	n := rows[i]
	head := append(l.head(st), "", st.bold(n.Node)+fmt.Sprintf("  %s  %s → %s  ", roleName(n.Role), n.From, n.To)+st.state(n.State, string(n.State)))
	var body []string
	if n.Left != "" {
		body = append(body, "left "+n.Left)
	}
	for _, w := range l.Snapshot.AllWaits() {
		if w.Node == n.Node {
			body = append(body, st.yellow("! "+waitText(w, l.Now)))
			for _, c := range w.Choices {
				body = append(body, fmt.Sprintf("    %-10s %s", c.Update, c.Does))
			}
		}
	}
	for _, s := range n.Steps {
		state := s.State
		if n.State == upgrade.Held && state == upgrade.Running {
			state = upgrade.Held
		}
		line := st.state(state, mark(state)) + " " + s.Step.Title() + "  " + st.dim(elapsed(s.Started, s.Ended, l.Now))
		if s.Attempts > 1 {
			line += fmt.Sprintf("  %d attempts", s.Attempts)
		}
		body = append(body, strings.TrimRight(line, " "))
		for _, w := range s.Waits {
			body = append(body, fmt.Sprintf("    waited %s: %s", Short(w.Waited.Std()), w.Reason))
		}
		for _, h := range s.Holds {
			body = append(body, fmt.Sprintf("    held %s: %s", elapsed(h.From, h.To, l.Now), h.Reason))
			if h.Release != nil {
				body = append(body, "    "+strings.TrimSpace(fmt.Sprintf("%s by %s: %s", h.Release.What, h.Release.By, h.Release.Reason)))
			}
		}
	}
	for _, note := range l.Snapshot.NotesOf(n.Node) {
		body = append(body, "  "+note)
	}
	return l.scrolled(append(head, ""), l.wrapped(body), l.foot(st, "↑↓ scroll", "esc back", "? help", "q quit"))
}

// Help renders what the keys and marks mean, and says how far it can be scrolled.
func (l Live) Help(st Style) (text string, end int) {
	body := []string{
		"↑ k, ↓ j     select a node; in details, scroll",
		"g, G         the first node, the last",
		"tab          the next node that waits for somebody",
		"enter        details of the node: steps, holds, waits",
		"esc          back",
		"r s x a p    retry, skip, abort, approve, pause or resume: where the upgrade offers it; it asks for a reason",
		"1 2 ...      whatever else it offers; the JSON that is sent can be edited first",
		"q, ctrl-c    ends the watching; the upgrade goes on",
		"",
		"○ to come   ● under way   ! held, waits for a person   … waits   ✔ done   – skipped   ✘ failed",
	}
	return l.scrolled([]string{st.bold("pawl watch"), ""}, l.wrapped(body), l.foot(st, "↑↓ scroll", "esc back"))
}

// wrapped breaks lines that are too long; what follows is indented.
func (l Live) wrapped(lines []string) []string {
	if l.Width < 20 {
		return lines
	}
	var all []string
	for _, line := range lines {
		for i, part := range strings.Split(ansi.Wrap(line, l.Width-6, ""), "\n") {
			if i > 0 {
				part = "      " + part
			}
			all = append(all, part)
		}
	}
	return all
}

// scrolled is a page with the part of its body that fits.
func (l Live) scrolled(head, body, foot []string) (text string, end int) {
	room := len(body)
	if l.Height > 0 {
		room = max(1, l.Height-len(head)-len(foot))
	}
	end = max(0, len(body)-room)
	first := min(l.Offset, end)
	return l.page(head, body[first:min(len(body), first+room)], foot), end
}

// foot is what can be done, and what is asked or was answered.
func (l Live) foot(st Style, always ...string) []string {
	lines := []string{""}
	if l.Foot != "" {
		lines = append(lines, st.bold(l.Foot))
	}
	keys := l.Keys
	if !l.Asking {
		keys = slices.Concat(keys, always)
	}
	return append(lines, st.dim(strings.Join(keys, "   ")))
}

// page puts the parts together, each line cut at the terminal's edge and the whole at its lower end.
func (l Live) page(head, body, foot []string) string {
	lines := slices.Concat(head, body)
	if l.Height > 0 {
		lines = lines[:min(len(lines), max(0, l.Height-len(foot)))]
	}
	lines = append(lines, foot...)
	for i, line := range lines {
		if l.Width > 0 && utf8.RuneCountInString(line) > l.Width {
			lines[i] = ansi.Truncate(line, l.Width, "…")
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
