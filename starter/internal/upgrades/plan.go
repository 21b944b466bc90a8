package upgrades

import (
	"context"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// workerPatience is how long a new workflow may wait for somebody to take it up.
const workerPatience = 10 * time.Second

// Plan has the worker look at the cluster and say what an upgrade would do. What keeps it from an answer meanwhile is
// told.
func (c *Client) Plan(ctx context.Context, in workflows.ScheduledUpgradeInput, tell func(string)) (plan upgrade.Plan, err error) {
	options := client.StartWorkflowOptions{
		ID: workflows.ClusterPlanID(in.Cluster, uuid.NewString()), StaticSummary: "plan " + in.Cluster + " to " + in.Wants(),
	}
	err = c.look(ctx, "plan "+in.Cluster, options, workflows.ClusterPlanName, in, &plan, tell)
	return plan, err
}

// Inventory has the worker record all that plans for the cluster are made from.
func (c *Client) Inventory(ctx context.Context, cluster string, tell func(string)) (inventory.Inventory, error) {
	options := client.StartWorkflowOptions{
		ID: workflows.ClusterInventoryID(cluster, uuid.NewString()), StaticSummary: "inventory of " + cluster,
	}
	in := workflows.ClusterInventoryInput{Cluster: cluster}
	var seen inventory.Packed
	err := c.look(ctx, "inventory "+cluster, options, workflows.ClusterInventoryName, in, &seen, tell)
	return seen.Inventory, err
}

// look runs a workflow that looks at a cluster and changes nothing, and waits for its answer.
func (c *Client) look(ctx context.Context, op string, o client.StartWorkflowOptions, name string, in, answer any, tell func(string)) error {
	o.TaskQueue = workflows.TaskQueue
	run, err := c.temporal.ExecuteWorkflow(ctx, o, name, in)
	if err != nil {
		return c.translate(op, err, exit.Refused)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if queue := c.nobodyTakesUp(ctx, o.ID, tell); queue != "" {
			cancel(c.nobody(ctx, op, queue))
		}
	}()
	if err := run.Get(ctx, answer); err != nil {
		if ctx.Err() != nil {
			c.abandon(o.ID) // nobody waits for it any more
			return c.translate(op, context.Cause(ctx), exit.Refused)
		}
		return c.translate(op, err, exit.Refused)
	}
	return nil
}

// nobodyTakesUp watches a workflow until it is clear that no worker takes up its task, or one of an activity, and returns
// the task's queue. That a task lies there tells more than who polled a minute ago.
func (c *Client) nobodyTakesUp(ctx context.Context, id string, tell func(string)) (queue string) {
	var waiting time.Time // since when the queue's task lies there
	began, told := time.Now(), ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ""
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
		lies := ""
		if d.GetPendingWorkflowTask().GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED {
			lies = workflows.TaskQueue
		}
		for _, a := range d.GetPendingActivities() {
			if liesSince(a) > 0 {
				lies = queueOf(a)
			}
		}
		switch {
		case lies == "" || lies != queue:
			queue, waiting = lies, time.Now()
		case time.Since(waiting) >= workerPatience-time.Second:
			return queue
		}
	}
}

// abandon ends a look whose asker is gone, so that a worker that comes later does not take it for nobody.
func (c *Client) abandon(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.temporal.TerminateWorkflow(ctx, id, "", "nobody waits for this answer any more")
}
