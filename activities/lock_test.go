package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// heldBy is a lock of somebody else's, renewed at that second.
func heldBy(holder string, second int) upgrade.Lock {
	at := time.Date(2026, 1, 2, 12, 0, second, 0, time.UTC)
	return upgrade.Lock{Holder: holder, Renewed: at, Expires: at.Add(upgrade.LockDuration)}
}

func TestAcquireLock(t *testing.T) {
	noEnd := upgrade.Lock{Holder: "ann"}
	const remedy = "; wait until its holder is done, then retry; if that is gone for good, delete the Lease pawl in kube-system"
	for name, c := range map[string]struct {
		found []upgrade.Lock // then it is ours
		want  string         // "" is no error
		looks int
	}{
		"free":               {nil, "", 1},
		"its owner is gone":  {[]upgrade.Lock{heldBy("other", 1), heldBy("other", 1)}, "", 3},
		"its owner lives":    {[]upgrade.Lock{heldBy("other", 1), heldBy("other", 1), heldBy("other", 30)}, "lock lab: held by other, until 2026-01-02T12:03:30Z unless it is renewed" + remedy, 3},
		"another was faster": {[]upgrade.Lock{heldBy("other", 1), heldBy("third", 1)}, "lock lab: held by third, until 2026-01-02T12:03:01Z unless it is renewed" + remedy, 2},
		"it has no end":      {[]upgrade.Lock{noEnd}, "lock lab: held by ann, with no end" + remedy, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{locks: c.found}
			env, a := environment(t, w)
			_, err := env.ExecuteActivity(a.AcquireLock, LockInput{Cluster: "lab", Owner: "me"})
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.Equal(t, c.want, requireFault(t, err, fault.PreflightFailed).Message())
			}
			require.Len(t, w.calls, c.looks)
		})
	}
}

// TestKeepLockGoesOnUntilItIsLost: an API server that is away for a while does not end it.
func TestKeepLockGoesOnUntilItIsLost(t *testing.T) {
	w := &world{locks: []upgrade.Lock{{}}, errs: map[string][]error{"RenewLock": {fault.New(fault.Unreachable, "renew", "lab", "refused", "")}}}
	env, a := environment(t, w)
	began := time.Now()
	_, err := env.ExecuteActivity(a.KeepLock, LockInput{Cluster: "lab", Owner: "me"})
	require.Equal(t, "keep the lock of lab: it was lost: nobody holds it; make sure that nobody else is at work on the cluster, then retry",
		requireFault(t, err, fault.PreflightFailed).Message())
	require.GreaterOrEqual(t, time.Since(began), renewAgain)
	require.Equal(t, []string{"RenewLock", "RenewLock"}, w.calls)
}

func TestKeepLockLeavesTheLockToAnotherWorker(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	stop := make(chan struct{})
	env.SetWorkerStopChannel(stop)
	time.AfterFunc(100*time.Millisecond, func() { close(stop) })
	_, err := env.ExecuteActivity(a.KeepLock, LockInput{Cluster: "lab", Owner: "me"})
	require.False(t, requireFault(t, err, fault.Unreachable).NonRetryable())
	require.Equal(t, []string{"RenewLock"}, w.calls, "and does not give it up")
}

func TestLockIsRenewedSeveralTimesBeforeItEnds(t *testing.T) {
	require.GreaterOrEqual(t, upgrade.LockDuration, 5*(renewEvery+renewAgain))
}
