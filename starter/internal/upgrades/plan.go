package upgrades

import (
	"context"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// workerPatience is how long a new workflow may wait for somebody to take it up.
const workerPatience = 10 * time.Second

// Plan has the worker look at the cluster and say what an upgrade would do. What keeps it from an answer meanwhile is
// told.
func (c *Client) Plan(ctx context.Context, in workflows.ClusterUpgradeInput, tell func(string)) (upgrade.Plan, error) {
	op := "plan " + in.Cluster
	id := workflows.ClusterPlanID(in.Cluster, uuid.NewString())
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue, StaticSummary: "plan " + in.Cluster + " to " + in.TargetVersion,
	}, workflows.ClusterPlanName, in)
	if err != nil {
		return upgrade.Plan{}, c.translate(op, err, exit.Refused)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if c.nobodyTakesUp(ctx, id, tell) {
			cancel(c.noWorker(op))
		}
	}()
	var plan upgrade.Plan
	if err := run.Get(ctx, &plan); err != nil {
		if ctx.Err() != nil {
			c.abandon(id) // nobody waits for it any more
			return upgrade.Plan{}, c.translate(op, context.Cause(ctx), exit.Refused)
		}
		return upgrade.Plan{}, c.translate(op, err, exit.Refused)
	}
	return plan, nil
}

// nobodyTakesUp watches a workflow until it is clear that no worker takes it up. That its task lies there tells more than who
// polled a minute ago.
func (c *Client) nobodyTakesUp(ctx context.Context, id string, tell func(string)) bool {
	const quietFor = 5 * time.Second
	var waiting time.Time
	began, told := time.Now(), ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		d, err := c.temporal.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			continue
		}
		for _, a := range d.GetPendingActivities() {
			// A short trouble will be over, or be the answer, before anybody has read of it.
			if f := a.GetLastFailure(); f != nil && failureText(f) != told && time.Since(began) > quietFor {
				told = failureText(f)
				tell("trying again: " + told)
			}
		}
		switch task := d.GetPendingWorkflowTask(); {
		case task == nil || task.GetState() != enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED:
			waiting = time.Time{}
		case waiting.IsZero():
			waiting = time.Now()
		case time.Since(waiting) >= workerPatience-time.Second:
			return true
		}
	}
}

// abandon ends a plan whose asker is gone, so that a worker that comes later does not make it for nobody.
func (c *Client) abandon(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.temporal.TerminateWorkflow(ctx, id, "", "nobody waits for this plan any more")
}
