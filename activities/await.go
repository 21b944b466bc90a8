package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// lookAgain is the pause between two looks at a condition.
const lookAgain = 500 * time.Millisecond

// await looks until condition holds. It gives up when its time has passed since the activity was first scheduled, with
// the last reason, so that a killed and repeated attempt does not start the time anew. A refusal ends it at once.
func await(ctx context.Context, v upgrade.Verify, op, target string, condition func(context.Context) error) error {
	deadline := activity.GetInfo(ctx).ScheduledTime.Add(v.Timeout.Or(upgrade.DefaultVerifyTimeout))
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fault.Is(err, fault.InvalidInput) {
			return err
		}
		report(ctx, err.Error())
		if time.Now().After(deadline) {
			return fault.Wrap(fault.VerificationFailed, op, target, err, "put it right, then retry")
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
}
