package upgrade

import (
	"slices"
	"time"
)

// typical durations of steps, in seconds, until this run has measured its own. Measured on small nodes (2 cores shared
// by the whole cluster); the control plane's dominate everywhere, since the API server uses its 30 s of grace.
var typical = map[Step]int{
	InstallKubeadm: 3, UpgradeControlPlane: 175, VerifyControlPlane: 3, UpgradeNodeConfig: 1, DrainNode: 15,
	InstallKubelet: 4, RestartKubelet: 1, VerifyNode: 3, UncordonNode: 1,
	FetchBinaries: 10, SwapBinaries: 30, StopPods: 10, AddNode: 150, WithdrawNode: 30, ReleaseVolumes: 5, RemoveNode: 60,
}

// typicalSettle is what Verify takes longer on a control plane, whose static pods restart with the kubelet.
const typicalSettle = 20 * time.Second

// estimate says how long the plan and each node's part of it will take, from what was measured of earlier upgrades of the
// cluster, else from typical durations.
func (p *Plan) estimate() {
	for _, hop := range p.Hops {
		for _, nodes := range [][]NodePlan{hop.ControlPlane, hop.Workers} {
			for i := range nodes {
				n := &nodes[i]
				n.Estimate = 0
				for _, step := range n.Steps {
					n.Estimate += Duration(expectation(n.Role, step, p.Measured))
				}
			}
		}
	}
	p.Estimate = Duration(p.NewStatus().Remaining(time.Time{}))
}

// NewStatus is the status of a plan of which nothing is done yet.
func (p Plan) NewStatus() Status {
	s := Status{Cluster: p.Cluster, From: p.Current, Target: p.Target, State: Pending, Hops: len(p.Hops),
		MaxUnavailable: p.Settings.MaxUnavailable, Pools: p.Pools, Measured: p.Measured}
	for i, hop := range p.Hops {
		for _, n := range hop.NodePlans() {
			s.Nodes = append(s.Nodes, n.NewStatus(i+1))
		}
	}
	return s
}

// NewStatus is the status of a node of which nothing is done yet.
func (n NodePlan) NewStatus(hop int) NodeStatus {
	s := NodeStatus{Node: n.Node, Role: n.Role, Pool: n.Pool, Zone: n.Zone, Hop: hop, From: n.From, To: n.To, State: Pending}
	for _, step := range n.Steps {
		s.Steps = append(s.Steps, StepStatus{Step: step, State: Pending})
	}
	return s
}

// Remaining estimates how long the run still takes, hop after hop, by the longest way through each: control plane nodes
// one after another, workers that keep their kubelet side by side, the others pool after pool, as a sliding window in
// their order. A
// step takes what this run has measured of it on such nodes, else what earlier ones have, else what is typical. Time
// spent held does not count: nobody can tell how long a person takes.
func (s Status) Remaining(now time.Time) time.Duration {
	run := Measure(s)
	var hops []work // by number
	for _, n := range s.Nodes {
		for len(hops) <= n.Hop {
			hops = append(hops, work{})
		}
		hop := &hops[n.Hop]
		var left time.Duration
		for _, step := range n.Steps {
			left += step.remaining(now, expectation(n.Role, step.Step, run, s.Measured))
		}
		switch {
		case n.Role.IsControlPlane(), n.inControlPlane():
			hop.controlPlane += left
		case n.keepsKubelet():
			hop.aside = append(hop.aside, left)
		default:
			hop.turns = append(hop.turns, turn{n, left})
		}
	}
	var all time.Duration
	for _, hop := range hops {
		all += hop.controlPlane + slidingWindow(hop.aside, WorkersAside)
		for _, some := range sortedByPool(hop.turns) {
			pool := poolOf(s.Pools, some[0].node.Pool, s.MaxUnavailable.Of(len(some)))
			for _, round := range rounds(pool, some, func(t turn) string { return t.node.Zone }) {
				var each []time.Duration
				for _, t := range round {
					each = append(each, t.left)
				}
				all += slidingWindow(each, pool.AtOnce)
			}
		}
	}
	return all
}

// turn is what is left of a worker's turn.
type turn struct {
	node NodeStatus
	left time.Duration
}

// sortedByPool parts what is in the order of the plan.
func sortedByPool(turns []turn) [][]turn {
	var all [][]turn
	for i, t := range turns {
		if i == 0 || t.node.Pool != turns[i-1].node.Pool {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], t)
	}
	return all
}

// work is what is left of a hop.
type work struct {
	controlPlane time.Duration
	aside        []time.Duration // of workers that keep their kubelet
	turns        []turn          // of the others
}

// slidingWindow is how long it takes to work on all in their order, at most so many at a time, the next one as soon as
// one is done.
func slidingWindow(each []time.Duration, atOnce int) time.Duration {
	free := make([]time.Duration, min(atOnce, len(each))) // when each place is free
	for _, takes := range each {
		first := slices.Index(free, slices.Min(free))
		free[first] += takes
	}
	if len(free) == 0 {
		return 0
	}
	return slices.Max(free)
}

// inControlPlane: something that a provider changes in the control plane's turn, where one thing follows another.
func (n NodeStatus) inControlPlane() bool {
	return n.Role == ComponentPart || n.Role == ManagedPart && !slices.ContainsFunc(n.Steps, func(s StepStatus) bool { return s.Step == UpdateNodeGroup })
}

// WorkersAside is how many workers that keep their kubelet are worked on side by side: no pod notices, so that only the
// load on the package repository bounds it.
const WorkersAside = 20

// keepsKubelet reports whether the worker is only configured in this hop.
func (n NodeStatus) keepsKubelet() bool {
	return !slices.ContainsFunc(n.Steps, func(s StepStatus) bool { return s.Step != InstallKubeadm && s.Step != UpgradeNodeConfig })
}

func (s StepStatus) remaining(now time.Time, expected time.Duration) time.Duration {
	switch {
	case s.State.Ended():
		return 0
	case s.State == Running && !s.Started.IsZero():
		return max(0, expected-now.Sub(s.Started))
	}
	return expected
}

// expectation is how long a step will take on a kind of node, by the first that has measured it.
func expectation(role Role, step Step, measured ...Measured) time.Duration {
	for _, m := range measured {
		if mean := m.of(role, step); mean > 0 {
			return mean
		}
	}
	expected := typicalManaged[step] + time.Duration(typical[step])*time.Second
	if step == VerifyNode && role.IsControlPlane() {
		expected += typicalSettle
	}
	return expected
}
