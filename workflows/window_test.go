package workflows

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// wednesday is when upgrades begin here. Every step takes a minute: a worker 7, a control plane node 3 and 5.
var wednesday = time.Date(2026, 11, 25, 11, 0, 0, 0, time.UTC)

// windowBench is a bench whose cluster has maintenance windows.
type windowBench struct {
	*bench
	now   upgrade.Windows // as the definition has them now
	asked []string        // for which windows were looked for
	began []string        // nodes, and when their first step began, in the windows' zone
}

func newWindowBench(t *testing.T, controlPlanes, workers, maxUnavailable int, w upgrade.Windows) *windowBench {
	plan := planOf(controlPlanes, workers, maxUnavailable)
	plan.Settings.Windows = w
	for _, step := range append(upgrade.KubeadmSteps(upgrade.Worker, false), upgrade.KubeadmSteps(upgrade.FirstControlPlane, false)...) {
		for _, controlPlane := range []bool{false, true} {
			plan.Measured = append(plan.Measured, upgrade.MeasuredStep{Step: step, ControlPlane: controlPlane, Mean: upgrade.Duration(time.Minute), Count: 1})
		}
	}
	b := &windowBench{bench: newBench(t, plan), now: w}
	b.left = func() upgrade.Plan { return plan }
	b.SetStartTime(wednesday)
	b.OnActivity(act.NextWindow, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.WindowInput) (upgrade.Turn, error) {
		b.asked = append(b.asked, in.What)
		a := &activities.Activities{Directory: definition{windows: b.now}}
		turn, err := a.NextWindow(context.Background(), in)
		if err != nil { // as the interceptor translates it
			err = temporal.NewNonRetryableApplicationError(err.Error(), string(fault.KindOf(err)), nil)
		}
		return turn, err
	})
	zone, err := time.LoadLocation(w.TimeZone)
	require.NoError(t, err)
	b.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
		var in struct {
			Node string `json:"node"`
		}
		if args.Get(&in) == nil && (info.ActivityType.Name == "InstallKubeadm" || strings.HasPrefix(in.Node, "cp") && info.ActivityType.Name == "DrainNode") {
			b.began = append(b.began, fmt.Sprintf("%s %s", in.Node, b.Now().In(zone).Format("Mon 15:04")))
		}
	})
	return b
}

// definition is a cluster's definition, of which only the windows matter.
type definition struct {
	activities.Directory
	windows upgrade.Windows
}

func (d definition) Settings(string) (upgrade.Settings, error) {
	return upgrade.Settings{Windows: d.windows}, nil
}

func daily(start string, d time.Duration, days ...string) upgrade.Windows {
	return upgrade.Windows{TimeZone: "Europe/Zurich", Open: []upgrade.Window{{Days: days, Start: start, Duration: upgrade.Duration(d)}}}
}

// status asks at a time after the start.
func (b *windowBench) status(after time.Duration, look func(upgrade.Status)) {
	b.RegisterDelayedCallback(func() {
		var s upgrade.Status
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(b.t, err)
		require.NoError(b.t, v.Get(&s))
		look(s)
	}, after)
}

// say sends an update, and requires that it is accepted, or refused with these words.
func (b *windowBench) say(after time.Duration, update string, what any, refused string) {
	b.RegisterDelayedCallback(func() {
		a := &answer{t: b.t, wantRejected: refused != ""}
		b.UpdateWorkflow(update, fmt.Sprint(update, after), a, what)
		b.RegisterDelayedCallback(func() {
			if refused != "" {
				require.ErrorContains(b.t, a.rejected, refused)
			}
		}, time.Millisecond)
	}, after)
}

func TestNothingDisruptiveBeginsOutsideItsWindow(t *testing.T) {
	b := newWindowBench(t, 3, 2, 1, daily("22:00", 6*time.Hour, "sat"))
	b.status(time.Hour, func(s upgrade.Status) {
		require.Equal(t, []string{"plan"}, b.log, "the control plane is checked and backed up when the window has opened")
		require.Equal(t, upgrade.Waiting, s.State)
		require.Equal(t, "lab: the next maintenance window opens Sat 28 Nov 22:00 Europe/Zurich", s.Message)
		require.Len(t, s.Waits, 1)
		w := s.Waits[0]
		require.Equal(t, upgrade.ForWindow, w.For)
		require.True(t, w.Until.Equal(time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC)))
		require.True(t, w.Since.Equal(wednesday))
		require.Equal(t, []string{"openWindow", "abort"}, names(w.Choices))
	})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Sat 22:00", "cp2 Sat 22:03", "cp3 Sat 22:06", "cp1 Sat 22:09", "cp2 Sat 22:14", "cp3 Sat 22:19", "w1 Sat 22:24", "w2 Sat 22:31"}, b.began)
	require.Equal(t, []string{"plan", "plan", "checkControlPlane"}, b.log[:3], "after days the plan is held against the cluster again")
	require.Empty(t, r.Status.Waits)
	require.Len(t, r.Status.WindowWaits, 1)
	w := r.Status.WindowWaits[0]
	require.Equal(t, "lab", w.For)
	require.Equal(t, 82*time.Hour, w.To.Sub(w.From))
	require.Nil(t, w.Opened)
	require.Greater(t, len(b.asked), 80/4, "the definition is read again from time to time")
}

func TestNodeThatWouldNotBeDoneWaitsForTheNextWindow(t *testing.T) {
	b := newWindowBench(t, 1, 4, 1, daily("22:00", 30*time.Minute))
	b.status(34*time.Hour-time.Minute, func(s upgrade.Status) {
		require.Equal(t, upgrade.Waiting, s.State)
		require.Equal(t, upgrade.Pending, s.Nodes[4].State)
	})
	b.status(10*time.Hour+30*time.Minute, func(s upgrade.Status) {
		require.Equal(t, "w4: it is expected to take 7m, too long for the maintenance window that closes Wed 25 Nov 22:30; the next one opens Thu 26 Nov 22:00 Europe/Zurich", s.Message)
	})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 22:00", "cp1 Wed 22:03", "w1 Wed 22:08", "w2 Wed 22:15", "w3 Wed 22:22", "w4 Thu 22:00"}, b.began)
	checks := 0
	for _, entry := range b.log {
		if entry == "checkControlPlane" {
			checks++
		}
	}
	require.Equal(t, 2, checks, "before the hop, and after the night")
	require.Equal(t, "checkControlPlane", b.log[slices.Index(b.log, "installKubeadm w4")-1])
	require.Len(t, r.Status.WindowWaits, 2)
	require.Equal(t, "w4", r.Status.WindowWaits[1].For)
}

func TestWhatIsInFlightFinishes(t *testing.T) {
	b := newWindowBench(t, 1, 2, 1, daily("22:00", 12*time.Minute))
	for i := range b.plan.Measured { // of earlier upgrades, which were faster
		b.plan.Measured[i].Mean = upgrade.Duration(30 * time.Second)
	}
	b.status(10*time.Hour+13*time.Minute, func(s upgrade.Status) {
		require.Equal(t, upgrade.Running, s.State, "w1 is under way after the window has closed")
		require.Empty(t, s.Waits)
	})
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 22:00", "cp1 Wed 22:03", "w1 Wed 22:08", "w2 Thu 22:00"}, b.began)
	require.Equal(t, "uncordonNode w1", b.log[slices.Index(b.log, "installKubeadm w2")-2])
}

func TestItWaitsWhileAnotherNodeIsUnderWay(t *testing.T) {
	b := newWindowBench(t, 1, 4, 2, daily("22:00", 20*time.Minute))
	w1 := &b.plan.Hops[0].Workers[0]
	w1.Steps = w1.Steps[:len(w1.Steps)-1] // it is done a minute before w2
	b.status(10*time.Hour+14*time.Minute+30*time.Second, func(s upgrade.Status) {
		require.Equal(t, upgrade.Running, s.State)
		require.Len(t, s.Waits, 1)
		require.Equal(t, "w3", s.Waits[0].At)
	})
	b.status(10*time.Hour+16*time.Minute, func(s upgrade.Status) {
		require.Equal(t, upgrade.Waiting, s.State)
		require.Len(t, s.Waits, 1, "w4 waits behind w3")
	})
	_, err := b.run()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"cp1 Wed 22:00", "cp1 Wed 22:03", "w1 Wed 22:08", "w2 Wed 22:08", "w3 Thu 22:00", "w4 Thu 22:00"}, b.began)
}

func TestSideBySideEachAsksInItsOrder(t *testing.T) {
	b := newWindowBench(t, 1, 6, 3, daily("22:00", 16*time.Minute))
	_, err := b.run()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"cp1 Wed 22:00", "cp1 Wed 22:03", "w1 Wed 22:08", "w2 Wed 22:08", "w3 Wed 22:08", "w4 Thu 22:00", "w5 Thu 22:00", "w6 Thu 22:00"}, b.began)
}

func TestWindowsOfAnOvernightDay(t *testing.T) {
	w := daily("23:30", 6*time.Hour, "wed", "thu")
	w.Except = []string{"2026-11-26"}
	b := newWindowBench(t, 1, 1, 1, w)
	b.SetStartTime(time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC)) // Thursday 05:00, in the night of Wednesday
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Thu 05:00", "cp1 Thu 05:03", "w1 Thu 05:08"}, b.began)

	b = newWindowBench(t, 1, 1, 1, w)
	b.SetStartTime(time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)) // Friday 01:00, in what would be the night of Thursday
	_, err = b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 23:30", "cp1 Wed 23:33", "w1 Wed 23:38"}, b.began)
}

func TestPersonOpensAWindow(t *testing.T) {
	b := newWindowBench(t, 1, 3, 1, daily("22:00", 6*time.Hour, "sat"))
	b.say(time.Hour, UpdateOpenWindow, OpenWindow{Decision: Decision{}}, "why? Give a reason")
	b.say(time.Hour+time.Second, UpdateOpenWindow, OpenWindow{Decision: Decision{Reason: "agreed"}, For: upgrade.Duration(time.Minute)},
		"1m0s are too short: what is to begin is expected to take 3m0s")
	b.say(2*time.Hour, UpdateOpenWindow, OpenWindow{Decision: Decision{Reason: "agreed", By: "ann"}, For: upgrade.Duration(20 * time.Minute)}, "")
	b.say(2*time.Hour+5*time.Minute, UpdateOpenWindow, OpenWindow{Decision: Decision{Reason: "agreed"}}, "it does not wait for a maintenance window")
	b.say(3*time.Hour, UpdateOpenWindow, OpenWindow{Decision: Decision{Reason: "go on", By: "ann"}}, "")
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 14:00", "cp1 Wed 14:03", "w1 Wed 14:08", "w2 Wed 15:00", "w3 Wed 15:07"}, b.began,
		"the first is over after 20 minutes, the second is as long as the one on Saturday")
	require.Len(t, r.Status.Actions, 2)
	require.Equal(t, "openWindow", r.Status.Actions[0].What)
	require.Len(t, r.Status.WindowWaits, 2)
	require.Equal(t, "agreed", r.Status.WindowWaits[0].Opened.Reason)
}

func TestEditTakesEffectWhileItSleeps(t *testing.T) {
	for name, now := range map[string]upgrade.Windows{"another window": daily("18:00", 6*time.Hour), "no windows any more": {}} {
		b := newWindowBench(t, 1, 1, 1, daily("22:00", 6*time.Hour, "sat"))
		b.RegisterDelayedCallback(func() { b.now = now }, time.Hour)
		_, err := b.run()
		require.NoError(t, err, name)
		want := "cp1 Wed 18:00"
		if len(now.Open) == 0 {
			want = "cp1 Wed 16:00" // it looks every four hours
		}
		require.Equal(t, want, b.began[0], name)
	}
}

func TestEditTakesEffectInAnOpenWindow(t *testing.T) {
	b := newWindowBench(t, 1, 4, 1, daily("11:30", 6*time.Hour))
	b.RegisterDelayedCallback(func() { b.now = daily("22:00", 6*time.Hour) }, 10*time.Minute)
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 12:00", "cp1 Wed 12:03", "w1 Wed 12:08", "w2 Wed 22:00", "w3 Wed 22:07", "w4 Wed 22:14"}, b.began)
}

func TestNoWindowIsLongEnough(t *testing.T) {
	b := newWindowBench(t, 1, 2, 1, daily("22:00", 6*time.Minute))
	b.status(36*time.Hour, func(s upgrade.Status) {
		require.Equal(t, upgrade.Held, s.State)
		require.Equal(t, "Wait for a maintenance window: find a maintenance window for w1: it is expected to take 7m, the longest maintenance window has 6m; "+
			"make a window longer in the cluster's definition, then retry", s.Waits[0].String())
		require.Contains(t, b.log, "uncordonNode cp1")
		b.now = daily("22:00", 10*time.Minute)
	})
	b.say(37*time.Hour, UpdateRetry, Decision{By: "ann"}, "")
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 22:00", "cp1 Thu 22:00", "w1 Fri 22:00", "w2 Sat 22:00"}, b.began)
	require.Len(t, r.Status.Actions, 1)
}

func TestNoWindowIsLongEnoughAndThatIsWaived(t *testing.T) {
	b := newWindowBench(t, 3, 2, 1, daily("22:00", 6*time.Minute))
	b.input.Waive = []string{upgrade.WindowTooShort}
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 22:00", "cp2 Wed 22:03", "cp3 Thu 22:00", "cp1 Fri 22:00", "cp2 Sat 22:00", "cp3 Sun 22:00", "w1 Mon 22:00", "w2 Tue 22:00"}, b.began,
		"what fits into none begins when one has just opened")
}

func TestAbortAndPauseWhileItWaitsForAWindow(t *testing.T) {
	b := newWindowBench(t, 1, 1, 1, daily("22:00", 6*time.Hour, "sat"))
	b.say(time.Hour, UpdateAbort, Decision{Reason: "not this week"}, "")
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Empty(t, b.began)
	require.Empty(t, r.Status.Stages[1].Holds)
	require.InDelta(t, time.Hour, r.Status.Ended.Sub(wednesday), float64(time.Second))

	b = newWindowBench(t, 1, 1, 1, daily("22:00", 6*time.Hour))
	b.say(time.Hour, UpdatePause, Pause{}, "")
	b.say(20*time.Hour, UpdateResume, Decision{}, "") // Thursday 08:00, when the window of Wednesday has closed
	_, err = b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Thu 22:00", "cp1 Thu 22:03", "w1 Thu 22:08"}, b.began)

	b = newWindowBench(t, 1, 1, 1, daily("22:00", 6*time.Hour))
	b.say(time.Hour, UpdatePause, Pause{}, "")
	b.say(2*time.Hour, UpdateOpenWindow, OpenWindow{Decision: Decision{Reason: "now"}, For: upgrade.Duration(time.Hour)}, "")
	b.say(4*time.Hour, UpdateResume, Decision{}, "") // when the extra window has closed
	_, err = b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cp1 Wed 22:00", "cp1 Wed 22:03", "w1 Wed 22:08"}, b.began)
}

func TestClusterThatChangedBeforeItsWindowHolds(t *testing.T) {
	b := newWindowBench(t, 1, 2, 1, daily("22:00", 6*time.Hour))
	done := false
	b.left = func() upgrade.Plan {
		p := b.plan
		if done {
			p.Hops, p.Nodes = nil, nil
		}
		return p
	}
	b.RegisterDelayedCallback(func() { done = true }, time.Hour) // somebody else upgrades it
	b.status(12*time.Hour, func(s upgrade.Status) {
		require.Equal(t, upgrade.Held, s.State)
		require.Contains(t, s.Message, "Check that the plan still fits: check the plan of lab: the cluster has changed since: ")
	})
	b.say(13*time.Hour, UpdateRetry, Decision{}, "")
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Empty(t, b.began)
	require.Equal(t, 0, r.Status.Hop)
}

func TestApprovalOfAHopComesBeforeItsWindow(t *testing.T) {
	b := newWindowBench(t, 1, 1, 1, daily("22:00", 6*time.Hour))
	b.input.Approve = []string{BeforeHop}
	b.say(20*time.Hour, UpdateApprove, Decision{}, "")
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, "cp1 Thu 22:00", b.began[0])
}

func TestWithoutWindowsNoneIsLookedFor(t *testing.T) {
	b := newWindowBench(t, 1, 1, 1, daily("22:00", time.Hour))
	b.plan.Settings.Windows = upgrade.Windows{}
	r, err := b.run()
	require.NoError(t, err)
	require.Empty(t, b.asked)
	require.Equal(t, "cp1 Wed 12:00", b.began[0])
	require.Len(t, r.Status.Stages, 7)
}
