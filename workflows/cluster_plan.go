package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// ClusterPlan looks at a cluster and says what an upgrade would do, to a version or by a policy. It changes nothing.
func ClusterPlan(ctx workflow.Context, in ScheduledUpgradeInput) (upgrade.Plan, error) {
	if err := in.check(); err != nil {
		return upgrade.Plan{}, err
	}
	queue, err := locate(ctx, in.Cluster, planOptions)
	if err != nil {
		return upgrade.Plan{}, err
	}
	return planNow(beside(ctx, queue), in, nil)
}

func makePlan(ctx workflow.Context, in ClusterUpgradeInput, leftOut []string) (upgrade.Plan, error) {
	return planNow(ctx, ScheduledUpgradeInput{ClusterUpgradeInput: in}, leftOut)
}

// planNow observes the cluster and plans. The nodes that are left out are left as they are.
func planNow(ctx workflow.Context, in ScheduledUpgradeInput, leftOut []string) (upgrade.Plan, error) {
	var plan upgrade.Plan
	ctx = workflow.WithActivityOptions(ctx, planOptions(in.planSummary()))
	asked := in.planInput()
	asked.LeaveOut = leftOut
	err := workflow.ExecuteActivity(ctx, act.MakePlan, asked).Get(ctx, &plan)
	return plan, err
}

// ClusterInventory records all that plans for the cluster are made from. It changes nothing.
func ClusterInventory(ctx workflow.Context, in ClusterInventoryInput) (inventory.Packed, error) {
	var seen inventory.Packed
	queue, err := locate(ctx, in.Cluster, planOptions)
	if err != nil {
		return seen, err
	}
	ctx = workflow.WithActivityOptions(beside(ctx, queue), planOptions("Observe "+in.Cluster))
	err = workflow.ExecuteActivity(ctx, act.Observe, activities.ObserveInput{Cluster: in.Cluster}).Get(ctx, &seen)
	return seen, err
}
