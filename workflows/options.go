package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// act names activities by method; it is never called.
var act *activities.Activities

const (
	// heartbeat is how soon a killed worker's activity is given to another. Activities beat every 2 s.
	heartbeat = 10 * time.Second
	// attempt bounds one attempt. kubeadm rolls back by itself after 5 minutes for each of four components; whoever
	// ends it earlier does harm.
	attempt = 45 * time.Minute
)

// patience bounds all attempts of one step, so that something that never answers becomes a person's question.
func patience(s upgrade.Settings) time.Duration {
	return s.Retry.Timeout.Or(upgrade.DefaultRetryTimeout)
}

// planOptions give up soon: nothing has been touched, and a person waits for the answer. The time is for hundreds of
// hosts that look into the repositories of several minors.
func planOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    heartbeat,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 5 * time.Second, MaximumAttempts: 3},
	}
}

// dueOptions are patient: nobody waits for the answer, and the next chance may be a month away.
func dueOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:                summary,
		StartToCloseTimeout:    10 * time.Minute,
		ScheduleToCloseTimeout: 30 * time.Minute,
		HeartbeatTimeout:       heartbeat,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	}
}

// stepOptions try again for as long as it makes sense: which errors do is the activities' translator's business.
func stepOptions(id, summary string, s upgrade.Settings) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		ActivityID:             id,
		Summary:                summary,
		StartToCloseTimeout:    attempt,
		ScheduleToCloseTimeout: patience(s),
		HeartbeatTimeout:       heartbeat,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1.5, MaximumInterval: 10 * time.Second},
	}
}

// prepareOptions try once more at most: fetching ahead is a convenience, and the node's turn waits for it.
func prepareOptions(id, summary string, s upgrade.Settings) workflow.ActivityOptions {
	o := stepOptions(id, summary, s)
	o.ScheduleToCloseTimeout = 15 * time.Minute
	o.RetryPolicy.MaximumAttempts = 2
	return o
}

// drainOptions leave the drain's own deadline the last word.
func drainOptions(id, summary string, s upgrade.Settings) workflow.ActivityOptions {
	o := stepOptions(id, summary, s)
	o.ScheduleToCloseTimeout = s.Drain.Timeout.Std() + patience(s)
	o.StartToCloseTimeout = o.ScheduleToCloseTimeout
	return o
}

// updateOptions leave a provider all the time that it takes: a large node group is replaced in hours.
func updateOptions(id, summary string, s upgrade.Settings) workflow.ActivityOptions {
	o := stepOptions(id, summary, s)
	o.StartToCloseTimeout = 24 * time.Hour
	o.ScheduleToCloseTimeout = o.StartToCloseTimeout + patience(s)
	return o
}

// addOptions leave a new machine its own time to become a node, and some more for the provider.
func addOptions(id, summary string, s upgrade.Settings, next *activities.SuccessorInput) workflow.ActivityOptions {
	o := stepOptions(id, summary, s)
	if next != nil {
		o.ScheduleToCloseTimeout += next.JoinTimeout.Std()
		o.StartToCloseTimeout += next.JoinTimeout.Std()
	}
	return o
}

// reason is what an activity's error says to people, without Temporal's wrapping.
func reason(err error) string {
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		if last := errors.Unwrap(timeout); last != nil {
			return "gave up after its time was over; the last attempt: " + reason(last)
		}
		return "gave up after its time was over"
	}
	var failed *temporal.ApplicationError
	if errors.As(err, &failed) {
		return failed.Message()
	}
	return err.Error()
}
