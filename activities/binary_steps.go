package activities

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Hosts that were installed by hand: binaries are fetched beside the old ones, held against the units that will start them,
// and swapped one after another, each past its gate or swapped back.

// FetchBinaries gets the new binaries of all changes, and has each say whether it knows the flags of its unit. Nothing that
// runs is touched.
func (a *Activities) FetchBinaries(ctx context.Context, in NodeInput) (Outcome, error) {
	host, err := a.Directory.BinaryHost(in.Cluster, in.Host, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	for _, change := range in.Changes {
		if err := host.Fetch(ctx, in.Settings.Binaries.Source, change); err != nil {
			return Outcome{}, err
		}
		found, err := host.Check(ctx, change)
		if err != nil {
			return Outcome{}, err
		}
		for _, f := range found {
			if f.Severity == upgrade.SeverityError {
				return Outcome{}, fault.New(fault.PreflightFailed, "check "+change.Component+" "+change.To.String()+" for", in.Host, f.String(), "")
			}
		}
	}
	return Outcome{}, nil
}

// SwapBinaries makes all changes, one after another. A binary that does not pass its gate is swapped back, and those after it
// are left as they are.
func (a *Activities) SwapBinaries(ctx context.Context, in NodeInput) (Outcome, error) {
	host, err := a.Directory.BinaryHost(in.Cluster, in.Host, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	for _, change := range in.Changes {
		report(ctx, change.Text())
		if err := host.Fetch(ctx, in.Settings.Binaries.Source, change); err != nil { // which a person may have removed, to have it anew
			return Outcome{}, err
		}
		if err := host.Swap(ctx, change); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{}, nil
}

// backUpByHand keeps a host's units and what they name, and one snapshot of etcd.
func (a *Activities) backUpByHand(ctx context.Context, in BackUpInput) (Outcome, error) {
	host, err := a.Directory.BinaryHost(in.Cluster, in.Host, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	folder, err := host.BackUp(ctx, in.Backup, nil)
	if err == nil && in.Snapshot {
		_, err = host.SnapshotEtcd(ctx, in.Backup)
	}
	return Outcome{Note: folder}, err
}

// etcdByHand returns nil when every member of etcd answers, as the first host of the control plane sees it.
func (a *Activities) etcdByHand(ctx context.Context, cluster string, s upgrade.Settings) error {
	if !s.ByHand() || len(s.Binaries.ControlPlane) == 0 {
		return nil
	}
	host, err := a.Directory.BinaryHost(cluster, s.Binaries.ControlPlane[0], "")
	if err != nil {
		return err
	}
	members, err := host.EtcdMembers(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Version.IsZero() {
			return fault.New(fault.VerificationFailed, "check etcd member", m.Endpoint, "it does not say its version", "repair the member; an upgrade restarts one after another and needs all of them")
		}
	}
	return nil
}

// observeByHand looks at all hosts, side by side. One that cannot be looked at is a finding of the plan.
func (a *Activities) observeByHand(ctx context.Context, cluster string, s upgrade.Settings, target func(upgrade.Cluster) upgrade.Version, c *upgrade.Cluster) error {
	if !s.ByHand() {
		return nil
	}
	seen := &upgrade.ByHand{}
	for _, name := range s.Binaries.ControlPlane {
		seen.Hosts = append(seen.Hosts, upgrade.BinaryHost{Node: name})
	}
	for _, n := range c.Nodes {
		if !n.Replaced && !slices.Contains(s.Binaries.ControlPlane, n.Name) {
			seen.Hosts = append(seen.Hosts, upgrade.BinaryHost{Node: n.Name, Address: n.Address})
		}
	}
	changes := s.Binaries.ChangesTo(target(*c))
	var group errgroup.Group
	group.SetLimit(hostsAtOnce)
	var mu sync.Mutex
	for i := range seen.Hosts {
		was := seen.Hosts[i]
		group.Go(func() error {
			now := was
			host, err := a.Directory.BinaryHost(cluster, was.Node, was.Address)
			if err == nil {
				now, err = host.Observe(ctx, s.Binaries.Source, changes)
			}
			now.Node, now.Address = was.Node, was.Address
			if err != nil {
				now.Problem = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			seen.Hosts[i] = now
			return nil
		})
	}
	_ = group.Wait() // no goroutine returns an error
	c.ByHand, c.Version = seen, seen.OldestAPIServer()
	if len(s.Binaries.ControlPlane) > 0 && seen.Hosts[0].Problem == "" {
		a.observeEtcd(ctx, cluster, s, c)
	}
	return ctx.Err()
}

// observeEtcd asks for the members, and says whose each is.
func (a *Activities) observeEtcd(ctx context.Context, cluster string, s upgrade.Settings, c *upgrade.Cluster) {
	host, err := a.Directory.BinaryHost(cluster, s.Binaries.ControlPlane[0], "")
	if err == nil {
		c.ByHand.Members, err = host.EtcdMembers(ctx)
	}
	if err != nil {
		c.Problems = append(c.Problems, upgrade.Finding{ID: upgrade.ControlPlaneHealth, Severity: upgrade.SeverityError, Message: err.Error()})
	}
	for i := range c.ByHand.Members {
		if m := &c.ByHand.Members[i]; m.Node == "" && slices.Contains(s.Binaries.ControlPlane, m.Name) {
			m.Node = m.Name
		}
	}
}
