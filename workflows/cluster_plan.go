package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// ClusterPlan looks at a cluster and says what an upgrade would do. It changes nothing.
func ClusterPlan(ctx workflow.Context, in ClusterUpgradeInput) (upgrade.Plan, error) {
	return makePlan(ctx, in, nil)
}

// makePlan observes the cluster and plans. The nodes that are left out are left as they are.
func makePlan(ctx workflow.Context, in ClusterUpgradeInput, leftOut []string) (upgrade.Plan, error) {
	var plan upgrade.Plan
	ctx = workflow.WithActivityOptions(ctx, planOptions("Observe "+in.Cluster+" and plan the way to "+in.TargetVersion))
	err := workflow.ExecuteActivity(ctx, act.MakePlan, activities.PlanInput{Cluster: in.Cluster, Target: in.TargetVersion, Through: in.Through, Waive: in.Waive, LeaveOut: leftOut}).Get(ctx, &plan)
	return plan, err
}

// ClusterInventory records all that plans for the cluster are made from. It changes nothing.
func ClusterInventory(ctx workflow.Context, in ClusterInventoryInput) (inventory.Packed, error) {
	var seen inventory.Packed
	ctx = workflow.WithActivityOptions(ctx, planOptions("Observe "+in.Cluster))
	err := workflow.ExecuteActivity(ctx, act.Observe, activities.ObserveInput{Cluster: in.Cluster}).Get(ctx, &seen)
	return seen, err
}
