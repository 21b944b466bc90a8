package activities

import (
	"context"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// PoolInput names nodes of a pool.
type PoolInput struct {
	ClusterInput
	Pool  string   `json:"pool,omitempty"`
	Nodes []string `json:"nodes,omitempty"`
	Owner string   `json:"owner,omitempty"`
}

// AvoidNodes makes the scheduler prefer other nodes to those that will be drained soon, so that pods move once. It stays so
// until a node's own turn is over, or StopAvoidingNodes.
func (a *Activities) AvoidNodes(ctx context.Context, in PoolInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, api.Avoid(ctx, in.Nodes)
}

// StopAvoidingNodes takes that back everywhere.
func (a *Activities) StopAvoidingNodes(ctx context.Context, in PoolInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, api.StopAvoiding(ctx, nil)
}

// CordonPool makes all these nodes unschedulable before the pods of any are stopped: what is stopped on one must not begin
// anew on the next. It tells which services that will cost.
func (a *Activities) CordonPool(ctx context.Context, in PoolInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	services, err := api.ServedOnlyBy(ctx, in.Nodes)
	if err != nil {
		return Outcome{}, err
	}
	for _, node := range in.Nodes {
		if err := api.Cordon(ctx, node, in.Owner); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{Services: services}, nil
}

// UncordonPool takes back what pawl has put on these nodes.
func (a *Activities) UncordonPool(ctx context.Context, in PoolInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	for _, node := range in.Nodes {
		if err := api.Uncordon(ctx, node, in.Owner); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{}, nil
}

// ServicesInput names services (namespace/name) that were away, and since when.
type ServicesInput struct {
	PoolInput
	Services []string  `json:"services"`
	Since    time.Time `json:"since"`
}

// servicesKept bounds what is kept of an outage: it stands in the workflow's history.
const servicesKept = 50

// AwaitServices waits until every one of the services has a pod again that is Ready, and tells for how long each had none.
func (a *Activities) AwaitServices(ctx context.Context, in ServicesInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	outage := &upgrade.Outage{Pool: in.Pool, From: in.Since, To: in.Since}
	for _, service := range in.Services {
		var back time.Time
		err := await(ctx, in.Settings.Verify, "wait for the services of pool", in.Pool, func(ctx context.Context) (err error) {
			back, err = api.ServedSince(ctx, service, in.Since)
			return err
		})
		if err != nil {
			return Outcome{}, err
		}
		if back.After(outage.To) {
			outage.To = back
		}
		if len(outage.Services) == servicesKept {
			outage.Others++
			continue
		}
		outage.Services = append(outage.Services, upgrade.ServiceOutage{Service: service, Down: upgrade.Duration(back.Sub(in.Since).Round(time.Second))})
	}
	return Outcome{Outage: outage}, nil
}

// LookAtSpread counts the pods of each worker.
func (a *Activities) LookAtSpread(ctx context.Context, in PoolInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	spread, err := api.Spread(ctx)
	return Outcome{Spread: spread}, err
}

// RebalancePool spreads pods that crowd together over the pool's nodes, within budgets.
func (a *Activities) RebalancePool(ctx context.Context, in PoolInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	moved, err := api.Rebalance(ctx, in.Nodes)
	return Outcome{Note: rebalanced(moved)}, err
}
