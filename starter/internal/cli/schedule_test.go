package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/schedule"
	"github.com/pawl-dev/pawl/workflows"
)

func TestBadSchedulesNeedNoServer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	for _, tc := range []struct{ args, want string }{
		{"create lab --at 22:00", "schedule create lab: no target: say --to v1.37.2"},
		{"create lab --at 22:00 --to v1.37.2 --policy newest-patch", "schedule create lab: --policy chooses the version: leave out --to"},
		{"create lab --at 22:00 --policy latest", `schedule create lab: "latest" is not a policy, wanted newest-patch, newest-minor or newest-minor-less-1`},
		{"create ../lab --at 22:00 --policy newest-patch", `schedule create: "../lab" is not a cluster's name`},
		{"create lab --at 22:00 --policy newest-patch --name a/b", `schedule create: "a/b" is not a schedule's name`},
		{"create lab --policy newest-patch", "schedule create lab: say when: --at 22:00"},
		{"create lab --policy newest-patch --at 22:00 --time-zone Mars/Olympus", `schedule create lab: "Mars/Olympus" is not a time zone`},
		{"create lab --policy newest-patch --at 2020-01-01T22:00", "schedule create lab: 2020-01-01T22:00 in UTC is over"},
		{"create lab --policy newest-patch --at 22:00 --on someday", `schedule create lab: --on: "someday" is not a day of the week`},
		{"create lab --policy newest-patch --cron @daily", `schedule create lab: cron "@daily": wanted minute, hour`},
		{"create lab --policy newest-patch --at 22:00 --catch-up 1s", "schedule create lab: wanted a --catch-up of 10s or more"},
		{"create lab --policy newest-patch --at 22:00 -o yaml", `--output "yaml", wanted text or json`},
		{"creat lab --at 22:00", `unknown command "creat" for "pawl schedule" (did you mean create?); see "pawl schedule --help"`},
		{"describe", "arguments: got 0; usage: pawl schedule describe NAME [flags]"},
		{"list -o xml", `--output "xml", wanted text or json`},
	} {
		code, _, errOut := pawl(append([]string{"schedule"}, strings.Fields(tc.args)...)...)
		if code != exit.BadInput || !strings.Contains(errOut, tc.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("pawl schedule %s: exit %d, %q; wanted exit 2 and one line with %q", tc.args, code, errOut, tc.want)
		}
	}
	expect(t, exit.Done, "Available Commands", "", "schedule")
}

func TestPlanByPolicy(t *testing.T) {
	sharedServer(t)
	expect(t, exit.Done, "lab: v1.36.3 -> v1.36.5, 1 hop, 2 nodes", "", "plan", "lab", "--policy", "newest-patch")
	expect(t, exit.BadInput, "", `plan lab: "newest" is not a policy`, "plan", "lab", "--policy", "newest")
	expect(t, exit.BadInput, "", "unknown flag: --policy", "start", "lab", "--policy", "newest-patch")
}

func TestScheduleCreateRefusesWhatWouldBeRefused(t *testing.T) {
	sharedServer(t)
	byPatch := []string{"--policy", "newest-patch", "--at", "22:00"}
	create := func(cluster string) []string { return append([]string{"schedule", "create", cluster}, byPatch...) }
	expect(t, exit.BadInput, "", "plan ghost: no clusters/ghost.yaml", create("ghost")...)
	expect(t, exit.Refused, "", "w1: the node is not Ready", create("unready")...)
	expect(t, exit.Refused, "", "schedule create unready: the upgrade to newest-patch is refused today, nothing was made; put it right, or say --no-check", create("unready")...)
	expect(t, exit.BadInput, "", "schedule describe unready: no schedule pawl/unready is known to Temporal", "schedule", "describe", "unready")
	expect(t, exit.Done, "unready: made\n", "", append(create("unready"), "--no-check")...)
	expect(t, exit.BadInput, "", "schedule create unready: there is a schedule pawl/unready already; delete it first, or say --name", create("unready")...)
	expect(t, exit.BadInput, "", "schedule create unready: there is a schedule pawl/unready already", append(create("unready"), "--no-check")...)

	expect(t, exit.Done, "unready: runs as scheduled-upgrade/unready-", "", "schedule", "trigger", "unready")
	s := awaitRun(t, "unready", schedule.Failed)
	if want := "plan unready v1.36.3 to v1.36.5: refused: w1: the node is not Ready"; s.Runs[0].Message != want || s.Paused {
		t.Errorf("got %+v, wanted %q and a schedule that goes on", s, want)
	}
	expect(t, exit.Done, "deleted unready: unready to newest-patch, every day 22:00 UTC; an upgrade that it has started goes on\n", "", "schedule", "delete", "unready")
}

// TestAScheduleFromCreateToDelete walks the commands through the life of one schedule.
func TestAScheduleFromCreateToDelete(t *testing.T) {
	s := sharedServer(t)
	expect(t, exit.Done, "It would do today: current: every node is at v1.36.5, nothing to do", "", "schedule", "create", "current", "--name", "life",
		"--policy", "newest-patch", "--at", "22:00", "--on", "tue,thu", "--time-zone", "Europe/Zurich", "--jitter", "5m", "--note", "asked for by ops", "--waive", "disk-space")
	_, out, _ := pawl("schedule", "describe", "life")
	for _, want := range []string{"life: current to newest-patch, tue,thu 22:00 Europe/Zurich, active", "waives disk-space", "up to 5m00s later", "up to 10m00s late",
		"note: asked for by ops", "22:0", "It has not run yet."} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	made := describe(t, "life")
	if made.ID != "pawl/life" || made.Upgrade.Cluster != "current" || made.Upgrade.Policy.String() != "newest-patch" || len(made.Next) < 3 ||
		made.Jitter != upgrade.Duration(5*time.Minute) || made.CatchUp != upgrade.Duration(10*time.Minute) || made.PauseOnFailure {
		t.Errorf("got %+v", made)
	}
	for _, next := range made.Next {
		// Jitter is among the times that Temporal foretells.
		if day := next.Weekday(); day != time.Tuesday && day != time.Thursday || next.Hour() != 22 || next.Minute() > 5 {
			t.Errorf("next is %s", next)
		}
	}

	expect(t, exit.Done, "life: paused; an upgrade that it has started goes on", "", "schedule", "pause", "life", "--reason", "freeze")
	if paused := describe(t, "life"); !paused.Paused || !strings.HasSuffix(paused.Note, ": freeze") || !strings.HasPrefix(paused.Note, "paused by ") {
		t.Errorf("got %+v", paused)
	}
	expect(t, exit.Done, "when it is resumed", "", "schedule", "describe", "pawl/life")
	expect(t, exit.Done, "life: runs as scheduled-upgrade/life-", "", "schedule", "trigger", "life")
	ran := awaitRun(t, "life", schedule.Completed)
	if r := ran.Runs[0]; r.Outcome != workflows.ScheduledNothingToDo || r.Message != "nothing to do: it wants newest-patch" {
		t.Errorf("got %+v", r)
	}
	expect(t, exit.Done, "nothing to do  nothing to do: it wants newest-patch", "", "schedule", "describe", "life")
	expect(t, exit.Done, "life: resumed, next T", "", "schedule", "resume", "life")

	awaitListed(t, "life")
	expect(t, exit.Done, "nothing to do 20", "", "schedule", "list")

	expect(t, exit.Done, "", "", "schedule", "delete", "life")
	if _, err := s.client.ScheduleClient().GetHandle(context.Background(), "pawl/life").Describe(context.Background()); err == nil {
		t.Error("it is still there")
	}
	for _, command := range []string{"describe", "pause", "resume", "trigger", "delete"} {
		expect(t, exit.BadInput, "", "schedule "+command+" life: no schedule pawl/life is known to Temporal at "+s.address, "schedule", command, "life")
	}
}

func TestScheduleThatIsDueOnce(t *testing.T) {
	sharedServer(t)
	at := time.Now().UTC().Add(3 * time.Second).Format("2006-01-02T15:04:05")
	code, out, errOut := pawl("schedule", "create", "lab", "--name", "once", "--to", "v1.37.2", "--at", at, "-o", "json")
	var made created
	if err := json.Unmarshal([]byte(out), &made); code != exit.Done || err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errOut)
	}
	if made.When != strings.Replace(at, "T", " ", 1) || made.Today == nil || made.Today.Target.String() != "v1.37.2" || len(made.Today.Hops) != 1 || made.Today.Nodes != nil {
		t.Errorf("got %s", out)
	}
	ran := awaitRun(t, "once", schedule.Completed)
	if len(ran.Next) != 0 || ran.Runs[0].Message != "nothing to do: it wants v1.37.2" || ran.Runs[0].Due.UTC().Format("2006-01-02T15:04:05") != at {
		t.Errorf("got %+v", ran)
	}
	expect(t, exit.Done, `never: its time is over; "pawl schedule trigger" still runs it`, "", "schedule", "describe", "once")
	expect(t, exit.Done, "once: runs as", "", "schedule", "trigger", "once")
}

func TestScheduleThatRunsIsNotTriggeredAgain(t *testing.T) {
	s := sharedServer(t)
	expect(t, exit.Done, "slow: made", "", "schedule", "create", "slow", "--policy", "newest-patch", "--cron", "0 22 8-14 * tue")
	expect(t, exit.Done, "slow: runs as", "", "schedule", "trigger", "slow")
	run := awaitRun(t, "slow", schedule.Running).Runs[0]
	expect(t, exit.AlreadyRunning, "", "schedule trigger slow: its run "+run.Workflow+" is under way, so nothing was started", "schedule", "trigger", "slow")
	expect(t, exit.Done, "deleted slow: slow to newest-patch, cron 0 22 8-14 * tue UTC", "", "schedule", "delete", "slow")
	s.signal(t, run.Workflow, nil)
}

// TestScheduleMadeWithoutPawl: Temporal's UI and CLI make schedules with any id.
func TestScheduleMadeWithoutPawl(t *testing.T) {
	s := sharedServer(t)
	for id, workflow := range map[string]string{"by hand": workflows.ScheduledUpgradeName, "other": "Something"} {
		_, err := s.client.ScheduleClient().Create(context.Background(), client.ScheduleOptions{ID: id,
			Spec:   client.ScheduleSpec{CronExpressions: []string{"@monthly"}},
			Action: &client.ScheduleWorkflowAction{ID: id, Workflow: workflow, TaskQueue: workflows.TaskQueue, Args: []any{map[string]string{"cluster": "lab", "policy": "newest-minor"}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	expect(t, exit.Done, "by hand: lab to newest-minor, cron 0 0 1 * * UTC, active", "", "schedule", "describe", "by hand")
	expect(t, exit.BadInput, "", "schedule delete other: the schedule other starts no upgrades of pawl's", "schedule", "delete", "other")
	expect(t, exit.Done, "by hand: runs as by hand-", "", "schedule", "trigger", "by hand")
	awaitListed(t, "by hand")
	_, out, _ := pawl("schedule", "list", "-o", "json")
	var all []schedule.Schedule
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range all {
		if s.ID == "other" {
			t.Error("what is none of pawl's is listed")
		}
	}
}

func describe(t *testing.T, name string) schedule.Schedule {
	t.Helper()
	code, out, errOut := pawl("schedule", "describe", name, "-o", "json")
	var s schedule.Schedule
	if err := json.Unmarshal([]byte(out), &s); code != exit.Done || err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errOut)
	}
	return s
}

// awaitRun waits until the schedule's last run is in a state.
func awaitRun(t *testing.T, name, state string) schedule.Schedule {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		s := describe(t, name)
		if len(s.Runs) > 0 && s.Runs[0].State == state {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("no run is %s: %+v", state, s)
		}
	}
}

// awaitListed waits until a schedule is among those that are listed: Temporal's lists lag behind.
func awaitListed(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, out, _ := pawl("schedule", "list")
		if strings.Contains(out, name+" ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not listed:\n%s", name, out)
		}
	}
}
