package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/timing"
)

// Report renders what an upgrade did and where its time went: per stage, per node and step, and in all; what was in the
// way, and who did what.
func Report(r report.Report, st Style) string {
	now := r.Made
	if !r.Ended.IsZero() {
		now = r.Ended.In(now.Location())
	}
	var b strings.Builder
	word := "in"
	if !r.State.Ended() {
		word = "for"
	}
	fmt.Fprintf(&b, "%s  %s %s %s", st.bold(r.Cluster+"  "+path(r.Status)),
		st.state(r.State, string(r.State)), word, Short(r.Time.Wall.Std()))
	fmt.Fprintf(&b, " (%s to %s)\n", clock(r.Started.In(now.Location())), clock(r.Ended.In(now.Location())))
	if r.Message != "" {
		fmt.Fprintln(&b, r.Message)
	}
	section := func(header []string, rows [][]string) {
		if len(rows) > 0 {
			fmt.Fprintln(&b)
			writeTable(&b, st, header, rows)
		}
	}
	section([]string{"stage", "state", "took", "worked"}, stageRows(r.Status, now))
	section(stepMatrix(r.Status, now))
	section([]string{"api server of", "away", "longest", "times"}, apiServerRows(r))
	section([]string{"service", "pool", "down", "from", "to"}, outageRows(r, now.Location()))
	section([]string{"drain of", "waited", "for", "pods"}, drainRows(r))
	section([]string{"held", "step", "at", "for", "reason"}, holdRows(r, now.Location()))
	section([]string{"no window for", "from", "to", "for", "opened by"}, windowRows(r, now))
	section([]string{"tried again", "step", "attempts", "why"}, retryRows(r))
	section([]string{"replaced", "by"}, successorRows(r))
	section([]string{"pods now on", "pods"}, spreadRows(r))
	section([]string{"at", "what", "where", "by", "why"}, actionRows(r, now.Location()))
	fmt.Fprintln(&b)
	writeTotals(&b, r)
	return b.String()
}

func writeTotals(b *strings.Builder, r report.Report) {
	line := func(name, text string) { fmt.Fprintf(b, "%-17s%s\n", name, text) }
	line("Wall time", Short(r.Time.Wall.Std()))
	line("Own work", fmt.Sprintf("%s (the steps' time added up: %s)", Short(r.Time.Worked.Std()), Short(r.Time.Steps.Std())))
	if r.Time.Failed > 0 {
		line("Failed attempts", Short(r.Time.Failed.Std()))
	}
	if r.Time.Held > 0 {
		line("Held", Short(r.Time.Held.Std()))
	}
	if r.Time.Waited > 0 {
		line("No window", fmt.Sprintf("%s (waiting for a maintenance window)", Short(r.Time.Waited.Std())))
	}
	line("Pawl's own", fmt.Sprintf("%s (%s: between steps)", Short(r.Time.Overhead.Std()), percent(r.Time)))
	for _, folder := range Backups(r.Snapshot) {
		line("Backup", folder+" on each control plane node")
	}
}

// Backups are the folders of the backups, one for each hop.
func Backups(s snapshot.Snapshot) []string {
	var folders []string
	for _, stage := range s.Stages {
		if stage.Note != "" {
			folders = append(folders, stage.Note)
		}
	}
	if len(folders) == 0 && s.Backup != "" {
		folders = []string{s.Backup}
	}
	return folders
}

func apiServerRows(r report.Report) [][]string {
	var rows [][]string
	for _, a := range r.APIServers {
		rows = append(rows, []string{a.Node, Away(a), Short(a.Longest.Std()), fmt.Sprint(len(a.Stretches))})
		if !a.Measured {
			rows[len(rows)-1] = []string{a.Node, Away(a), "", ""}
		}
	}
	return rows
}

// Away says for how long an API server was away. What was not measured is not zero, and what was cut off may be more.
func Away(a report.APIServer) string {
	switch {
	case !a.Measured:
		return "not measured"
	case a.AtLeast:
		return "at least " + Short(a.Down.Std())
	}
	return Short(a.Down.Std())
}

// outageRows say for how long services were down while whole pools were upgraded at the same time.
func outageRows(r report.Report, zone *time.Location) [][]string {
	var rows [][]string
	for _, o := range r.Outages {
		for _, s := range o.Services {
			rows = append(rows, []string{s.Service, o.Pool, Short(s.Down.Std()), clock(o.From.In(zone)), clock(o.From.Add(s.Down.Std()).In(zone))})
		}
		if o.Others > 0 {
			rows = append(rows, []string{fmt.Sprintf("and %d more", o.Others), o.Pool, "at most " + Short(o.To.Sub(o.From)), clock(o.From.In(zone)), clock(o.To.In(zone))})
		}
	}
	return rows
}

func successorRows(r report.Report) [][]string {
	var rows [][]string
	for _, n := range r.Nodes {
		if n.Successor != "" {
			rows = append(rows, []string{n.Node, n.Successor})
		}
	}
	return rows
}

// spreadRows say where the pods are in the end: they do not come back to a node by themselves. Workers that have equally
// many share a row.
func spreadRows(r report.Report) [][]string {
	var rows [][]string
	at := map[int]int{}
	for _, n := range r.Spread {
		i, there := at[n.Pods]
		if !there {
			at[n.Pods], rows = len(rows), append(rows, []string{n.Node, fmt.Sprint(n.Pods)})
			continue
		}
		rows[i][0] += ", " + n.Node
	}
	return rows
}

func drainRows(r report.Report) [][]string {
	var rows [][]string
	for _, w := range r.DrainWaits {
		rows = append(rows, []string{hopName(r.Status, w.Node, w.Hop), Short(w.Waited.Std()), Keeper(w.DrainWait), Pods(w.DrainWait)})
	}
	return rows
}

// Keeper is what kept a drain's pods.
func Keeper(w upgrade.DrainWait) string {
	if w.Budget != "" {
		return "PodDisruptionBudget " + w.Budget
	}
	return w.Reason
}

// Pods are the pods that were kept.
func Pods(w upgrade.DrainWait) string {
	text := strings.Join(w.Pods, ", ")
	if w.Others > 0 {
		text += fmt.Sprintf(" and %d more", w.Others)
	}
	return text
}

func holdRows(r report.Report, zone *time.Location) [][]string {
	var rows [][]string
	for _, h := range r.Holds {
		rows = append(rows, []string{hopName(r.Status, nameOr(h.Node, r.Cluster), h.Hop), h.Title, clock(h.From.In(zone)), Short(h.Took.Std()), h.Reason})
	}
	return rows
}

func windowRows(r report.Report, now time.Time) [][]string {
	var rows [][]string
	for _, w := range r.WindowWaits {
		to, opened := or(w.To, now).In(now.Location()), "itself"
		switch {
		case w.To.IsZero():
			opened = "nothing yet"
		case w.Opened != nil:
			opened = nameOr(w.Opened.By, "unknown")
		}
		rows = append(rows, []string{w.For, upgrade.Moment(w.From.In(now.Location())), upgrade.Moment(to), Short(to.Sub(w.From)), opened})
	}
	return rows
}

func retryRows(r report.Report) [][]string {
	var rows [][]string
	for _, t := range r.Retries {
		rows = append(rows, []string{hopName(r.Status, nameOr(t.Node, r.Cluster), t.Hop), t.Title, fmt.Sprint(t.Attempts), strings.Join(t.Why, "; ")})
	}
	return rows
}

func actionRows(r report.Report, zone *time.Location) [][]string {
	var rows [][]string
	for _, a := range r.Actions {
		rows = append(rows, []string{clock(a.At.In(zone)), a.What, nameOr(a.Node, r.Cluster), nameOr(a.By, "unknown"), a.Reason})
	}
	return rows
}

// hopName is a node's name, with its hop where there are several.
func hopName(s upgrade.Status, node string, hop int) string {
	if s.Hops > 1 && hop > 0 {
		return fmt.Sprintf("%s (hop %d)", node, hop)
	}
	return node
}

func writeTable(b *strings.Builder, st Style, header []string, rows [][]string) {
	for i, line := range tableLines(header, rows) {
		if i == 0 {
			line = st.dim(line)
		}
		fmt.Fprintln(b, line)
	}
}

func stageRows(s upgrade.Status, now time.Time) [][]string {
	var rows [][]string
	for _, stage := range s.Stages {
		worked := ""
		if stage.Worked > 0 {
			worked = Short(stage.Worked.Std())
		}
		rows = append(rows, []string{stage.Title, string(stage.State), elapsed(stage.Started, stage.Ended, now), worked})
	}
	return rows
}

// Column is a step of the runbook with a short name, or several that take each other's place.
type Column struct {
	Name  string
	steps []upgrade.Step
	// always: also where no node has it.
	always bool
}

// columns are the steps in the order of the runbook.
var columns = []Column{
	{"add", []upgrade.Step{upgrade.AddNode}, false},
	{"withdraw", []upgrade.Step{upgrade.WithdrawNode}, false},
	{"kubeadm", []upgrade.Step{upgrade.InstallKubeadm}, true},
	{"upgrade", []upgrade.Step{upgrade.UpgradeControlPlane, upgrade.UpgradeNodeConfig}, true},
	{"settle", []upgrade.Step{upgrade.VerifyControlPlane}, true},
	{"drain", []upgrade.Step{upgrade.DrainNode, upgrade.StopPods}, true},
	{"release", []upgrade.Step{upgrade.ReleaseVolumes}, false},
	{"remove", []upgrade.Step{upgrade.RemoveNode}, false},
	{"kubelet", []upgrade.Step{upgrade.InstallKubelet}, true},
	{"restart", []upgrade.Step{upgrade.RestartKubelet}, true},
	{"verify", []upgrade.Step{upgrade.VerifyNode}, true},
	{"uncordon", []upgrade.Step{upgrade.UncordonNode}, true},
}

// stepMatrix has a row for each node and a column for each step.
func stepMatrix(s upgrade.Status, now time.Time) (header []string, rows [][]string) {
	columns := Columns(s)
	header = []string{"node", "from", "to", "state"}
	for _, c := range columns {
		header = append(header, c.Name)
	}
	header = append(header, "total")
	if s.Hops > 1 {
		header = append([]string{"hop"}, header...)
	}
	for _, n := range s.Nodes {
		row := append([]string{n.Node, n.From.String(), n.To.String(), string(n.State)}, StepTimes(columns, n, now)...)
		row = append(row, NodeTime(n, now))
		if s.Hops > 1 {
			row = append([]string{fmt.Sprint(n.Hop)}, row...)
		}
		rows = append(rows, row)
	}
	return header, rows
}

// Columns are those of an upgrade.
func Columns(s upgrade.Status) []Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c Column) bool {
		return !c.always && !slices.ContainsFunc(s.Nodes, func(n upgrade.NodeStatus) bool {
			return slices.ContainsFunc(n.Steps, func(step upgrade.StepStatus) bool { return slices.Contains(c.steps, step.Step) })
		})
	})
}

// StepTimes are the times of a node's steps, one for each column.
func StepTimes(columns []Column, n upgrade.NodeStatus, now time.Time) []string {
	var times []string
	for _, c := range columns {
		times = append(times, stepTime(n, c.steps, now))
	}
	return times
}

func stepTime(n upgrade.NodeStatus, steps []upgrade.Step, now time.Time) string {
	for _, have := range n.Steps {
		for _, want := range steps {
			if have.Step == want {
				return elapsed(have.Started, have.Ended, now)
			}
		}
	}
	return "-"
}

// NodeTime is the time of a node's steps. Between its two turns a control plane node only waits for the others.
func NodeTime(n upgrade.NodeStatus, now time.Time) string {
	var total time.Duration
	for _, step := range n.Steps {
		total += report.Took(step, now)
	}
	if total == 0 && n.State == upgrade.Pending {
		return ""
	}
	return Short(total)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "now"
	}
	return t.Format("15:04:05")
}

func percent(a timing.Account) string {
	if a.Wall == 0 {
		return "0.0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*a.Overhead.Std().Seconds()/a.Wall.Std().Seconds())
}
