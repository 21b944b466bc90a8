package activities

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// PlanInput says which cluster is to be brought to which version, as a person wrote it.
type PlanInput struct {
	Cluster string `json:"cluster"`
	Target  string `json:"target"`
	// Through are releases to pass on the way, at most one of each minor.
	Through []string `json:"through,omitempty"`
	// Waive are ids of findings that are not to stop the upgrade.
	Waive []string `json:"waive,omitempty"`
}

// hostsAtOnce bounds how many machines are looked at side by side.
const hostsAtOnce = 20

// MakePlan observes the cluster and all its machines and plans the way to the target. It changes nothing.
func (a *Activities) MakePlan(ctx context.Context, in PlanInput) (upgrade.Plan, error) {
	wanted, err := in.wanted()
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
	if err := a.observeHosts(ctx, &cluster, settings, wanted.Target); err != nil {
		return upgrade.Plan{}, err
	}
	return upgrade.MakePlan(cluster, wanted, settings), nil
}

// wanted parses what a person wrote.
func (in PlanInput) wanted() (w upgrade.Wanted, err error) {
	if w.Target, err = upgrade.ParseVersion(in.Target); err != nil {
		return w, err
	}
	w.Waive, w.Now = in.Waive, time.Now()
	for _, text := range in.Through {
		v, err := upgrade.ParseVersion(text)
		if err != nil {
			return w, err
		}
		w.Through = append(w.Through, v)
	}
	return w, nil
}

// observeHosts looks at every machine. One that cannot be looked at is a finding of the plan, not a failure: a person
// wants to know all of them at once.
func (a *Activities) observeHosts(ctx context.Context, c *upgrade.Cluster, s upgrade.Settings, target upgrade.Version) error {
	seen := *c // the nodes, before their hosts were looked at
	seen.Nodes = slices.Clone(c.Nodes)
	minors := upgrade.Path(seen, target)
	var group errgroup.Group
	group.SetLimit(hostsAtOnce)
	var mu sync.Mutex
	for i := range c.Nodes {
		group.Go(func() error {
			observed, err := a.observeHost(ctx, seen, seen.Nodes[i], s, minors, target)
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

func (a *Activities) observeHost(ctx context.Context, c upgrade.Cluster, n upgrade.Node, s upgrade.Settings, minors []upgrade.Version, target upgrade.Version) (upgrade.Host, error) {
	host, err := a.Directory.Host(c.Name, n.Name, n.Address)
	if err != nil {
		return upgrade.Host{}, err
	}
	seen, err := host.Observe(ctx, s.Repository, minors)
	if err != nil {
		return upgrade.Host{}, err
	}
	n.Host = seen
	if to := upgrade.CatchUp(c, n, target); !to.IsZero() {
		// A repository that has that minor no more is no problem of the host; the planner says what it means.
		if more, err := host.Observe(ctx, s.Repository, []upgrade.Version{to}); err == nil {
			seen.Available = append(seen.Available, more.Available...)
		}
	}
	return seen, nil
}
