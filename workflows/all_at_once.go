package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// allAtOnce upgrades all nodes of a pool in place at the same time: the applications are down, and a person has agreed to
// that. All nodes are cordoned first, so that what is stopped on one does not begin anew on the next.
func (u *clusterUpgrade) allAtOnce(ctx workflow.Context, part upgrade.PoolPart) error {
	if !slices.Contains(u.input.Waive, upgrade.ApplicationsDown) {
		if err := u.awaitApproval(ctx, fmt.Sprintf("before all %d workers of pool %s are upgraded at the same time", len(part.Nodes), part.Pool.Name)); err != nil {
			return err
		}
	}
	longest := slices.MaxFunc(part.Nodes, func(a, b upgrade.NodePlan) int { return int(u.status.Expected(a) - u.status.Expected(b)) })
	if err := u.awaitTurn(ctx, longest); err != nil {
		return err
	}
	cordoned, err := u.step(ctx, "cordon-"+part.Pool.Name, "Cordon all nodes of pool "+part.Pool.Name, act.CordonPool, u.poolInput(part, namesOf(part.Nodes)))
	if err == nil {
		err = inParallel(ctx, part.Nodes, len(part.Nodes), func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
			in := u.nodeUpgradeInput(ctx, n)
			in.Cordoned = true
			return u.runNode(ctx, in, "node")
		})
	}
	if err != nil {
		u.uncordonUntouched(ctx, part)
		return err
	}
	return u.measureOutage(ctx, part, cordoned.Services)
}

// uncordonUntouched takes back the cordons of nodes whose own workflow never began; the others have done so, or say why not.
func (u *clusterUpgrade) uncordonUntouched(ctx workflow.Context, part upgrade.PoolPart) {
	var untouched []string
	for _, n := range part.Nodes {
		if u.node(n.Node).Workflow == "" {
			untouched = append(untouched, n.Node)
		}
	}
	if len(untouched) == 0 {
		return
	}
	if _, err := u.step(ctx, "uncordon-"+part.Pool.Name, "Take back the cordons", act.UncordonPool, u.poolInput(part, untouched)); err != nil {
		u.note(ctx, "cordons were not taken back: "+reason(err))
	}
}

// measureOutage waits until all services that were away are served again, and keeps for how long they were.
func (u *clusterUpgrade) measureOutage(ctx workflow.Context, part upgrade.PoolPart, services []string) error {
	if len(services) == 0 {
		return nil
	}
	in := activities.ServicesInput{PoolInput: u.poolInput(part, nil), Services: services, Since: u.stoppedSince(part)}
	out, err := u.optionalStep(ctx, "await-services-"+part.Pool.Name, "Wait until every service of pool "+part.Pool.Name+" is served again", act.AwaitServices, in)
	if out.Outage != nil {
		u.status.Outages = append(u.status.Outages, *out.Outage)
	}
	return err
}

// stoppedSince is when the first pods of the pool began to be stopped.
func (u *clusterUpgrade) stoppedSince(part upgrade.PoolPart) (first time.Time) {
	for _, n := range part.Nodes {
		for _, s := range u.node(n.Node).Steps {
			if moves := s.Step == upgrade.StopPods || s.Step == upgrade.DrainNode; moves && (first.IsZero() || s.Started.Before(first)) {
				first = s.Started
			}
		}
	}
	return first
}
