package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
)

// List renders upgrades, one line each, and below it why it is held or has failed.
func List(all []upgrades.Listed, now time.Time, st Style) string {
	if len(all) == 0 {
		return "no upgrades\n"
	}
	rows := make([][]string, len(all))
	for i, l := range all {
		state := st.state(l.State, string(l.State))
		if l.HeldAt != "" {
			state += " at " + l.HeldAt
		}
		phase, nodes := l.Phase, ""
		if l.State == upgrade.Done {
			phase = ""
		}
		if l.Nodes > 0 {
			nodes = fmt.Sprintf("%d/%d", l.NodesDone, l.Nodes)
		}
		rows[i] = []string{l.Cluster, l.Target, state, phase, nodes, l.Started.Local().Format("2006-01-02 15:04"), elapsed(l.Started, l.Ended, now)}
	}
	table := tableLines([]string{"cluster", "target", "state", "phase", "nodes", "since", "elapsed"}, rows)
	lines := []string{st.dim(table[0])}
	for i, l := range all {
		lines = append(lines, table[i+1])
		if l.Message != "" && l.State != upgrade.Done {
			lines = append(lines, "    "+st.yellow(l.Message))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
