package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// gate waits until something that disturbs the cluster may begin: nobody has paused the upgrade. It fails with errStopped
// when a person stops it.
func (u *clusterUpgrade) gate(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return u.steering.stop != nil || !u.paused() }); err != nil {
		return err
	}
	if u.steering.stop != nil {
		return errStopped
	}
	return nil
}

// Points at which an upgrade may be told to wait for an approval.
const (
	BeforeHop          = "hop"           // before anything of each hop
	BeforeControlPlane = "control-plane" // before the control plane of each hop
	BeforeWorkers      = "workers"       // before workers are drained, in each hop
	BeforePool         = "pool"          // before workers of each pool are drained, in each hop
	AfterCanary        = "canary"        // after the first worker that is drained
)

// ApprovalPoints are all of them.
var ApprovalPoints = []string{BeforeHop, BeforeControlPlane, BeforeWorkers, BeforePool, AfterCanary}

// approve waits for a person's approval, where the input asks for one, and shows what is about to happen, with fresh
// findings.
func (u *clusterUpgrade) approve(ctx workflow.Context, point, at string) error {
	if !slices.Contains(u.input.Approve, point) {
		return nil
	}
	return u.awaitApproval(ctx, at)
}

func (u *clusterUpgrade) awaitApproval(ctx workflow.Context, at string) error {
	if err := u.gate(ctx); err != nil {
		return err
	}
	w := &upgrade.Wait{For: upgrade.ForApproval, At: at, Reason: "an approval is wanted", Since: workflow.Now(ctx), Choices: []upgrade.Choice{choiceApprove, choiceAbort}}
	if now, err := makePlan(ctx, u.input, u.leftOut); err == nil {
		w.Details = now.Outline()
	} else {
		w.Details = []string{"what is the case now could not be looked at: " + reason(err)}
	}
	u.approval = w
	u.changed(ctx)
	err := workflow.Await(ctx, func() bool { return u.steering.stop != nil || u.approval == nil })
	u.approval = nil
	u.changed(ctx)
	if err == nil && u.steering.stop != nil {
		return errStopped
	}
	return err
}

// CheckApprovals refuses points that would be ignored.
func (in ClusterUpgradeInput) CheckApprovals() error {
	for _, point := range in.Approve {
		if !slices.Contains(ApprovalPoints, point) {
			return fmt.Errorf("approve: %q is no point to wait for an approval at, wanted some of %q", point, ApprovalPoints)
		}
	}
	return nil
}
