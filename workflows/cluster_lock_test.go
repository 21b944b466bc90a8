package workflows

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// owner is who takes locks in the test environment, which knows no run before a reset.
const owner = "default-test-namespace/default-test-workflow-id/"

// mockLock notes only what fails: the lock is part of every upgrade, and of its own tests.
func (b *bench) mockLock() {
	note := func(entry string) error {
		b.locks = append(b.locks, entry)
		if len(b.fail[entry]) > 0 {
			return b.note(entry)
		}
		return nil
	}
	b.OnActivity(act.AcquireLock, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.LockInput) (activities.Outcome, error) {
		return activities.Outcome{}, note("acquire " + in.Cluster + " for " + in.Owner)
	})
	b.OnActivity(act.KeepLock, mock.Anything, mock.Anything).AfterFn(func() time.Duration { return b.kept }).Return(func(_ context.Context, in activities.LockInput) error {
		return note("keep " + in.Cluster + " for " + in.Owner)
	})
	b.OnActivity(act.ReleaseLock, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.LockInput) (activities.Outcome, error) {
		return activities.Outcome{}, note("release " + in.Cluster + " for " + in.Owner)
	})
}

func TestLockIsTakenAfterThePlanAndReleasedAtTheEnd(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"acquire lab for " + owner, "keep lab for " + owner, "release lab for " + owner}, b.locks)
}

func TestLockIsNotTakenWhereNothingIsTouched(t *testing.T) {
	refused, nothing := planOf(1, 1, 1), planOf(1, 1, 1)
	refused.Findings = []upgrade.Finding{{Severity: upgrade.SeverityError, Message: "no"}}
	nothing.Hops = nil
	for _, plan := range []upgrade.Plan{refused, nothing} {
		b := newBench(t, plan)
		_, _ = b.run()
		require.Empty(t, b.locks)
	}
}

func TestLockOfAnotherHoldsBeforeAnythingIsTouched(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.fail["acquire lab for "+owner] = []error{failedWith("lock lab: held by ann", activities.Outcome{Attempt: 1})}
	var held upgrade.Status
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, v.Get(&held))
		require.Len(t, b.log, 2, "planned, and refused the lock")
	}, time.Hour-time.Second)
	retryAfter(b, time.Hour, "default-test-workflow-id", Decision{Reason: "ann is done"})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, "Take the cluster's lock: lock lab: held by ann", held.Message)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, "lock lab: held by ann", r.Status.Stages[0].Holds[0].Reason)
}

// TestLostLockHoldsBeforeTheNextNode: the node in flight finishes; no other begins before a person has said so and the
// lock is taken again.
func TestLostLockHoldsBeforeTheNextNode(t *testing.T) {
	b := newBench(t, planOf(1, 4, 2))
	b.kept = 90 * time.Second
	b.fail["keep lab for "+owner] = []error{temporal.NewNonRetryableApplicationError("keep the lock of lab: it was lost: held by ann", string(fault.PreflightFailed), nil)}
	var held upgrade.Status
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, v.Get(&held))
	}, time.Hour-time.Second)
	retryAfter(b, time.Hour, "default-test-workflow-id", Decision{Reason: "ann is done"})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, "Keep the cluster's lock: keep the lock of lab: it was lost: held by ann", held.Message)
	require.Equal(t, upgrade.Pending, held.Nodes[1].State, "no worker has begun")
	require.Equal(t, []string{"acquire", "keep", "acquire", "keep", "release"}, verbs(b.locks))
	require.Equal(t, upgrade.Done, r.Status.State)
}

// TestLostLockIsTakenAgainOnce, however many workers wait for it.
func TestLostLockIsTakenAgainOnce(t *testing.T) {
	b := newBench(t, planOf(1, 6, 3))
	b.kept = 12 * time.Minute // then three workers are in flight
	b.fail["keep lab for "+owner] = []error{temporal.NewNonRetryableApplicationError("lost", string(fault.PreflightFailed), nil)}
	for i := 1; i <= 3; i++ { // what retry answers where nothing is held does not matter
		b.RegisterDelayedCallback(func() {
			b.UpdateWorkflow(UpdateRetry, fmt.Sprint("retry", i), &answer{t: t, wantRejected: true}, Decision{})
		}, time.Duration(i)*time.Hour)
	}
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, []string{"acquire", "keep", "acquire", "release"}, verbs(b.locks))
}

func TestLockIsReleasedWhenTheUpgradeIsCancelled(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.fail["drainNode w1"] = []error{failedWith("blocked", activities.Outcome{Attempt: 1})}
	b.RegisterDelayedCallback(b.CancelWorkflow, time.Hour)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Equal(t, "release", verbs(b.locks)[len(b.locks)-1])
}

// TestLockIsKeptWhileAnAbortWaits: the node that is under way finishes, and the lock is renewed until it has.
func TestLockIsKeptWhileAnAbortWaits(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.kept = time.Hour
	var done []string // by then
	b.SetOnActivityCanceledListener(func(info *activity.Info) {
		if info.ActivityType.Name == "KeepLock" {
			done = slices.Clone(b.log)
		}
	})
	b.RegisterDelayedCallback(b.CancelWorkflow, time.Minute)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Contains(t, done, "verifyControlPlane cp1", "the last step of the node that was under way")
	require.Equal(t, "release", verbs(b.locks)[len(b.locks)-1])
}

func TestLockThatCannotBeReleasedDoesNotHoldTheEnd(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.fail["release lab for "+owner] = slices.Repeat([]error{temporal.NewApplicationError("the API server does not answer", string(fault.Unreachable))}, 100)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
}

// verbs are the first words.
func verbs(entries []string) []string {
	var all []string
	for _, e := range entries {
		var verb string
		_, _ = fmt.Sscan(e, &verb)
		all = append(all, verb)
	}
	return all
}
