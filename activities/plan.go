package activities

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// PlanInput says which cluster is to be brought to which version, as a person wrote it.
type PlanInput struct {
	Cluster string `json:"cluster"`
	Target  string `json:"target"`
}

// hostsAtOnce bounds how many machines are looked at side by side.
const hostsAtOnce = 20

// MakePlan observes the cluster and all its machines and plans the way to the target. It changes nothing.
func (a *Activities) MakePlan(ctx context.Context, in PlanInput) (upgrade.Plan, error) {
	target, err := upgrade.ParseVersion(in.Target)
	if err != nil {
		return upgrade.Plan{}, fault.Wrap(fault.InvalidInput, "plan", in.Cluster, err, "")
	}
	settings, err := a.Directory.Settings(in.Cluster)
	if err != nil {
		return upgrade.Plan{}, err
	}
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return upgrade.Plan{}, err
	}
	cluster, err := api.Observe(ctx)
	if err != nil {
		return upgrade.Plan{}, err
	}
	cluster.Name = in.Cluster
	if err := a.observeHosts(ctx, &cluster, settings, upgrade.Path(cluster, target)); err != nil {
		return upgrade.Plan{}, err
	}
	return upgrade.MakePlan(cluster, target, settings), nil
}

// observeHosts looks at every machine. One that cannot be looked at is a finding of the plan, not a failure: a person
// wants to know all of them at once.
func (a *Activities) observeHosts(ctx context.Context, c *upgrade.Cluster, s upgrade.Settings, minors []upgrade.Version) error {
	var group errgroup.Group
	group.SetLimit(hostsAtOnce)
	var mu sync.Mutex
	for i := range c.Nodes {
		group.Go(func() error {
			node := c.Nodes[i]
			observed, err := a.observeHost(ctx, c.Name, node, s, minors)
			if err != nil {
				observed = upgrade.Host{Problem: err.Error()}
			}
			mu.Lock()
			defer mu.Unlock()
			c.Nodes[i].Host = observed
			return nil
		})
	}
	_ = group.Wait() // no goroutine returns an error
	return ctx.Err()
}

func (a *Activities) observeHost(ctx context.Context, cluster string, n upgrade.Node, s upgrade.Settings, minors []upgrade.Version) (upgrade.Host, error) {
	host, err := a.Directory.Host(cluster, n.Name, n.Address)
	if err != nil {
		return upgrade.Host{}, err
	}
	return host.Observe(ctx, s.Repository, minors)
}
