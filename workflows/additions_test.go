package workflows

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// hooked is a hook of a plan.
func hooked(name string, when upgrade.HookMoment, parts ...upgrade.Part) upgrade.Hook {
	return upgrade.Hook{Name: name, When: when, Kind: upgrade.CommandHook, Timeout: upgrade.Duration(time.Minute), Parts: parts}
}

// logOf are the entries of the log that begin with one of these, or are one of them.
func (b *bench) logOf(beginnings ...string) []string {
	var some []string
	for _, entry := range b.log {
		if slices.ContainsFunc(beginnings, func(s string) bool { return strings.HasPrefix(entry, s) }) {
			some = append(some, entry)
		}
	}
	return some
}

func TestHooksRunAroundWhatTheyAreFor(t *testing.T) {
	plan := planOf(1, 2, 1)
	plan.Settings.Hooks = []upgrade.Hook{
		hooked("a", upgrade.BeforeUpgrade), hooked("b", upgrade.BeforeHop), hooked("c", upgrade.BeforeNode, upgrade.PartNode, upgrade.PartComponents),
		hooked("d", upgrade.AfterNode, upgrade.PartNode), hooked("e", upgrade.AfterNode, upgrade.PartKubelet, upgrade.PartNode),
		hooked("f", upgrade.AfterHop), hooked("g", upgrade.AfterUpgrade),
	}
	b := newBench(t, plan)
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{
		"plan", "hook a beforeUpgrade", "hook b beforeHop", "checkControlPlane",
		"hook c beforeNode cp1", "installKubeadm cp1",
		"uncordonNode cp1", "hook e afterNode cp1",
		"hook c beforeNode w1", "installKubeadm w1", "uncordonNode w1", "hook d afterNode w1", "hook e afterNode w1",
		"hook c beforeNode w2", "installKubeadm w2", "uncordonNode w2", "hook d afterNode w2", "hook e afterNode w2",
		"verifyCluster", "hook f afterHop", "hook g afterUpgrade",
	}, b.logOf("plan", "hook", "checkControlPlane", "installKubeadm", "uncordonNode", "verifyCluster"))
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(b.keys))), len(b.keys), "no two runs have the same key")
}

func TestHookThatFails(t *testing.T) {
	failure := func(n int) []error {
		var errs []error
		for range n {
			errs = append(errs, temporal.NewNonRetryableApplicationError("run x on w1: it failed (exit-code, status 1): no", string(fault.HookFailed), nil))
		}
		return errs
	}
	for name, c := range map[string]struct {
		mayFail bool
		fails   int
		update  string
		tries   int
		state   upgrade.State
		notice  string
	}{
		"holds until it is retried":   {false, 1, UpdateRetry, 2, upgrade.Done, ""},
		"is passed":                   {false, 2, UpdatePass, 1, upgrade.Done, "Hook x, before w1 (node): gone on without it, as a person said"},
		"ends with the upgrade":       {false, 1, UpdateAbort, 1, upgrade.Aborted, ""},
		"may fail, and is only noted": {true, 1, "", 1, upgrade.Done, "Hook x, before w1 (node): run x on w1: it failed (exit-code, status 1): no"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := planOf(1, 1, 1)
			h := hooked("x", upgrade.BeforeNode, upgrade.PartNode)
			h.MayFail = c.mayFail
			plan.Settings.Hooks = []upgrade.Hook{h}
			b := newBench(t, plan)
			b.fail["hook x beforeNode w1"] = failure(c.fails)
			held := b.statusAt(time.Hour)
			if c.update != "" {
				b.tells(2*time.Hour, "", c.update, because)
			}
			r, err := b.run()
			require.NoError(t, err)
			require.Len(t, b.keys, c.tries)
			require.Equal(t, c.state, r.Status.State)
			if c.tries == 2 {
				require.NotEqual(t, b.keys[0], b.keys[1], "a retry runs it anew")
			}
			if c.notice == "" {
				require.Empty(t, r.Status.Notices)
			} else {
				require.Equal(t, c.notice, r.Status.Notices[0].Text)
			}
			if c.mayFail {
				return
			}
			require.Equal(t, upgrade.Held, held.State)
			require.Equal(t, "Hook x, before w1 (node): run x on w1: it failed (exit-code, status 1): no", held.Message)
			require.Equal(t, []string{UpdateRetry, UpdatePass}, names(held.Waits[0].Choices))
			require.Equal(t, c.state == upgrade.Done, slices.Contains(b.log, "drainNode w1"))
		})
	}
}

// gated is a plan with a health gate.
func gated(controlPlanes, workers, maxUnavailable int) upgrade.Plan {
	plan := planOf(controlPlanes, workers, maxUnavailable)
	plan.Settings.Health = upgrade.Health{Soak: upgrade.Duration(time.Minute), Timeout: upgrade.Duration(30 * time.Minute), Checks: []upgrade.Check{{Name: "api ready", By: "CEL"}}}
	return plan
}

func TestHealthIsAwaitedBetweenNodesAndAfterTheLast(t *testing.T) {
	b := newBench(t, gated(2, 2, 1))
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{
		"verifyControlPlane cp1", "checkHealth", "verifyControlPlane cp2", "checkHealth",
		"uncordonNode cp1", "checkHealth", "uncordonNode cp2", "checkHealth",
		"uncordonNode w1", "checkHealth", "uncordonNode w2", "checkHealth", "verifyCluster",
	}, b.logOf("verifyControlPlane", "uncordonNode", "checkHealth", "verifyCluster"))
}

func TestNodesThatWaitSideBySideWaitForTheSameHealth(t *testing.T) {
	b := newBench(t, gated(1, 6, 3))
	_, err := b.run()
	require.NoError(t, err)
	workers := b.logOf("uncordonNode w", "checkHealth", "installKubeadm w")
	workers = workers[slices.IndexFunc(workers, func(s string) bool { return strings.HasPrefix(s, "installKubeadm w") }):]
	done := slices.IndexFunc(workers, func(s string) bool { return strings.HasPrefix(s, "uncordonNode") })
	require.ElementsMatch(t, []string{"installKubeadm w1", "installKubeadm w2", "installKubeadm w3"}, workers[:done], "the first three begin together")
	gate := slices.Index(workers, "checkHealth")
	next := slices.IndexFunc(workers[done:], func(s string) bool { return strings.HasPrefix(s, "installKubeadm") }) + done
	require.Less(t, gate, next, "the next begin when the gate is open")
	looks := 0
	for _, entry := range workers {
		if entry == "checkHealth" {
			looks++
		}
	}
	require.Less(t, looks, 6, "not each looks by itself")
	require.Equal(t, "checkHealth", workers[len(workers)-1])
}

func TestHealthThatDoesNotCome(t *testing.T) {
	for name, c := range map[string]struct {
		update string
		looks  int
		state  upgrade.State
	}{
		"is looked at again": {UpdateRetry, 2, upgrade.Done},
		"is passed":          {UpdatePass, 1, upgrade.Done},
		"ends the upgrade":   {UpdateAbort, 1, upgrade.Aborted},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, gated(1, 1, 1))
			b.fail["checkHealth"] = failing("wait for the health of lab: within 30m0s: api ready is not true (false)")
			waiting, held := b.statusAt(4*time.Minute), b.statusAt(time.Hour)
			b.tells(2*time.Hour, "", c.update, because)
			r, err := b.run()
			require.NoError(t, err)
			require.Equal(t, upgrade.Waiting, waiting.State)
			require.Equal(t, "Health gate: until true for 1m0s: api ready; after 30m0s a person is asked", waiting.Message)
			require.Equal(t, upgrade.ForHealth, waiting.Waits[0].For)
			require.Equal(t, upgrade.Held, held.State)
			require.Equal(t, "Health gate: wait for the health of lab: within 30m0s: api ready is not true (false)", held.Message)
			require.Len(t, held.Waits, 1)
			require.Equal(t, c.state, r.Status.State)
			first := slices.Index(b.log, "checkHealth FAILED")
			second := slices.Index(b.log, "drainNode cp1")
			if c.state == upgrade.Aborted {
				require.Negative(t, second)
				return
			}
			between := 0
			for _, entry := range b.log[first:second] {
				if strings.HasPrefix(entry, "checkHealth") {
					between++
				}
			}
			require.Equal(t, c.looks, between)
		})
	}
}

func TestAbortDoesNotWaitForHealth(t *testing.T) {
	b := newBench(t, gated(1, 1, 1))
	b.tells(4*time.Minute, "", UpdateAbort, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.NotContains(t, b.log, "drainNode cp1")
	for _, stage := range r.Status.Stages {
		require.Empty(t, stage.Holds)
	}
}

func TestEverybodyIsNotifiedInOrder(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Settings.Notifications = []upgrade.Notification{{Name: "ops", Events: []upgrade.Event{upgrade.EventHold, upgrade.EventApproval, upgrade.EventPaused}}, {Name: "all"}}
	b := newBench(t, plan)
	b.input.Approve = []string{BeforeWorkers}
	b.fail["drainNode cp1"] = failing("drain cp1: blocked by a budget")
	b.tells(time.Hour, "cp1", UpdateRetry, because)
	b.tells(2*time.Hour, "", UpdatePause, Pause{Decision: because})
	b.tells(3*time.Hour, "", UpdateApprove, because)
	b.tells(4*time.Hour, "", UpdateResume, because)
	_, err := b.run()
	require.NoError(t, err)
	var ops, all []string
	for _, text := range b.notified {
		if rest, ok := strings.CutPrefix(text, "ops "); ok {
			ops = append(ops, rest)
		} else {
			all = append(all, strings.TrimPrefix(text, "all "))
		}
	}
	events := []string{"hold: cp1: Drain: drain cp1: blocked by a budget", "approval: before 1 workers are drained: an approval is wanted", "paused: pause: paused by me: because"}
	require.Equal(t, events, ops)
	require.Equal(t, slices.Concat([]string{"start"}, events, []string{"done"}), all)
}

func TestNotificationThatIsNotDeliveredStopsNothing(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Settings.Notifications = []upgrade.Notification{{Name: "ops"}, {Name: "lost"}}
	b := newBench(t, plan)
	refusal := temporal.NewNonRetryableApplicationError("call the webhook lost: it answers 403", string(fault.HookFailed), nil)
	b.fail["notify lost"] = []error{refusal, refusal}
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"ops start", "ops done"}, b.notified)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Len(t, r.Status.Notices, 2)
	require.Equal(t, "lost was not notified of done: call the webhook lost: it answers 403", r.Status.Notices[1].Text)
}

func TestThoseWhoAreOutOfReachAreNotWaitedForForEver(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Settings.Notifications = []upgrade.Notification{{Name: "lost"}}
	b := newBench(t, plan)
	for range 100 {
		b.fail["notify lost"] = append(b.fail["notify lost"], temporal.NewApplicationError("call the webhook lost: it answers 503", string(fault.Unreachable)))
	}
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.NotEmpty(t, r.Status.Notices)
	require.LessOrEqual(t, 100-len(b.fail["notify lost"]), 20, "attempts are bounded")
}

func TestRefusedAndCancelledUpgradesTellSo(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Settings.Notifications = []upgrade.Notification{{Name: "ops"}}
	b := newBench(t, plan)
	b.RegisterDelayedCallback(b.CancelWorkflow, 5*time.Minute)
	_, err := b.run()
	require.NoError(t, err)
	require.Len(t, b.notified, 2)
	require.Equal(t, "ops start", b.notified[0])
	require.True(t, strings.HasPrefix(b.notified[1], "ops aborted: stopped"), b.notified[1])

	plan.Findings = []upgrade.Finding{{Severity: upgrade.SeverityError, Target: "w1", Message: "the node is not Ready"}}
	b = newBench(t, plan)
	_, err = b.run()
	require.Error(t, err)
	require.Equal(t, []string{"ops failed: plan lab v1.36.3 to v1.37.2: refused: w1: the node is not Ready"}, b.notified)
}

func TestNothingIsIssuedWhereNothingWasAdded(t *testing.T) {
	b := newBench(t, planOf(1, 2, 1))
	_, err := b.run()
	require.NoError(t, err)
	b.AssertActivityNotCalled(t, "RunHook")
	b.AssertActivityNotCalled(t, "ForgetHook")
	b.AssertActivityNotCalled(t, "CheckHealth")
	b.AssertActivityNotCalled(t, "Notify")
}

func TestStepsAreNotToldOfHooks(t *testing.T) {
	plan := gated(1, 1, 1)
	plan.Settings.Hooks = []upgrade.Hook{hooked("x", upgrade.AfterUpgrade)}
	u := &clusterUpgrade{plan: plan, status: upgrade.Status{Hop: 1}}
	for _, s := range []upgrade.Settings{u.nodeInput(plan.Hops[0].Workers[0]).Settings, u.nodeUpgradeInput(nil, plan.Hops[0].Workers[0]).Settings, u.clusterInput().Settings} {
		require.Empty(t, s.Hooks)
		require.Empty(t, s.Health)
	}
}
