package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// failedWith is the error of an activity whose last attempt told something of itself.
func failedWith(text string, told activities.Outcome) error {
	return temporal.NewApplicationErrorWithOptions(text, string(fault.DrainBlocked),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{told}})
}

func retryAfter(b *bench, wait time.Duration, workflow string, d Decision) {
	b.RegisterDelayedCallback(func() {
		require.NoError(b.t, b.UpdateWorkflowByID(workflow, UpdateRetry, fmt.Sprint("retry ", d), &answer{t: b.t}, d))
	}, wait)
}

func TestHoldRecordsWhyHowLongAndWhoLetItGoOn(t *testing.T) {
	b := newBench(t, planOf(1, 2, 1))
	waits := []upgrade.DrainWait{{Budget: "payments/api", Reason: "blocked", Waited: upgrade.Duration(time.Minute)}}
	b.fail["drainNode w1"] = []error{failedWith("drain w1: blocked by a budget", activities.Outcome{Attempt: 2, Waits: waits})}
	b.tell["drainNode w1"] = activities.Outcome{Attempt: 1, Worked: upgrade.Duration(time.Second), Waits: waits}
	b.fail["verifyControlPlane cp1"] = []error{failedWith("verify cp1: not ready", activities.Outcome{Attempt: 1,
		APIServer: &upgrade.Downtime{Down: upgrade.Duration(time.Second)}})}
	b.tell["verifyControlPlane cp1"] = activities.Outcome{Attempt: 1, APIServer: &upgrade.Downtime{Down: upgrade.Duration(2 * time.Second)}}
	b.fail["checkControlPlane"] = []error{failedWith("check: unhealthy", activities.Outcome{Attempt: 1})}
	b.tell["backUp cp1 snapshot=true"] = activities.Outcome{Attempt: 1, Note: "/var/lib/pawl/backups/lab"}
	retryAfter(b, time.Hour, "default-test-workflow-id", Decision{Reason: "repaired", By: "ann@desk"})
	retryAfter(b, 2*time.Hour, NodeUpgradeID("lab", "cp1"), Decision{})
	retryAfter(b, 3*time.Hour, NodeUpgradeID("lab", "w1"), Decision{Reason: "relaxed", By: "me"})
	r, err := b.run()
	require.NoError(t, err)

	var did []string
	for _, a := range r.Status.Actions {
		did = append(did, fmt.Sprintf("%s %s %q by %q", a.What, a.Node, a.Reason, a.By))
	}
	require.Equal(t, []string{`retry  "repaired" by "ann@desk"`, `retry cp1 "" by ""`, `retry w1 "relaxed" by "me"`}, did)

	check := r.Status.Stages[1]
	require.Equal(t, 1, check.Hop)
	require.Len(t, check.Holds, 1)
	require.Equal(t, "check: unhealthy", check.Holds[0].Reason)
	require.Equal(t, "/var/lib/pawl/backups/lab", r.Status.Stages[2].Note)

	drain := stepOf(t, r.Status, "w1", upgrade.DrainNode)
	require.Equal(t, 3, drain.Attempts, "those before the hold count")
	require.Len(t, drain.Holds, 1)
	hold := drain.Holds[0]
	require.Equal(t, "drain w1: blocked by a budget", hold.Reason)
	require.InDelta(t, time.Hour, hold.To.Sub(hold.From), float64(15*time.Minute))
	require.True(t, hold.To.Equal(hold.Release.At))
	require.Equal(t, "me", hold.Release.By)
	require.Equal(t, upgrade.Duration(2*time.Minute), drain.Waits[0].Waited)

	verify := stepOf(t, r.Status, "cp1", upgrade.VerifyControlPlane)
	require.Equal(t, upgrade.Duration(3*time.Second), verify.APIServer.Down)
	require.True(t, verify.APIServer.AtLeast, "nobody looked while it was held")
	require.Nil(t, stepOf(t, r.Status, "cp1", upgrade.UpgradeControlPlane).APIServer, "not measured")
}

func TestHoldIsSeenWhileItLasts(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.fail["drainNode w1"] = []error{failedWith("drain w1: blocked", activities.Outcome{Attempt: 1})}
	var held upgrade.NodeStatus
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflowByID(NodeUpgradeID("lab", "w1"), QueryStatus)
		require.NoError(t, err)
		require.NoError(t, v.Get(&held))
	}, time.Hour)
	retryAfter(b, 2*time.Hour, NodeUpgradeID("lab", "w1"), Decision{By: "me"})
	_, err := b.run()
	require.NoError(t, err)
	hold := stepOf(t, upgrade.Status{Nodes: []upgrade.NodeStatus{held}}, "w1", upgrade.DrainNode).Holds[0]
	require.True(t, hold.To.IsZero())
	require.Nil(t, hold.Release)
}

func stepOf(t *testing.T, s upgrade.Status, node string, step upgrade.Step) upgrade.StepStatus {
	t.Helper()
	for _, n := range s.Nodes {
		for _, have := range n.Steps {
			if n.Node == node && have.Step == step {
				return have
			}
		}
	}
	t.Fatalf("no step %s of %s", step, node)
	return upgrade.StepStatus{}
}
