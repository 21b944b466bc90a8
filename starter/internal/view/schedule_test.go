package view

import (
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/schedule"
	"github.com/pawl-dev/pawl/workflows"
)

func sampleSchedule(t *testing.T) schedule.Schedule {
	t.Helper()
	zone := time.FixedZone("CET", 3600)
	policy, err := upgrade.ParsePolicy("newest-minor-less-1")
	if err != nil {
		t.Fatal(err)
	}
	run := func(days int, state string, outcome workflows.ScheduledOutcome, message string) schedule.Run {
		return schedule.Run{Started: noon.AddDate(0, 0, -days).In(zone), State: state, Outcome: outcome, Message: message}
	}
	return schedule.Schedule{
		ID: "pawl/lab-minors", Name: "lab-minors", When: "tue,thu 22:00", TimeZone: "Europe/Zurich",
		Upgrade: workflows.ScheduledUpgradeInput{Policy: policy, ClusterUpgradeInput: workflows.ClusterUpgradeInput{
			Cluster: "lab", Waive: []string{"disk-space"}, Through: []string{"v1.36.3"}}},
		Jitter: upgrade.Duration(5 * time.Minute), CatchUp: upgrade.Duration(10 * time.Minute), PauseOnFailure: true,
		Note: "resumed by ann@desk: the freeze is over", Overlapped: 1, Missed: 2,
		Next: []time.Time{noon.In(zone), noon.AddDate(0, 0, 2).In(zone), noon.AddDate(0, 0, 7).In(zone), noon.AddDate(0, 0, 9).In(zone)},
		Runs: []schedule.Run{
			run(0, schedule.Running, "", ""),
			run(2, schedule.Completed, workflows.ScheduledSkipped, "skipped: an upgrade to v1.37.2 is running (held: w1: Drain: blocked)"),
			run(7, schedule.Failed, "", "plan lab v1.36.3 to v1.37.2: refused: w1: the node is not Ready"),
			run(9, schedule.Completed, workflows.ScheduledNothingToDo, "nothing to do: lab is at v1.36.3 already"),
			run(14, schedule.Completed, workflows.ScheduledUpgraded, "lab was upgraded from v1.35.4 to v1.36.3 in 34m10s"),
			run(90, schedule.Forgotten, "", ""),
		},
	}
}

func TestSchedule(t *testing.T) {
	s := sampleSchedule(t)
	golden(t, "schedule", Schedule(s, Style{}))
	golden(t, "schedule-color", Schedule(s, Style{Color: true}))
	s.Paused, s.Runs = true, nil
	golden(t, "schedule-paused", Schedule(s, Style{}))
	over := schedule.Schedule{Name: "lab", When: "2026-01-01 22:00", TimeZone: "UTC", CatchUp: s.CatchUp,
		Upgrade: workflows.ScheduledUpgradeInput{ClusterUpgradeInput: workflows.ClusterUpgradeInput{Cluster: "lab", TargetVersion: "v1.37.2"}}}
	golden(t, "schedule-over", Schedule(over, Style{}))
}

func TestSchedules(t *testing.T) {
	s := sampleSchedule(t)
	paused := s
	paused.Name, paused.Paused, paused.Runs = "other", true, paused.Runs[2:]
	fresh := schedule.Schedule{Name: "fresh", Upgrade: s.Upgrade, When: "2026-01-01 22:00", TimeZone: "UTC"}
	golden(t, "schedules", Schedules([]schedule.Schedule{fresh, s, paused}, Style{}))
	if got := Schedules(nil, Style{}); got != "no schedules; \"pawl schedule create\" makes one\n" {
		t.Errorf("got %q", got)
	}
}
