package activities

import (
	"context"
	"slices"
	"time"

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
	return Outcome{}, a.endpointsWatched(ctx, in)
}

// endpointsWatched waits, after the swap of an API server, for those who watched endpoints before.
func (a *Activities) endpointsWatched(ctx context.Context, in NodeInput) error {
	if !slices.ContainsFunc(in.Changes, func(c upgrade.BinaryChange) bool { return c.Component == upgrade.APIServer }) {
		return nil
	}
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return err
	}
	w := &watchers{api: api, wanted: in.EndpointWatchers}
	for {
		err := w.back(ctx, in.Host)
		if err == nil {
			return nil
		}
		report(ctx, err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

// backUpByHand keeps a host's units and what they name, and one snapshot of etcd. Beside kubeadm's backup, for which the
// machine may be a node of the control plane, too, it has a folder of its own.
func (a *Activities) backUpByHand(ctx context.Context, in BackUpInput) (Outcome, error) {
	host, err := a.Directory.BinaryHost(in.Cluster, in.Host, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	if !in.Settings.ByHand() {
		in.Backup += "-etcd"
	}
	folder, err := host.BackUp(ctx, in.Backup, nil)
	if err == nil && in.Snapshot {
		_, err = host.SnapshotEtcd(ctx, in.Backup)
	}
	return Outcome{Note: folder}, err
}

// etcdByHand returns nil when every member of etcd answers, as its first host sees it.
func (a *Activities) etcdByHand(ctx context.Context, cluster string, s upgrade.Settings) error {
	machines := s.EtcdMachines()
	if len(machines) == 0 {
		return nil
	}
	host, err := a.Directory.BinaryHost(cluster, machines[0], "")
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

// observeByHand looks at all hosts of a cluster that was installed by hand.
func (a *Activities) observeByHand(ctx context.Context, cluster string, s upgrade.Settings, target func(upgrade.Cluster) upgrade.Version, c *upgrade.Cluster) error {
	if !s.ByHand() {
		return nil
	}
	machines := s.Machines()
	hosts := named(machines)
	for _, n := range c.Nodes {
		if !n.Replaced && !slices.Contains(machines, n.Name) {
			hosts = append(hosts, upgrade.BinaryHost{Node: n.Name, Address: n.Address})
		}
	}
	seen := &upgrade.ByHand{Hosts: hosts}
	a.observeBinaries(ctx, cluster, s.Binaries.Source, s.Binaries.ChangesTo(target(*c)), seen.Hosts)
	c.ByHand, c.Version = seen, seen.OldestAPIServer()
	a.observeEtcd(ctx, cluster, seen, s.EtcdMachines(), c)
	return ctx.Err()
}

// observeExternalEtcd looks at the hosts of an etcd that kubeadm has not made.
func (a *Activities) observeExternalEtcd(ctx context.Context, cluster string, s upgrade.Settings, c *upgrade.Cluster) error {
	machines := s.EtcdMachines()
	if s.ByHand() || len(machines) == 0 {
		return nil
	}
	seen := &upgrade.ByHand{Hosts: named(machines)}
	a.observeBinaries(ctx, cluster, s.Binaries.Source, s.Binaries.ChangesTo(), seen.Hosts)
	for i, h := range seen.Hosts {
		seen.Hosts[i] = h.OnlyEtcd()
	}
	c.ExternalEtcd = seen
	a.observeEtcd(ctx, cluster, seen, machines, c)
	return ctx.Err()
}

func named(machines []string) []upgrade.BinaryHost {
	var hosts []upgrade.BinaryHost
	for _, name := range machines {
		hosts = append(hosts, upgrade.BinaryHost{Node: name})
	}
	return hosts
}

// observeBinaries looks at hosts side by side. One that cannot be looked at is a finding of the plan.
func (a *Activities) observeBinaries(ctx context.Context, cluster string, source upgrade.BinarySource, changes []upgrade.BinaryChange, hosts []upgrade.BinaryHost) {
	var group errgroup.Group
	group.SetLimit(hostsAtOnce)
	for i, was := range hosts { // each goroutine has an element of its own
		group.Go(func() error {
			now := was
			host, err := a.Directory.BinaryHost(cluster, was.Node, was.Address)
			if err == nil {
				now, err = host.Observe(ctx, source, changes)
			}
			now.Node, now.Address = was.Node, was.Address
			if err != nil {
				now.Problem = err.Error()
			}
			hosts[i] = now
			return nil
		})
	}
	_ = group.Wait() // no goroutine returns an error
}

// observeEtcd asks the first of etcd's machines for the members, and says whose each is. Where that machine could not be
// looked at, that is what the plan says.
func (a *Activities) observeEtcd(ctx context.Context, cluster string, seen *upgrade.ByHand, machines []string, c *upgrade.Cluster) {
	if len(machines) == 0 || seen.Hosts[0].Problem != "" {
		return
	}
	host, err := a.Directory.BinaryHost(cluster, machines[0], "")
	if err == nil {
		seen.Members, err = host.EtcdMembers(ctx)
	}
	if err != nil {
		c.Problems = append(c.Problems, upgrade.Finding{ID: upgrade.ControlPlaneHealth, Severity: upgrade.SeverityError, Message: err.Error()})
	}
	for i := range seen.Members {
		if m := &seen.Members[i]; m.Node == "" && slices.Contains(machines, m.Name) {
			m.Node = m.Name
		}
	}
}
