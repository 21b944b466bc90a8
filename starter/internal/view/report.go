package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/timing"
)

// Report renders where the time of an upgrade went: per stage, per node and step, and in all.
func Report(s snapshot.Snapshot, a timing.Account, now time.Time, st Style) string {
	if !s.Ended.IsZero() {
		now = s.Ended
	}
	var b strings.Builder
	word := "in"
	if !s.State.Ended() {
		word = "for"
	}
	fmt.Fprintf(&b, "%s  %s %s %s", st.bold(s.Cluster+"  "+path(s.Status)),
		st.state(s.State, string(s.State)), word, Short(a.Wall.Std()))
	fmt.Fprintf(&b, " (%s to %s)\n", clock(s.Started.In(now.Location())), clock(s.Ended.In(now.Location())))
	if s.Message != "" {
		fmt.Fprintln(&b, s.Message)
	}
	if len(s.Stages) > 0 {
		fmt.Fprintln(&b)
		writeTable(&b, st, []string{"stage", "state", "took", "worked"}, stageRows(s.Status, now))
	}
	if len(s.Nodes) > 0 {
		fmt.Fprintln(&b)
		header, rows := stepMatrix(s.Status, now)
		writeTable(&b, st, header, rows)
	}
	fmt.Fprintf(&b, "\nWall time      %s\n", Short(a.Wall.Std()))
	fmt.Fprintf(&b, "Own work       %s (the steps' time added up: %s)\n", Short(a.Worked.Std()), Short(a.Steps.Std()))
	fmt.Fprintf(&b, "Pawl's own     %s (%s: between steps, and waiting for people)\n", Short(a.Overhead.Std()), percent(a))
	if s.Backup != "" {
		fmt.Fprintf(&b, "Backup         %s on each control plane node\n", s.Backup)
	}
	return b.String()
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

// columns are the steps in the order of the runbook, with their short names.
var columns = []struct {
	name  string
	steps []upgrade.Step
}{
	{"kubeadm", []upgrade.Step{upgrade.InstallKubeadm}},
	{"upgrade", []upgrade.Step{upgrade.UpgradeControlPlane, upgrade.UpgradeNodeConfig}},
	{"drain", []upgrade.Step{upgrade.DrainNode}},
	{"kubelet", []upgrade.Step{upgrade.InstallKubelet}},
	{"restart", []upgrade.Step{upgrade.RestartKubelet}},
	{"verify", []upgrade.Step{upgrade.VerifyNode}},
	{"uncordon", []upgrade.Step{upgrade.UncordonNode}},
}

// stepMatrix has a row for each node and a column for each step.
func stepMatrix(s upgrade.Status, now time.Time) (header []string, rows [][]string) {
	header = []string{"node", "state"}
	for _, c := range columns {
		header = append(header, c.name)
	}
	header = append(header, "total")
	several := s.Hops > 1
	if several {
		header = append([]string{"hop"}, header...)
	}
	for _, n := range s.Nodes {
		row := []string{n.Node, string(n.State)}
		if several {
			row = append([]string{fmt.Sprint(n.Hop)}, row...)
		}
		for _, c := range columns {
			row = append(row, stepTime(n, c.steps, now))
		}
		rows = append(rows, append(row, nodeTime(n, now)))
	}
	return header, rows
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

// nodeTime is from a node's first step to its last.
func nodeTime(n upgrade.NodeStatus, now time.Time) string {
	if len(n.Steps) == 0 {
		return ""
	}
	last := n.Steps[len(n.Steps)-1]
	return elapsed(n.Steps[0].Started, last.Ended, now)
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
