package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// KeepLockID is the id of the activity that renews the cluster's lock for as long as the upgrade lasts.
const KeepLockID = "keep-lock"

// clusterLock is the cluster's lock, as the upgrade knows it.
type clusterLock struct {
	wanted bool  // it may be ours, so it is released at the end
	lost   error // why it is ours no more
	stop   workflow.CancelFunc
	turn   workflow.Mutex // of those who take it again
}

// takeLock takes the cluster's lock before anything is touched. One that somebody else holds holds the upgrade.
func (u *clusterUpgrade) takeLock(ctx workflow.Context) error {
	if len(u.plan.Hops) == 0 || workflow.GetVersion(ctx, "lock", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return nil
	}
	u.lock.wanted, u.lock.turn = true, workflow.NewMutex(ctx)
	return u.acquireLock(ctx)
}

func (u *clusterUpgrade) acquireLock(ctx workflow.Context) error {
	if _, err := u.step(ctx, "acquire-lock", "Take the cluster's lock", act.AcquireLock, u.lockInput(ctx)); err != nil {
		return err
	}
	u.lock.lost = nil
	ctx, u.lock.stop = workflow.NewDisconnectedContext(ctx) // whoever aborts waits for nodes that are under way, and so does the lock
	kept := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, keepLockOptions()), act.KeepLock, u.lockInput(ctx))
	workflow.Go(ctx, func(ctx workflow.Context) {
		if err := kept.Get(ctx, nil); err != nil && !temporal.IsCanceledError(err) {
			u.lock.lost = err
		}
	})
	return nil
}

// checkLock holds, before another node is touched, when the lock was lost: somebody else may be at work on the cluster. A
// retry takes it again.
func (u *clusterUpgrade) checkLock(ctx workflow.Context) error {
	if u.lock.lost == nil {
		return nil
	}
	if err := u.lock.turn.Lock(ctx); err != nil {
		return err
	}
	defer u.lock.turn.Unlock()
	err := u.holds.attempt(ctx, "Keep the cluster's lock", []upgrade.Choice{choiceRetry}, u.keptByStage, func(said *decided) error {
		if said != nil {
			return nil
		}
		return u.lock.lost // nil where somebody else's turn has taken it again
	})
	if err != nil || u.lock.lost == nil {
		return err
	}
	return u.acquireLock(ctx)
}

// releaseLock gives the lock up, however the upgrade ended. If that fails, the lock ends by itself.
func (u *clusterUpgrade) releaseLock(ctx workflow.Context) {
	if !u.lock.wanted {
		return
	}
	if u.lock.stop != nil {
		u.lock.stop()
	}
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	ctx = workflow.WithActivityOptions(ctx, releaseLockOptions())
	if err := workflow.ExecuteActivity(ctx, act.ReleaseLock, u.lockInput(ctx)).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Warn("the cluster's lock could not be released; it ends by itself", "error", err)
	}
}

// lockInput names the owner in a way that people can look up, and that a reset of the workflow does not change.
func (u *clusterUpgrade) lockInput(ctx workflow.Context) activities.LockInput {
	info := workflow.GetInfo(ctx)
	return activities.LockInput{Cluster: u.plan.Cluster, Owner: fmt.Sprintf("%s/%s/%s", info.Namespace, u.id, info.OriginalRunID)}
}

// keepLockOptions let the lock be renewed for as long as an upgrade may last, by one worker after another.
func keepLockOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		ActivityID:          KeepLockID,
		Summary:             "Renew the cluster's lock",
		StartToCloseTimeout: 365 * 24 * time.Hour,
		HeartbeatTimeout:    heartbeat,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1},
	}
}

// releaseLockOptions give up soon: nobody waits for it but the end of the upgrade.
func releaseLockOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		ActivityID:             "release-lock",
		Summary:                "Release the cluster's lock",
		StartToCloseTimeout:    time.Minute,
		ScheduleToCloseTimeout: time.Minute,
		HeartbeatTimeout:       heartbeat,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 5 * time.Second},
	}
}
