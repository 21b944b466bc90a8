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
}

// typicalSettle is what Verify takes longer on a control plane, whose static pods restart with the kubelet.
const typicalSettle = 20 * time.Second

// Estimate is how long the plan will take, from typical durations.
func Estimate(p Plan) time.Duration {
	return p.NewStatus().Remaining(time.Time{})
}

// NewStatus is the status of a plan of which nothing is done yet.
func (p Plan) NewStatus() Status {
	s := Status{Cluster: p.Cluster, From: p.Current, Target: p.Target, State: Pending, Hops: len(p.Hops),
		MaxUnavailable: p.Settings.MaxUnavailable}
	for i, hop := range p.Hops {
		for _, n := range hop.NodePlans() {
			s.Nodes = append(s.Nodes, n.NewStatus(i+1))
		}
	}
	return s
}

// NewStatus is the status of a node of which nothing is done yet.
func (n NodePlan) NewStatus(hop int) NodeStatus {
	s := NodeStatus{Node: n.Node, Role: n.Role, Hop: hop, From: n.From, To: n.To, State: Pending}
	for _, step := range n.Steps {
		s.Steps = append(s.Steps, StepStatus{Step: step, State: Pending})
	}
	return s
}

// Remaining estimates how long the run still takes, hop after hop, from the mean of what this run has measured of each
// step, else from typical durations. Time spent held does not count: nobody can tell how long a person takes.
func (s Status) Remaining(now time.Time) time.Duration {
	expect := s.expectations()
	hops := map[int]struct{ serial, parallel, longest, aside time.Duration }{}
	for _, n := range s.Nodes {
		hop := hops[n.Hop]
		var left time.Duration
		for _, step := range n.Steps {
			left += step.remaining(now, expect(n.Role, step.Step))
		}
		switch {
		case n.Role.IsControlPlane():
			hop.serial += left
		case !n.drains():
			hop.aside += left / WorkersAside
		default:
			hop.parallel += left
			hop.longest = max(hop.longest, left)
		}
		hops[n.Hop] = hop
	}
	var all time.Duration
	for _, hop := range hops {
		all += hop.serial + hop.aside + max(hop.longest, hop.parallel/time.Duration(max(1, s.MaxUnavailable)))
	}
	return all
}

// WorkersAside is how many workers that keep their kubelet are worked on side by side: no pod notices, so that only the
// load on the package repository bounds it.
const WorkersAside = 20

func (n NodeStatus) drains() bool {
	return slices.ContainsFunc(n.Steps, func(s StepStatus) bool { return s.Step == DrainNode })
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

// expectations returns the expected duration of a step on a kind of node.
func (s Status) expectations() func(Role, Step) time.Duration {
	type key struct {
		controlPlane bool
		step         Step
	}
	total, count := map[key]time.Duration{}, map[key]int{}
	for _, n := range s.Nodes {
		for _, step := range n.Steps {
			if step.State == Done && step.Ended.After(step.Started) {
				k := key{n.Role.IsControlPlane(), step.Step}
				total[k] += step.Ended.Sub(step.Started)
				count[k]++
			}
		}
	}
	return func(role Role, step Step) time.Duration {
		k := key{role.IsControlPlane(), step}
		if count[k] > 0 {
			return total[k] / time.Duration(count[k])
		}
		expected := time.Duration(typical[step]) * time.Second
		if step == VerifyNode && role.IsControlPlane() {
			expected += typicalSettle
		}
		return expected
	}
}
