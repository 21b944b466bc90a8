package workflows

import (
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// checkRest looks at the cluster again before the next hop. Where the facts no longer fit what is left of the plan, it
// says what has changed and holds. A retry looks once more; if that finds what the person has been shown and nothing
// else, the rest is done as it is planned now.
func (u *clusterUpgrade) checkRest(ctx workflow.Context) error { return u.checkFrom(ctx, u.status.Hop) }

// checkFrom is the same after so many hops.
func (u *clusterUpgrade) checkFrom(ctx workflow.Context, done int) error {
	in := u.input
	in.Through = nil // but for the stops that are still to come
	for _, stop := range u.plan.Rest(done, in.Waive).Through {
		in.Through = append(in.Through, stop.String())
	}
	var shown []string
	return u.holds.attempt(ctx, u.stageNow().Title, []upgrade.Choice{choiceRetry}, u.keptByStage, func(*decided) error {
		now, err := makePlan(ctx, in, u.leftOut)
		if err != nil {
			return err
		}
		changes := u.plan.Changes(done, now)
		if len(changes) == 0 {
			return nil
		}
		if !now.Refused() && slices.Equal(changes, shown) {
			u.replan(done, now)
			return nil
		}
		shown = changes
		return unfit(u.plan.Cluster, now, changes)
	})
}

// replan takes what is planned now in place of what was left.
func (u *clusterUpgrade) replan(done int, now upgrade.Plan) {
	u.plan = u.plan.Replan(done, now)
	fresh, s := u.plan.NewStatus(), &u.status
	s.Hops = fresh.Hops
	isRest := func(n upgrade.NodeStatus) bool { return n.Hop > done }
	s.Nodes = slices.DeleteFunc(s.Nodes, isRest)
	s.Nodes = append(s.Nodes, slices.DeleteFunc(fresh.Nodes, func(n upgrade.NodeStatus) bool { return !isRest(n) })...)
}

// unfit is the error of facts that no longer fit the plan.
func unfit(cluster string, now upgrade.Plan, changes []string) error {
	remedy := "retry, and the rest is done as it is planned now"
	if now.Refused() {
		remedy = "put it right, then retry"
	}
	f := fault.New(fault.PreflightFailed, "check the plan of", cluster, "the cluster has changed since: "+strings.Join(changes, "; "), remedy)
	return temporal.NewNonRetryableApplicationError(f.Error(), string(f.Kind), nil)
}
