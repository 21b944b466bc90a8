package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
)

// locate finds the task queue of the workers beside a cluster. It is asked once and kept in the history: what was begun at
// one site is not gone on with at another.
func locate(ctx workflow.Context, cluster string, options func(summary string) workflow.ActivityOptions) (queue string, err error) {
	if workflow.GetVersion(ctx, "task-queue", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return "", nil
	}
	var at activities.Location
	ctx = workflow.WithActivityOptions(ctx, options("Find the workers beside "+cluster))
	err = workflow.ExecuteActivity(ctx, act.LocateCluster, activities.ObserveInput{Cluster: cluster}).Get(ctx, &at)
	return at.TaskQueue, err
}

// beside lets activities run on a task queue; "" is the workflow's own.
func beside(ctx workflow.Context, queue string) workflow.Context {
	if queue == "" {
		return ctx
	}
	return workflow.WithTaskQueue(ctx, queue)
}

// beside lets activities run beside the upgrade's cluster. Handlers of updates and messages have contexts of their own.
func (u *clusterUpgrade) beside(ctx workflow.Context) workflow.Context { return beside(ctx, u.queue) }
