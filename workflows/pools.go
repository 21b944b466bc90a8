package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// upgradePool brings a pool's workers to the hop's version by its strategy. The strategies differ in order and concurrency;
// what is done to a node is its plan's business.
func (u *clusterUpgrade) upgradePool(ctx workflow.Context, part upgrade.PoolPart) error {
	if err := u.approve(ctx, BeforePool, fmt.Sprintf("before %d workers of pool %s", len(part.Nodes), part.Pool.Name)); err != nil {
		return err
	}
	var err error
	switch part.Pool.Strategy {
	case upgrade.AllAtOnce:
		err = u.allAtOnce(ctx, part)
	case upgrade.AddNewNodes:
		err = u.addNewNodes(ctx, part)
	default:
		err = u.rolling(ctx, part)
	}
	if err != nil || !part.Pool.Rebalance {
		return err
	}
	_, err = u.optionalStep(ctx, "rebalance-"+part.Pool.Name, "Spread the pods over pool "+part.Pool.Name, act.RebalancePool, u.poolInput(part, u.nodesOf(part)))
	return err
}

// inRounds runs a pool's nodes as a sliding window: as soon as one is done the next one starts. The canary goes alone, and
// no zone is begun with before the last one is done, where the pool says so.
func (u *clusterUpgrade) inRounds(ctx workflow.Context, part upgrade.PoolPart, what string) error {
	asked := slices.Contains(u.input.Approve, AfterCanary) && !u.canary && len(part.Nodes) > 1
	part.Pool.Canary = part.Pool.Canary || asked
	for i, round := range part.Rounds() {
		err := inParallel(ctx, round, part.Pool.AtOnce, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
			return u.upgradeNode(ctx, n, what)
		})
		if err != nil {
			return err
		}
		if i == 0 && asked {
			u.canary = true
			if err := u.approve(ctx, AfterCanary, "after the canary "+round[0].Node); err != nil {
				return err
			}
		}
	}
	return nil
}

// avoiding runs something that drains these nodes, while the scheduler prefers others to those whose turn is still to come:
// a pod then moves once, if there is room elsewhere. It is taken back whatever happens, and the pods' final spread is kept.
func (u *clusterUpgrade) avoiding(ctx workflow.Context, nodes []upgrade.NodePlan, do func() error) error {
	if workflow.GetVersion(ctx, "avoid", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return do()
	}
	nodes = slices.DeleteFunc(slices.Clone(nodes), upgrade.NodePlan.Abstract)
	if len(nodes) > 1 {
		if _, err := u.step(ctx, "avoid", "Prefer other nodes for pods that move", act.AvoidNodes, u.poolInput(upgrade.PoolPart{Nodes: nodes}, namesOf(nodes))); err != nil {
			return err
		}
	}
	err := do()
	if len(nodes) > 1 {
		if _, failed := u.step(ctx, "stop-avoiding", "Prefer no nodes any more", act.StopAvoidingNodes, u.poolInput(upgrade.PoolPart{}, nil)); err == nil {
			err = failed
		}
	}
	if err == nil {
		var out activities.Outcome
		out, err = u.step(ctx, "look-at-spread", "Count the pods of each worker", act.LookAtSpread, u.poolInput(upgrade.PoolPart{}, nil))
		u.status.Spread = out.Spread
	}
	return err
}

func (u *clusterUpgrade) poolInput(part upgrade.PoolPart, nodes []string) activities.PoolInput {
	return activities.PoolInput{ClusterInput: u.clusterInput(), Pool: part.Pool.Name, Nodes: nodes, Owner: u.id}
}

// nodesOf are the pool's nodes as they are now: successors in place of those that were replaced.
func (u *clusterUpgrade) nodesOf(part upgrade.PoolPart) []string {
	names := namesOf(part.Nodes)
	for i, name := range names {
		if n := u.node(name); n != nil && n.Successor != "" && n.State == upgrade.Done {
			names[i] = n.Successor
		}
	}
	return names
}

func namesOf(nodes []upgrade.NodePlan) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Node)
	}
	return names
}
