package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/schedule"
	"github.com/pawl-dev/pawl/workflows"
)

// nextShown is how many of the times to come are shown.
const nextShown = 3

// Moment renders a time of a schedule, in the zone that it has.
func Moment(t time.Time) string { return t.Format("Mon 2006-01-02 15:04:05 MST") }

// PlanOutline is a plan on one line, and what it found.
func PlanOutline(p upgrade.Plan, st Style) string {
	return planHeadline(p, st) + "\n" + Findings(p.Findings, st)
}

// Schedule renders a schedule: what it does when, when next, and what became of its last runs.
func Schedule(s schedule.Schedule, st Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n", st.bold(ScheduleTitle(s)), scheduleState(s, st))
	if len(s.Upgrade.Through) > 0 {
		fmt.Fprintf(&b, "  through %s\n", strings.Join(s.Upgrade.Through, ", "))
	}
	if len(s.Upgrade.Waive) > 0 {
		fmt.Fprintf(&b, "  waives %s\n", strings.Join(s.Upgrade.Waive, ", "))
	}
	if s.Jitter > 0 {
		fmt.Fprintf(&b, "  starts up to %s later than said, by chance\n", Short(s.Jitter.Std()))
	}
	fmt.Fprintf(&b, "  starts up to %s late when Temporal was away\n", Short(s.CatchUp.Std()))
	if s.PauseOnFailure {
		b.WriteString("  pauses when a run fails\n")
	}
	if s.Note != "" {
		fmt.Fprintf(&b, "  note: %s\n", s.Note)
	}
	if s.Overlapped > 0 {
		fmt.Fprintf(&b, "  passed over %s, since a run was under way\n", count(s.Overlapped, "time"))
	}
	if s.Missed > 0 {
		fmt.Fprintf(&b, "  missed %s, since Temporal was away too long\n", count(s.Missed, "time"))
	}
	fmt.Fprintf(&b, "\n%s\n", st.bold("Next"))
	switch {
	case len(s.Next) == 0:
		b.WriteString("  never: its time is over; \"pawl schedule trigger\" still runs it\n")
	case s.Paused:
		b.WriteString("  when it is resumed:\n")
	}
	for i, t := range s.Next {
		if i < nextShown {
			fmt.Fprintf(&b, "  %s\n", Moment(t))
		}
	}
	if len(s.Runs) == 0 {
		fmt.Fprintf(&b, "\nIt has not run yet.\n")
		return b.String()
	}
	var rows [][]string
	for _, r := range s.Runs {
		rows = append(rows, []string{Moment(r.Started), runMark(r, st), r.Message})
	}
	lines := tableLines([]string{"run", "outcome", "says"}, rows)
	fmt.Fprintf(&b, "\n%s\n%s\n", st.dim(lines[0]), strings.Join(lines[1:], "\n"))
	return b.String()
}

// Schedules renders a line for each schedule.
func Schedules(all []schedule.Schedule, st Style) string {
	if len(all) == 0 {
		return "no schedules; \"pawl schedule create\" makes one\n"
	}
	var rows [][]string
	for _, s := range all {
		next, last := "-", "-"
		if len(s.Next) > 0 {
			next = Moment(s.Next[0])
		}
		if s.Paused {
			next = st.yellow("paused")
		}
		if len(s.Runs) > 0 {
			last = runMark(s.Runs[0], st) + " " + s.Runs[0].Started.Format(time.DateOnly)
		}
		rows = append(rows, []string{s.Name, s.Upgrade.Cluster, s.Upgrade.Wants(), s.When + " " + s.TimeZone, next, last})
	}
	lines := tableLines([]string{"name", "cluster", "to", "when", "next", "last run"}, rows)
	return st.dim(lines[0]) + "\n" + strings.Join(lines[1:], "\n") + "\n"
}

// ScheduleTitle is what a schedule does when, on one line.
func ScheduleTitle(s schedule.Schedule) string {
	return fmt.Sprintf("%s: %s to %s, %s %s", s.Name, s.Upgrade.Cluster, s.Upgrade.Wants(), s.When, s.TimeZone)
}

func scheduleState(s schedule.Schedule, st Style) string {
	if s.Paused {
		return st.yellow("paused")
	}
	return st.green("active")
}

// runMark paints how a run ended.
func runMark(r schedule.Run, st Style) string {
	text := r.Says()
	switch {
	case r.State == schedule.Running:
		return st.cyan(text)
	case r.State == schedule.Failed:
		return st.red(text)
	case r.Outcome == workflows.ScheduledUpgraded:
		return st.green(text)
	case r.Outcome == workflows.ScheduledAborted:
		return st.yellow(text)
	}
	return text
}
