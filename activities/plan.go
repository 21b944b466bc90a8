package activities

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/inventory"
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
	// LeaveOut are nodes that are left as they are.
	LeaveOut []string `json:"leaveOut,omitempty"`
	// Policy chooses the target instead.
	Policy upgrade.Policy `json:"policy,omitzero"`
	// RollBack brings a managed control plane back instead.
	RollBack bool `json:"rollBack,omitempty"`
	// Brief leaves out of the plan what there is of each node.
	Brief bool `json:"brief,omitempty"`
}

// ObserveInput says which cluster is to be looked at.
type ObserveInput struct {
	Cluster string `json:"cluster"`
}

// hostsAtOnce bounds how many machines are looked at side by side.
const hostsAtOnce = 20

// MakePlan observes the cluster and all its machines and plans the way to the target. It changes nothing.
func (a *Activities) MakePlan(ctx context.Context, in PlanInput) (upgrade.Plan, error) {
	wanted, err := a.wanted(in)
	if err != nil {
		return upgrade.Plan{}, err
	}
	besides := upgrade.CatchUp
	if wanted.Policy.FollowsMinors() {
		besides = current
	}
	seen, err := a.observe(ctx, in.Cluster, wanted.LookUpTo, besides)
	if err != nil {
		return upgrade.Plan{}, err
	}
	plan := seen.Plan(wanted)
	if in.Brief {
		plan = plan.Brief()
	}
	return plan, nil
}

// Observe looks at the cluster and all its machines, and into the repositories of every minor that follows, so that plans
// to any target can be made from what it saw. It changes nothing.
func (a *Activities) Observe(ctx context.Context, in ObserveInput) (inventory.Packed, error) {
	seen, err := a.observe(ctx, in.Cluster, upgrade.Farthest, current)
	return inventory.Packed{Inventory: seen}, err
}

// observe looks at everything that a plan to the target needs. besides names one more minor whose packages a node may
// need, or none.
func (a *Activities) observe(ctx context.Context, cluster string, target func(upgrade.Cluster) upgrade.Version, besides minorOf) (inventory.Inventory, error) {
	var seen inventory.Inventory
	var err error
	if seen.Settings, err = a.Directory.Settings(cluster); err != nil {
		return seen, err
	}
	api, err := a.Directory.API(cluster)
	if err != nil {
		return seen, err
	}
	if seen.Cluster, err = api.Observe(ctx, seen.Settings); err != nil {
		return seen, err
	}
	if err := a.observeManaged(ctx, cluster, seen.Settings, target, &seen.Cluster); err != nil {
		return seen, err
	}
	if err := a.observeByHand(ctx, cluster, seen.Settings, target, &seen.Cluster); err != nil {
		return seen, err
	}
	if err := a.observeExternalEtcd(ctx, cluster, seen.Settings, &seen.Cluster); err != nil {
		return seen, err
	}
	if seen.Workloads, err = api.Workloads(ctx); err != nil {
		return seen, err
	}
	seen.Cluster.Name, seen.Made = cluster, time.Now()
	if seen.Cluster.Measured, err = a.Past.Measured(ctx, cluster); err != nil {
		activity.GetLogger(ctx).Warn("The estimate is from typical durations", "cluster", cluster, "error", err)
	}
	// Both take a while, and neither has to do with the other.
	var added []upgrade.Finding
	var looking sync.WaitGroup
	var providers []upgrade.Finding
	looking.Go(func() { added = a.lookAtAdditions(ctx, cluster, seen.Settings, api) })
	looking.Go(func() { providers = a.lookAtProviders(ctx, seen.Settings, seen.Cluster, target(seen.Cluster)) })
	if seen.Cluster.Managed == nil && seen.Cluster.ByHand == nil {
		err = a.observeHosts(ctx, &seen.Cluster, seen.Settings, target(seen.Cluster), besides)
	}
	looking.Wait()
	seen.Cluster.Problems = slices.Concat(seen.Cluster.Problems, added, providers)
	return seen, err
}

// observeManaged looks at what a provider runs. There the control plane's version is from.
func (a *Activities) observeManaged(ctx context.Context, cluster string, s upgrade.Settings, target func(upgrade.Cluster) upgrade.Version, c *upgrade.Cluster) error {
	if !s.Managed() {
		return nil
	}
	managed, err := a.Directory.Managed(ctx, cluster)
	if err != nil {
		return err
	}
	wanted := target(*c)
	seen, err := managed.Observe(ctx, wanted)
	c.Managed, c.Version = &seen, seen.Version
	if again := target(*c); err == nil && again != wanted { // what is wanted depends on what there is
		seen, err = managed.Observe(ctx, again)
		c.Managed = &seen
	}
	return err
}

// minorOf names a minor, by one of its versions, whose packages a node may need on the way of the cluster to a target.
type minorOf func(c upgrade.Cluster, n upgrade.Node, target upgrade.Version) upgrade.Version

// current is the minor that the cluster has.
func current(c upgrade.Cluster, _ upgrade.Node, _ upgrade.Version) upgrade.Version {
	return upgrade.Oldest(c)
}

// wanted is what a person wrote, if the cluster can be asked for it.
func (a *Activities) wanted(in PlanInput) (upgrade.Wanted, error) {
	w, err := in.wanted()
	if err == nil && (w.Target.IsWhole() || w.RollBack) {
		s, unknown := a.Directory.Settings(in.Cluster)
		if unknown != nil {
			return w, unknown
		}
		err = w.Check(s)
	}
	if err != nil {
		return w, fault.Wrap(fault.InvalidInput, "plan", in.Cluster, err, "")
	}
	return w, nil
}

// wanted parses what a person wrote.
func (in PlanInput) wanted() (w upgrade.Wanted, err error) {
	w.Policy, w.Waive, w.LeaveOut, w.RollBack = in.Policy, in.Waive, in.LeaveOut, in.RollBack
	if w.Policy.IsZero() && !w.RollBack {
		if w.Target, err = upgrade.ParseTarget(in.Target); err != nil {
			return w, err
		}
	}
	w.Through, err = upgrade.ParseVersions(in.Through)
	return w, err
}

// observeHosts looks at every machine. One that cannot be looked at is a finding of the plan, not a failure: a person
// wants to know all of them at once.
func (a *Activities) observeHosts(ctx context.Context, c *upgrade.Cluster, s upgrade.Settings, target upgrade.Version, besides minorOf) error {
	seen := *c // the nodes, before their hosts were looked at
	seen.Nodes = slices.Clone(c.Nodes)
	minors := upgrade.Path(seen, target)
	var group errgroup.Group
	group.SetLimit(hostsAtOnce)
	var mu sync.Mutex
	for i := range c.Nodes {
		if c.Nodes[i].Replaced {
			continue // nobody works on its machine
		}
		group.Go(func() error {
			also := func(n upgrade.Node) upgrade.Version { return besides(seen, n, target) }
			observed, err := a.observeHost(ctx, c.Name, seen.Nodes[i], s, minors, also)
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

func (a *Activities) observeHost(ctx context.Context, cluster string, n upgrade.Node, s upgrade.Settings, minors []upgrade.Version, also func(upgrade.Node) upgrade.Version) (upgrade.Host, error) {
	host, err := a.Directory.Host(cluster, n.Name, n.Address)
	if err != nil {
		return upgrade.Host{}, err
	}
	seen, err := host.Observe(ctx, s.Repository, minors)
	if err != nil {
		return upgrade.Host{}, err
	}
	n.Host = seen
	if v := also(n); !v.IsZero() {
		// A repository that has that minor no more is no problem of the host; the planner says what it means.
		if more, err := host.Observe(ctx, s.Repository, []upgrade.Version{v}); err == nil {
			seen.Available = append(seen.Available, more.Available...)
		}
	}
	return seen, nil
}
