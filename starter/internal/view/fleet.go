package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Fleet renders where the upgrade of a fleet is: headline, clusters, and what a person can do.
func Fleet(s upgrade.FleetStatus, now time.Time, st Style) string {
	lines := []string{fleetHeadline(s, now, st)}
	if len(s.Clusters) > 0 {
		lines = append(lines, "")
		lines = append(lines, fleetLines(s, now, st)...)
	}
	if s.Message != "" {
		lines = append(lines, "", st.state(s.State, s.Message))
	}
	if commands := fleetCommands(s); len(commands) > 0 {
		lines = append(lines, "", "Waiting for a person:")
		for _, c := range commands {
			lines = append(lines, "  "+c)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func fleetHeadline(s upgrade.FleetStatus, now time.Time, st Style) string {
	if !s.Ended.IsZero() {
		now = s.Ended
	}
	parts := []string{st.state(s.State, string(s.State))}
	if s.Waves > 0 {
		parts = append(parts, fmt.Sprintf("wave %d of %d", s.Wave, s.Waves))
	}
	done := len(s.Names(func(c upgrade.FleetCluster) bool { return c.State == upgrade.Done }))
	parts = append(parts, fmt.Sprintf("%d of %s", done, count(len(s.Clusters), "cluster")))
	if !s.Started.IsZero() {
		parts = append(parts, elapsed(s.Started, s.Ended, now))
	}
	return st.bold(fmt.Sprintf("fleet %s  to %s", s.Fleet, s.Target)) + "  " + strings.Join(parts, ", ")
}

func fleetLines(s upgrade.FleetStatus, now time.Time, st Style) []string {
	var rows [][]string
	for _, c := range s.Clusters {
		from := ""
		if !c.From.IsZero() {
			from = c.From.String()
		}
		rows = append(rows, []string{fmt.Sprint(c.Wave), c.Cluster, from, st.state(c.State, mark(c.State)+" "+string(c.State)), elapsed(c.Started, c.Ended, now), ""})
	}
	lines := tableLines([]string{"wave", "cluster", "from", "state", "elapsed", ""}, rows)
	shown := []string{st.dim(lines[0])}
	for i, c := range s.Clusters {
		shown = append(shown, lines[i+1])
		if c.Reason != "" {
			shown = append(shown, "      "+st.yellow(c.Reason))
		}
	}
	return shown
}

// fleetCommands are what a person can say to a fleet that waits for one: about each cluster in trouble.
func fleetCommands(s upgrade.FleetStatus) []string {
	const most = 5
	var commands []string
	switch s.State {
	case upgrade.Paused:
		return []string{"pawl fleet resume " + s.Fleet}
	case upgrade.Held:
	default:
		return nil
	}
	for _, name := range s.InTrouble() {
		if s.Find(name).State == upgrade.Held {
			commands = append(commands, "pawl status "+name)
		} else {
			commands = append(commands, fmt.Sprintf("pawl fleet retry %s %s", s.Fleet, name))
		}
	}
	if len(commands) > most {
		commands = append(commands[:most], "...")
	}
	return append(commands, fmt.Sprintf("pawl fleet skip %s CLUSTER --reason WHY", s.Fleet), fmt.Sprintf("pawl fleet abort %s --reason WHY", s.Fleet))
}

// FleetChanges says in lines what is new since the last look; nil is before the first.
func FleetChanges(prev *upgrade.FleetStatus, s upgrade.FleetStatus, now time.Time) []string {
	var lines []string
	say := func(format string, args ...any) {
		lines = append(lines, now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
	}
	if prev == nil {
		say("fleet %s to %s: %s in %s", s.Fleet, s.Target, count(len(s.Clusters), "cluster"), count(s.Waves, "wave"))
	}
	for i, c := range s.Clusters {
		was := upgrade.FleetCluster{State: upgrade.Pending}
		if prev != nil && i < len(prev.Clusters) {
			was = prev.Clusters[i]
		}
		if c.State == was.State && c.Reason == was.Reason {
			continue
		}
		line := fmt.Sprintf("%s %s", c.Cluster, c.State)
		if c.Reason != "" {
			line += ": " + c.Reason
		}
		say("%s", line)
	}
	if was := (upgrade.FleetStatus{State: upgrade.Running}); prev != nil || s.State != was.State {
		if prev != nil {
			was = *prev
		}
		if s.State != was.State || s.Message != was.Message {
			say("%s", strings.TrimSuffix(fmt.Sprintf("fleet %s %s: %s", s.Fleet, s.State, s.Message), ": "))
		}
	}
	return lines
}

// FleetPlan is what the plan of one cluster of a fleet came to.
type FleetPlan struct {
	Cluster string       `json:"cluster"`
	Wave    int          `json:"wave"`
	Plan    upgrade.Plan `json:"plan,omitzero"`
	Error   string       `json:"error,omitempty"` // why there is none
}

// Refused reports whether the cluster would not be upgraded.
func (p FleetPlan) Refused() bool { return p.Error != "" || p.Plan.Refused() }

// FleetPlans renders the plans of a fleet's clusters, a row each, and below what is in their way.
func FleetPlans(plans []FleetPlan, st Style) string {
	var rows [][]string
	var problems []string
	for _, p := range plans {
		row := []string{fmt.Sprint(p.Wave), p.Cluster}
		var texts []string
		if p.Error != "" {
			texts = []string{p.Error}
			row = append(row, "", "", "", "", "")
		} else {
			for _, f := range p.Plan.Errors() {
				texts = append(texts, f.String())
			}
			row = append(row, p.Plan.Current.String(), p.Plan.Target.String(), fmt.Sprint(len(p.Plan.Hops)), fmt.Sprint(p.Plan.Drains), about(p.Plan.Estimate.Std()))
		}
		state := "ready"
		switch {
		case len(texts) > 0:
			state = st.red(count(len(texts), "error"))
		case len(p.Plan.Hops) == 0:
			state = "nothing to do"
		default:
			if n := len(slices.DeleteFunc(slices.Clone(p.Plan.Findings), func(f upgrade.Finding) bool { return f.Severity != upgrade.SeverityWarning })); n > 0 {
				state = st.yellow(count(n, "warning"))
			}
		}
		rows = append(rows, append(row, state))
		for _, text := range texts {
			problems = append(problems, fmt.Sprintf("  %s %s: %s", st.red("error  "), p.Cluster, text))
		}
	}
	lines := tableLines([]string{"wave", "cluster", "from", "to", "hops", "drains", "estimate", "state"}, rows)
	lines[0] = st.dim(lines[0])
	if len(problems) > 0 {
		lines = append(append(lines, ""), problems...)
	}
	return strings.Join(lines, "\n") + "\n"
}
