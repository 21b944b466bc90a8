package workflows

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// failing is an error that ends a step's attempts.
func failing(text string) []error {
	return []error{temporal.NewNonRetryableApplicationError(text, string(fault.VerificationFailed), nil)}
}

// told collects what became of updates, in order.
type told struct {
	t   *testing.T
	all []string
}

func (a *told) Accept()          {}
func (a *told) Reject(err error) { a.all = append(a.all, "no: "+err.Error()) }
func (a *told) Complete(answer any, err error) {
	if err != nil {
		a.all = append(a.all, "no: "+err.Error())
		return
	}
	a.all = append(a.all, fmt.Sprint(answer))
}

// tell sends an update to the cluster's workflow, or to a node's, once so much time has passed.
func (b *bench) tells(after time.Duration, node, update string, with any) *told {
	a := &told{t: b.t}
	b.RegisterDelayedCallback(func() {
		if node == "" {
			b.UpdateWorkflow(update, fmt.Sprint(update, after), a, with)
			return
		}
		require.NoError(b.t, b.UpdateWorkflowByID(NodeUpgradeID("lab", node), update, fmt.Sprint(update, after), a, with))
	}, after)
	return a
}

// statusAt asks for the status once so much time has passed.
func (b *bench) statusAt(after time.Duration) *upgrade.Status {
	s := &upgrade.Status{}
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(b.t, err)
		require.NoError(b.t, v.Get(s))
	}, after)
	return s
}

var because = Decision{Reason: "because", By: "me"}

// TestDecisionsAtHolds takes every decision at every kind of hold.
func TestDecisionsAtHolds(t *testing.T) {
	const hour = time.Hour
	type want struct {
		answer string // how it begins
		state  upgrade.State
		node   upgrade.State
		left   string
		log    []string // follows the failure
		not    []string // is not done
	}
	for name, c := range map[string]struct {
		fails  string
		update string
		with   any
		want   want
	}{
		"drain: retry": {"drainNode w1", UpdateRetry, because, want{answer: "trying again: Drain: stuck", state: upgrade.Done, node: upgrade.Done, log: []string{"drainNode w1", "installKubelet w1"}}},
		"drain: wait":  {"drainNode w1", UpdateWait, Wait{because, upgrade.Duration(hour)}, want{answer: "draining on: Drain: stuck", state: upgrade.Done, node: upgrade.Done, log: []string{"drainNode w1 for 1h0m0s", "installKubelet w1"}}},
		"drain: delete pods": {"drainNode w1", UpdateDeletePods, DeletePods{because, []string{"a/b"}}, want{answer: "deleting the pods, then draining on: ", state: upgrade.Done, node: upgrade.Done,
			log: []string{"deletePods w1 [a/b]", "drainNode w1", "installKubelet w1"}}},
		"drain: skip drain": {"drainNode w1", UpdateSkipDrain, because, want{answer: "going on without the drain: ", state: upgrade.Done, node: upgrade.Done, log: []string{"installKubelet w1"}}},
		"drain: skip": {"drainNode w1", UpdateSkip, Skip{because, false}, want{answer: "skipped: ", state: upgrade.Done, node: upgrade.Skipped, left: "cordoned; when it is in order: kubectl uncordon w1",
			log: []string{"installKubeadm w2"}, not: []string{"installKubelet w1", "uncordonNode w1"}}},
		"drain: skip, uncordoned": {"drainNode w1", UpdateSkip, Skip{because, true}, want{answer: "skipped: ", state: upgrade.Done, node: upgrade.Skipped, left: "schedulable again",
			log: []string{"uncordonNode w1", "installKubeadm w2"}, not: []string{"installKubelet w1"}}},
		"drain: abort": {"drainNode w1", UpdateAbort, because, want{answer: "stopping: nothing is under way on any node", state: upgrade.Aborted, node: upgrade.Aborted, left: "schedulable again",
			log: []string{"uncordonNode w1", "plan"}, not: []string{"installKubelet w1", "installKubeadm w2", "verifyCluster"}}},
		"drain: skip without a reason":        {"drainNode w1", UpdateSkip, Skip{}, want{answer: "no: why? Give a reason"}},
		"drain: wait for nothing":             {"drainNode w1", UpdateWait, Wait{Decision: because}, want{answer: "no: for how long?"}},
		"drain: delete no pods":               {"drainNode w1", UpdateDeletePods, DeletePods{Decision: because}, want{answer: "no: which pods?"}},
		"drain: delete what is no pod":        {"drainNode w1", UpdateDeletePods, DeletePods{because, []string{"b"}}, want{answer: `no: "b" is no pod; wanted namespace/name`}},
		"drain: skip drain without a reason":  {"drainNode w1", UpdateSkipDrain, Decision{}, want{answer: "no: why?"}},
		"kubeadm: skip":                       {"installKubeadm w1", UpdateSkip, Skip{because, false}, want{answer: "skipped: ", state: upgrade.Done, node: upgrade.Skipped, left: "as it was", log: []string{"installKubeadm w2"}}},
		"verify: retry":                       {"verifyNode w1", UpdateRetry, because, want{answer: "trying again: Verify: stuck", state: upgrade.Done, node: upgrade.Done, log: []string{"verifyNode w1", "uncordonNode w1"}}},
		"verify: skip":                        {"verifyNode w1", UpdateSkip, Skip{because, false}, want{answer: "skipped: ", state: upgrade.Done, node: upgrade.Skipped, left: "cordoned", log: []string{"installKubeadm w2"}, not: []string{"uncordonNode w1"}}},
		"verify: abort":                       {"verifyNode w1", UpdateAbort, because, want{answer: "stopping", state: upgrade.Aborted, node: upgrade.Aborted, left: "cordoned; when it is in order", log: []string{"plan"}, not: []string{"uncordonNode w1"}}},
		"verify: wait is no choice":           {"verifyNode w1", UpdateWait, Wait{because, upgrade.Duration(hour)}, want{answer: `no: wait is no choice at "Verify"; wanted one of: retry, skip`}},
		"verify: skipping a drain is none":    {"verifyNode w1", UpdateSkipDrain, because, want{answer: `no: skipDrain is no choice at "Verify"`}},
		"control plane: skip":                 {"upgradeControlPlane cp1", UpdateSkip, Skip{because, false}, want{answer: "no: cp1 cannot be skipped: cp1 is of the control plane"}},
		"control plane: abort":                {"upgradeControlPlane cp1", UpdateAbort, because, want{answer: "stopping", state: upgrade.Aborted, node: upgrade.Aborted, left: "as it was", not: []string{"drainNode cp1"}}},
		"control plane: abort without reason": {"upgradeControlPlane cp1", UpdateAbort, Decision{}, want{answer: "no: why?"}},
		"control plane's kubelet: skip":       {"verifyNode cp1", UpdateSkip, Skip{because, true}, want{answer: "skipped: ", state: upgrade.Done, node: upgrade.Skipped, left: "schedulable", log: []string{"uncordonNode cp1", "installKubeadm w1"}}},
		"cluster: retry":                      {"verifyCluster", UpdateRetry, because, want{answer: "trying again: Verify", state: upgrade.Done, node: upgrade.Done, log: []string{"verifyCluster"}}},
		"cluster: abort":                      {"checkControlPlane", UpdateAbort, because, want{answer: "stopping", state: upgrade.Aborted, node: upgrade.Aborted, log: []string{"plan"}, not: []string{"installKubeadm cp1"}}},
		"cluster: resume":                     {"checkControlPlane", UpdateResume, because, want{answer: "no: it is not paused"}},
		"cluster: approve":                    {"checkControlPlane", UpdateApprove, because, want{answer: "no: nothing waits for an approval"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, planOf(1, 2, 1))
			step, node, ofNode := strings.Cut(c.fails, " ")
			b.fail[c.fails] = failing("stuck")
			to := node
			if c.update == UpdateAbort || !ofNode {
				to = ""
			}
			held := b.statusAt(2*hour - time.Minute)
			told := b.tells(2*hour, to, c.update, c.with)
			if strings.HasPrefix(c.want.answer, "no: ") {
				b.tells(3*hour, node, UpdateRetry, Decision{})
			}
			r, err := b.run()
			require.NoError(t, err)
			require.Equal(t, upgrade.Held, held.State)
			require.Len(t, held.Waits, 1)
			require.Equal(t, upgrade.ForDecision, held.Waits[0].For)
			require.Equal(t, node, held.Waits[0].Node)
			require.Equal(t, "stuck", held.Waits[0].Reason)
			require.Len(t, told.all, 1)
			require.Contains(t, told.all[0], c.want.answer)
			if strings.HasPrefix(c.want.answer, "no: ") {
				require.Equal(t, upgrade.Done, r.Status.State, "nothing came of it")
				return
			}
			require.Equal(t, c.want.state, r.Status.State)
			after := b.log[slices.Index(b.log, c.fails+" FAILED")+1:]
			require.Equal(t, strings.Join(c.want.log, ", "), strings.Join(after[:len(c.want.log)], ", "))
			for _, entry := range c.want.not {
				require.NotContains(t, after, entry)
			}
			if node == "" {
				node = "cp1"
			}
			n := nodeOf(r.Status, node)
			require.Equal(t, c.want.node, n.State)
			require.Contains(t, n.Left, c.want.left)
			if c.want.state == upgrade.Aborted {
				require.True(t, strings.HasPrefix(r.Status.Message, "stopped by me: because; API servers: "), r.Status.Message)
			}
			require.Equal(t, "because", r.Status.Actions[0].Reason)
			require.Equal(t, c.update, r.Status.Actions[0].What)
			if step != "drainNode" && c.update == UpdateRetry {
				require.Empty(t, r.Status.Waits)
			}
		})
	}
}

// leaves is what a hop makes of the nodes.
func leaves(h upgrade.Hop, nodes []upgrade.Node) []upgrade.Node {
	after := slices.Clone(nodes)
	for _, n := range h.NodePlans() {
		i := slices.IndexFunc(after, func(a upgrade.Node) bool { return a.Name == n.Node })
		after[i].Kubelet, after[i].Host.Kubeadm = n.To, h.To
		if after[i].ControlPlane {
			after[i].Components = map[string]upgrade.Version{upgrade.APIServer: h.To, upgrade.ControllerManager: h.To, upgrade.Scheduler: h.To}
		}
	}
	return after
}

func nodeOf(s upgrade.Status, name string) upgrade.NodeStatus {
	return s.Nodes[slices.IndexFunc(s.Nodes, func(n upgrade.NodeStatus) bool { return n.Node == name })]
}

func TestSkippingIsRefusedWhereTheSkewPolicyWouldBreak(t *testing.T) {
	target := upgrade.MustVersion("v1.40.0")
	plan := planTo(target, 1, 2, 1)
	plan.Hops, plan.Findings = nil, nil
	at := from
	for minor := 37; minor <= 40; minor++ { // workers that move in every hop
		next := upgrade.MustVersion(fmt.Sprintf("v1.%d.0", minor))
		hop := upgrade.Hop{From: at, To: next}
		for _, n := range []string{"w1", "w2"} {
			hop.Workers = append(hop.Workers, upgrade.NodePlan{Node: n, Role: upgrade.Worker, From: at, To: next, Kubeadm: next, Steps: upgrade.KubeadmSteps(upgrade.Worker, false)})
		}
		plan.Hops, at = append(plan.Hops, hop), next
	}
	require.Len(t, plan.Hops, 4)
	require.Equal(t, "kubelet on w1 is v1.36.3, would be 4 minors behind at v1.40; at most 3 are allowed", plan.Unskippable(1, plan.Hops[0].Workers[0]))
	require.Empty(t, plan.Unskippable(2, plan.Hops[1].Workers[0]))

	b := newBench(t, plan)
	b.fail["drainNode w1"] = failing("stuck")
	refused := b.tells(time.Hour, "w1", UpdateSkip, Skip{Decision: because})
	b.tells(2*time.Hour, "", UpdateAbort, because)
	_, err := b.run()
	require.NoError(t, err)
	require.Len(t, refused.all, 1)
	require.Contains(t, refused.all[0], "w1 cannot be skipped: kubelet on w1 is v1.36.3, would be 4 minors behind")
}

func TestASkippedNodeIsLeftOutOfTheHopsThatFollow(t *testing.T) {
	target := upgrade.MustVersion("v1.38.0")
	plan := planTo(target, 1, 2, 1)
	b := newBench(t, plan)
	b.fail["upgradeNodeConfig w1"] = failing("stuck")
	var asked activities.PlanInput
	b.left = func() upgrade.Plan {
		nodes := leaves(plan.Hops[0], plan.Nodes)
		return upgrade.MakePlan(upgrade.Cluster{Name: "lab", Version: to, Nodes: nodes}, upgrade.Wanted{Target: target, LeaveOut: asked.LeaveOut}, plan.Settings)
	}
	b.asked = func(in activities.PlanInput) { asked = in }
	b.tells(time.Hour, "w1", UpdateSkip, Skip{Decision: because})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"w1"}, asked.LeaveOut)
	require.NotContains(t, b.log, "drainNode w1")
	require.Contains(t, b.log, "drainNode w2")
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Skipped, upgrade.Done, upgrade.Done, upgrade.Skipped, upgrade.Done}, states(r.Status))
}

func TestPauseFinishesWhatIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		pause  Pause
		before string // is not begun while it is paused
		done   string // is done before
		answer string
	}{
		"at once":      {Pause{Decision: because}, "installKubeadm w2", "uncordonNode w1", "paused: w1 will be finished"},
		"after a node": {Pause{because, "w2"}, "installKubeadm w3", "uncordonNode w2", "it will pause after w2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, planOf(1, 3, 1))
			began := 0
			watchNodes(b, func(entry string) {
				if entry == "installKubeadm w1" {
					began = len(b.log)
				}
			})
			paused := b.tells(8*time.Minute+30*time.Second, "", UpdatePause, c.pause) // while w1 is under way
			again := b.tells(9*time.Minute, "", UpdatePause, c.pause)
			s := b.statusAt(3 * time.Hour)
			var then []string
			b.RegisterDelayedCallback(func() { then = slices.Clone(b.log) }, 3*time.Hour)
			b.tells(4*time.Hour, "", UpdateResume, because)
			r, err := b.run()
			require.NoError(t, err)
			require.NotZero(t, began)
			require.Equal(t, []string{c.answer}, paused.all)
			require.Contains(t, again.all[0], "no: it is paused already")
			require.Equal(t, upgrade.Paused, s.State)
			require.Equal(t, "pause: paused by me: because", s.Message)
			require.NotContains(t, then, c.before)
			require.Contains(t, then, c.done)
			require.Equal(t, upgrade.Done, r.Status.State)
			require.Equal(t, []string{UpdatePause, UpdateResume}, []string{r.Status.Actions[0].What, r.Status.Actions[1].What})
		})
	}
}

func TestPauseAfterAHop(t *testing.T) {
	target := upgrade.MustVersion("v1.38.0")
	b := newBench(t, planTo(target, 1, 1, 1))
	wrong := b.tells(time.Second, "", UpdatePause, Pause{because, "w7"})
	b.tells(2*time.Second, "", UpdatePause, Pause{because, AfterHop})
	s := b.statusAt(3 * time.Hour)
	b.tells(4*time.Hour, "", UpdateResume, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Contains(t, wrong.all[0], `no: "w7" is no node that is still to be done; wanted "hop" or one of: cp1, w1`)
	require.Equal(t, upgrade.Paused, s.State)
	require.Equal(t, 2, s.Hop)
	require.Equal(t, "Check the control plane", s.Stages[len(s.Stages)-1].Title)
	require.Equal(t, upgrade.Done, r.Status.State)
}

func TestApprovals(t *testing.T) {
	b := newBench(t, planOf(1, 3, 2))
	b.input.Approve = ApprovalPoints
	var asked, waiting []string
	for i := range 5 {
		at := time.Duration(i+1) * 2 * time.Hour
		b.RegisterDelayedCallback(func() {
			v, err := b.QueryWorkflow(QueryStatus)
			require.NoError(t, err)
			var s upgrade.Status
			require.NoError(t, v.Get(&s))
			require.Equal(t, upgrade.Held, s.State)
			require.Equal(t, upgrade.ForApproval, s.Waits[0].For)
			require.NotEmpty(t, s.Waits[0].Details)
			asked = append(asked, s.Waits[0].At)
			waiting = append(waiting, b.log[len(b.log)-2])
		}, at)
		b.tells(at+time.Minute, "", UpdateApprove, because)
	}
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"before the hop to v1.37.2", "before the control plane goes to v1.37.2", "before 3 workers are drained", "before 3 workers of pool workers", "after the canary w1"}, asked)
	require.Equal(t, []string{"plan", "backUp cp1 snapshot=true", "uncordonNode cp1", "plan", "uncordonNode w1"}, waiting)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Len(t, r.Status.Actions, 5)
}

func TestAnUnknownApprovalIsRefused(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.input.Approve = []string{"lunch"}
	_, err := b.run()
	require.ErrorContains(t, err, `approve: "lunch" is no point`)
	require.Empty(t, b.log)
}

func TestAbortAtAnApproval(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.input.Approve = []string{BeforeWorkers}
	b.tells(3*time.Hour, "", UpdateAbort, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Equal(t, upgrade.Done, nodeOf(r.Status, "cp1").State)
	require.Equal(t, upgrade.Aborted, nodeOf(r.Status, "w1").State)
	require.NotContains(t, b.log, "drainNode w1")
}

func TestAbortLetsTheOtherNodesFinish(t *testing.T) {
	b := newBench(t, planOf(1, 4, 2))
	b.fail["drainNode w1"] = failing("stuck")
	var told *told
	watchNodes(b, func(entry string) {
		if entry == "installKubelet w2" {
			told = b.tells(time.Second, "", UpdateAbort, because)
		}
	})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"stopping: w2 will be finished"}, told.all)
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Aborted, upgrade.Done, upgrade.Aborted, upgrade.Aborted}, states(r.Status))
	require.Contains(t, b.log, "uncordonNode w1")
}

func TestRetarget(t *testing.T) {
	plan := planOf(1, 2, 1)
	newer := upgrade.MustVersion("v1.37.3")
	after := func() upgrade.Plan { // the control plane and w1 are at v1.37.2, w2 is not
		nodes := leaves(plan.Hops[0], plan.Nodes)
		for i := range nodes {
			nodes[i].Host.Available = append(nodes[i].Host.Available, newer)
			if nodes[i].Name == "w2" {
				nodes[i] = plan.Nodes[i]
				nodes[i].Host.Available = append(slices.Clone(nodes[i].Host.Available), newer)
			}
		}
		return upgrade.MakePlan(upgrade.Cluster{Name: "lab", Version: to, Nodes: nodes}, upgrade.Wanted{Target: newer}, plan.Settings)
	}
	b := newBench(t, plan)
	b.fail["drainNode w2"] = failing("stuck")
	refuse := true
	var asked activities.PlanInput
	b.asked = func(in activities.PlanInput) { asked = in }
	b.left = func() upgrade.Plan {
		p := after()
		if refuse {
			p.Findings = append(p.Findings, upgrade.Finding{Severity: upgrade.SeverityError, Target: "w1", Message: "the node is not Ready"})
		}
		return p
	}
	bad := b.tells(time.Hour, "", UpdateRetarget, Retarget{Decision: because, TargetVersion: "nonsense"})
	same := b.tells(time.Hour+time.Minute, "", UpdateRetarget, Retarget{Decision: because, TargetVersion: to.String()})
	refused := b.tells(time.Hour+2*time.Minute, "", UpdateRetarget, Retarget{Decision: because, TargetVersion: newer.String()})
	b.RegisterDelayedCallback(func() { refuse = false }, 2*time.Hour)
	accepted := b.tells(3*time.Hour, "", UpdateRetarget, Retarget{Decision: because, TargetVersion: newer.String(), Waive: []string{"etcd-version"}})
	r, err := b.run()
	require.NoError(t, err)
	require.Contains(t, bad.all[0], "no: targetVersion: ")
	require.Contains(t, same.all[0], "no: v1.37.2 is the target already")
	require.Contains(t, refused.all[0], "refused: w1: the node is not Ready")
	require.Equal(t, []string{"retargeting to v1.37.3: nothing is under way on any node"}, accepted.all)
	require.Equal(t, []string{"etcd-version"}, asked.Waive)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, newer, r.Status.Target)
	require.Equal(t, 2, r.Status.Hops)
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Done, upgrade.Aborted, upgrade.Done, upgrade.Done, upgrade.Done}, states(r.Status))
	held := slices.Index(b.log, "drainNode w2 FAILED")
	require.Equal(t, []string{"plan", "plan", "uncordonNode w2", "plan"}, b.log[held+1:held+5], "its cordon is taken back before the way is planned for good")
	require.Contains(t, b.log[held:], "upgradeControlPlane cp1")
	require.Contains(t, b.log[held:], "drainNode w2")
}

func TestAMisspeltFieldOfADecisionIsRefused(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.fail["drainNode w1"] = failing("stuck")
	misspelt := b.tells(time.Hour, "w1", UpdateSkip, map[string]any{"reason": "because", "uncordoned": true})
	b.tells(2*time.Hour, "w1", UpdateRetry, Decision{})
	r, err := b.run()
	require.NoError(t, err)
	require.Len(t, misspelt.all, 1)
	require.Contains(t, misspelt.all[0], `unknown field "uncordoned"`)
	require.Equal(t, upgrade.Done, r.Status.State)
}

// TestCancellationIsAnAbort: who cancels the workflow in Temporal's UI means no harm.
func TestCancellationIsAnAbort(t *testing.T) {
	b := newBench(t, planOf(1, 3, 1))
	watchNodes(b, func(entry string) {
		if entry == "installKubelet w1" {
			b.CancelWorkflow()
		}
	})
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Contains(t, r.Status.Message, "stopped: cancelled from Temporal; API servers: ")
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Done, upgrade.Aborted, upgrade.Aborted}, states(r.Status))
	require.Contains(t, b.log, "uncordonNode w1", "what was under way was finished")
}

// TestCancellationOfANodeLeavesItAndStops: a node that is held and whose own workflow is cancelled is given up.
func TestCancellationOfANodeLeavesItAndStops(t *testing.T) {
	b := newBench(t, planOf(1, 2, 1))
	b.fail["verifyNode w1"] = failing("stuck")
	b.RegisterDelayedCallback(func() { b.CancelWorkflowByID(NodeUpgradeID("lab", "w1"), "") }, time.Hour)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Equal(t, "cordoned; when it is in order: kubectl uncordon w1", nodeOf(r.Status, "w1").Left)
}
