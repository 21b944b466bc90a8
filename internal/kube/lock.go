package kube

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// lockName is the Lease that is a cluster's lock, in kube-system. Other tools may take it, as they take any Lease.
const lockName = "pawl"

// Lock is the cluster's lock as it is now.
func (c *Cluster) Lock(ctx context.Context) (upgrade.Lock, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	lease, err := c.leases().Get(ctx, lockName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return upgrade.Lock{}, nil
	}
	if err != nil {
		return upgrade.Lock{}, c.classify("read the lock of", c.name, err)
	}
	return lockOf(lease, time.Now()), nil
}

// AcquireLock takes the lock for owner if nobody else holds it.
func (c *Cluster) AcquireLock(ctx context.Context, owner string) (upgrade.Lock, error) {
	return c.updateLock(ctx, "take", func(lease *coordinationv1.Lease, now metav1.MicroTime) bool {
		held := lockOf(lease, now.Time)
		if held.Held() && held.Holder != owner {
			return false
		}
		if !held.Held() {
			transitions := ptr.Deref(lease.Spec.LeaseTransitions, 0) + 1
			lease.Spec.AcquireTime, lease.Spec.LeaseTransitions = &now, &transitions
		}
		seconds := int32(upgrade.LockDuration.Seconds())
		lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &owner, &seconds, &now
		return true
	})
}

// RenewLock prolongs the lock if it is owner's. It takes none that nobody holds: somebody else may have had it meanwhile.
func (c *Cluster) RenewLock(ctx context.Context, owner string) (upgrade.Lock, error) {
	return c.updateLock(ctx, "renew", func(lease *coordinationv1.Lease, now metav1.MicroTime) bool {
		if ptr.Deref(lease.Spec.HolderIdentity, "") != owner {
			return false
		}
		lease.Spec.RenewTime = &now
		return true
	})
}

// ReleaseLock gives the lock up if it is owner's. The Lease stays, and tells when it was last held.
func (c *Cluster) ReleaseLock(ctx context.Context, owner string) error {
	_, err := c.updateLock(ctx, "release", func(lease *coordinationv1.Lease, _ metav1.MicroTime) bool {
		if ptr.Deref(lease.Spec.HolderIdentity, "") != owner {
			return false
		}
		lease.Spec.HolderIdentity = nil
		return true
	})
	return err
}

// updateLock reads the lock, lets change edit it, writes it back if change says so, and returns what it then is. A write
// that raced with another is done anew on what the other left: by resourceVersion, so that one of them wins.
func (c *Cluster) updateLock(ctx context.Context, op string, change func(*coordinationv1.Lease, metav1.MicroTime) bool) (upgrade.Lock, error) {
	var lock upgrade.Lock
	raced := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err := retry.OnError(retry.DefaultBackoff, raced, func() error {
		ctx, cancel := bounded(ctx)
		defer cancel()
		lease, err := c.leases().Get(ctx, lockName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			lease, err = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: lockName}}, nil
		}
		if err != nil {
			return err
		}
		now := metav1.NowMicro()
		if change(lease, now) {
			if lease.ResourceVersion == "" {
				lease, err = c.leases().Create(ctx, lease, metav1.CreateOptions{})
			} else {
				lease, err = c.leases().Update(ctx, lease, metav1.UpdateOptions{})
			}
		}
		if err != nil {
			return err
		}
		lock = lockOf(lease, now.Time)
		return nil
	})
	return lock, c.classify(op+" the lock of", c.name, err)
}

func (c *Cluster) leases() typedcoordinationv1.LeaseInterface {
	return c.client.CoordinationV1().Leases(metav1.NamespaceSystem)
}

// lockOf reads a Lease. One that has expired is held by nobody; leaseSlack is for clocks that differ. One without a
// duration, as a person may write it, does not expire.
func lockOf(lease *coordinationv1.Lease, now time.Time) upgrade.Lock {
	s := lease.Spec
	lock := upgrade.Lock{Holder: ptr.Deref(s.HolderIdentity, ""), Since: ptr.Deref(s.AcquireTime, metav1.MicroTime{}).Time}
	lock.Renewed = ptr.Deref(s.RenewTime, metav1.MicroTime{Time: lock.Since}).Time
	if lock.Renewed.IsZero() {
		lock.Renewed = lease.CreationTimestamp.Time
	}
	if s.LeaseDurationSeconds != nil {
		lock.Expires = lock.Renewed.Add(time.Duration(*s.LeaseDurationSeconds) * time.Second)
	}
	if !lock.Held() || !lock.Expires.IsZero() && now.After(lock.Expires.Add(leaseSlack)) {
		return upgrade.Lock{}
	}
	return lock
}
