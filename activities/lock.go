package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// LockInput names a cluster's lock and who is to hold it.
type LockInput struct {
	Cluster string `json:"cluster"`
	Owner   string `json:"owner"` // namespace/workflow/run
}

const (
	// renewEvery is how often the lock is renewed: several times before it would end.
	renewEvery = upgrade.LockDuration / 6
	// renewAgain is the pause after a renewal that failed. API servers come and go in an upgrade.
	renewAgain = 5 * time.Second
)

// AcquireLock takes the cluster's lock. Of a lock that another holds it waits for the end, as it is at the first look: an
// owner that is gone for good does not renew it. One that does is alive, and a person is asked.
func (a *Activities) AcquireLock(ctx context.Context, in LockInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	lock, err := api.AcquireLock(ctx, in.Owner)
	for first := lock; err == nil && lock.Holder != in.Owner; lock, err = api.AcquireLock(ctx, in.Owner) {
		if lock.Expires.IsZero() || lock.Holder != first.Holder || !lock.Renewed.Equal(first.Renewed) {
			return Outcome{}, fault.New(fault.PreflightFailed, "lock", in.Cluster, lock.String(),
				"wait until its holder is done, then retry; if that is gone for good, delete the Lease pawl in kube-system")
		}
		report(ctx, "waiting for the cluster's lock: "+lock.String())
		select {
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		case <-time.After(lookAgain):
		}
	}
	return Outcome{}, err
}

// KeepLock renews the lock until it is cancelled. It fails when the lock is its owner's no more; nothing else ends it.
func (a *Activities) KeepLock(ctx context.Context, in LockInput) error {
	for {
		pause := renewEvery
		lock, err := a.renewLock(ctx, in)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			pause = renewAgain
			report(ctx, err.Error())
		case lock.Holder != in.Owner:
			return fault.New(fault.PreflightFailed, "keep the lock of", in.Cluster, "it was lost: "+lock.String(),
				"make sure that nobody else is at work on the cluster, then retry")
		default:
			report(ctx, "")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-activity.GetWorkerStopChannel(ctx):
			return fault.New(fault.Unreachable, "keep the lock of", in.Cluster, "the worker stops", "") // for another to go on at once
		case <-time.After(pause):
		}
	}
}

func (a *Activities) renewLock(ctx context.Context, in LockInput) (upgrade.Lock, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return upgrade.Lock{}, err
	}
	return api.RenewLock(ctx, in.Owner)
}

// ReleaseLock gives the lock up.
func (a *Activities) ReleaseLock(ctx context.Context, in LockInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, api.ReleaseLock(ctx, in.Owner)
}
