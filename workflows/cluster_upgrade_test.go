package workflows

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestUpgradeGoesThroughTheRunbookInOrder(t *testing.T) {
	b := newBench(t, planOf(3, 2, 1))
	r, err := b.run()
	require.NoError(t, err)
	want := []string{"plan", "checkControlPlane"}
	backups := []string{"backUp cp1 snapshot=true", "backUp cp2 snapshot=false", "backUp cp3 snapshot=false"}
	require.Equal(t, want, b.log[:2])
	require.ElementsMatch(t, backups, b.log[2:5], "the backup comes before anything is changed")
	var steps []string
	add := func(node string, names ...string) {
		for _, name := range names {
			steps = append(steps, name+" "+node)
		}
	}
	for _, node := range []string{"cp1", "cp2", "cp3"} {
		add(node, "installKubeadm", "upgradeControlPlane", "verifyControlPlane")
	}
	for _, node := range []string{"cp1", "cp2", "cp3"} {
		add(node, "drainNode", "installKubelet", "restartKubelet", "verifyNode", "uncordonNode")
	}
	for _, node := range []string{"w1", "w2"} {
		add(node, "installKubeadm", "upgradeNodeConfig", "drainNode", "installKubelet", "restartKubelet", "verifyNode", "uncordonNode")
	}
	require.Equal(t, append(steps, "verifyCluster"), b.log[5:])
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Len(t, r.Status.Stages, 7)
	for _, n := range r.Status.Nodes {
		require.Equal(t, upgrade.Done, n.State, n.Node)
	}
}

func TestUpgradeOverTwoMinorsGoesThroughTheRunbookTwice(t *testing.T) {
	target := upgrade.MustVersion("v1.38.0")
	b := newBench(t, planTo(target, 1, 1, 1))
	versions := map[string][]upgrade.Version{}
	var backups []string
	b.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
		var in activities.BackUpInput // which has the fields of the others too
		if name := info.ActivityType.Name; name == "MakePlan" || name == "LocateCluster" || name == "ShowHold" || strings.HasSuffix(name, "Lock") || args.Get(&in) != nil {
			return
		}
		entry := info.ActivityType.Name + " " + in.Node
		versions[entry] = append(versions[entry], in.Version)
		if in.Backup != "" {
			backups = append(backups, in.Backup)
		}
		if entry == "InstallKubeadm w1" && in.Version == target { // of the second hop
			b.fail["drainNode w1"] = []error{temporal.NewNonRetryableApplicationError("drain w1: blocked by a budget", string(fault.DrainBlocked), nil)}
		}
	})
	var held upgrade.Status
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, v.Get(&held))
		require.NoError(t, b.UpdateWorkflowByID(NodeUpgradeID("lab", "w1"), UpdateRetry, "retry", &answer{t: t}, Decision{}))
	}, time.Hour)
	r, err := b.run()
	require.NoError(t, err)

	controlPlane := []string{"checkControlPlane", "backUp cp1 snapshot=true",
		"installKubeadm cp1", "upgradeControlPlane cp1", "verifyControlPlane cp1",
		"drainNode cp1", "installKubelet cp1", "restartKubelet cp1", "verifyNode cp1", "uncordonNode cp1"}
	keeps := []string{"installKubeadm w1", "upgradeNodeConfig w1"}
	moves := []string{"installKubeadm w1", "upgradeNodeConfig w1", "drainNode w1", "installKubelet w1", "restartKubelet w1", "verifyNode w1", "uncordonNode w1"}
	verify := []string{"verifyCluster"}
	done := slices.DeleteFunc(slices.Clone(b.log), func(s string) bool { return strings.HasSuffix(s, "FAILED") })
	require.Equal(t, slices.Concat([]string{"plan"}, controlPlane, keeps, verify, []string{"plan"}, controlPlane, moves, verify), done)
	require.Len(t, versions, 2+1+2+8+7+1, "everything is done in each hop, fetching ahead too")
	for entry, got := range versions {
		want := []upgrade.Version{to, target}
		switch entry {
		case "LookAtSpread ", "PrepareNode w1", "DrainNode w1", "InstallKubelet w1", "RestartKubelet w1", "VerifyNode w1", "UncordonNode w1":
			want = want[1:] // the worker is drained once
		}
		require.Equal(t, want, slices.Compact(got), entry)
	}
	require.Len(t, backups, 2)
	require.NotEqual(t, backups[0], backups[1])
	require.Equal(t, strings.Join(backups, ", "), r.Backup)

	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, 2, held.Hop)
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Done, upgrade.Done, upgrade.Held}, states(held))
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Done, upgrade.Done, upgrade.Done}, states(r.Status))
	require.Equal(t, 2, r.Status.Hops)
	require.Len(t, r.Status.Stages, 1+7+6)
}

func states(s upgrade.Status) []upgrade.State {
	var all []upgrade.State
	for _, n := range s.Nodes {
		all = append(all, n.State)
	}
	return all
}

func TestTimeoutsAreThePlans(t *testing.T) {
	var s upgrade.Settings // of a plan from before they could be set
	require.Equal(t, 90*time.Minute, stepOptions("", "", s).ScheduleToCloseTimeout)
	s.Retry.Timeout, s.Drain.Timeout = upgrade.Duration(2*time.Hour), upgrade.Duration(time.Hour)
	require.Equal(t, 2*time.Hour, stepOptions("", "", s).ScheduleToCloseTimeout)
	require.Equal(t, 3*time.Hour, drainOptions("", "", s).ScheduleToCloseTimeout)
}

func TestWorkersAreASlidingWindow(t *testing.T) {
	plan := planOf(1, 5, 2)
	b := newBench(t, plan)
	underWay, most := map[string]bool{}, 0
	watchNodes(b, func(entry string) {
		step, node, _ := strings.Cut(entry, " ")
		switch upgrade.Step(step) {
		case upgrade.InstallKubeadm:
			underWay[node] = true
		case upgrade.UncordonNode:
			delete(underWay, node)
		}
		most = max(most, len(underWay))
	})
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, 2, most, "two workers at a time, no more and no fewer")
}

func TestWorkersThatKeepTheirKubeletAreConfiguredSideBySide(t *testing.T) {
	target := upgrade.MustVersion("v1.38.0")
	b := newBench(t, planTo(target, 1, 3, 1))
	_, err := b.run()
	require.NoError(t, err)
	count := map[string]int{}
	for _, entry := range b.log {
		count[entry]++
	}
	for _, node := range []string{"w1", "w2", "w3"} {
		require.Equal(t, 2, count["upgradeNodeConfig "+node])
		require.Equal(t, 1, count["drainNode "+node])
	}
	first := slices.IndexFunc(b.log, func(s string) bool { return strings.HasPrefix(s, "upgradeNodeConfig") })
	require.ElementsMatch(t, []string{"installKubeadm w1", "installKubeadm w2", "installKubeadm w3"}, b.log[first-3:first], "none waits for the others")
}

// watchNodes calls seen at the start of every activity of a node.
func watchNodes(b *bench, seen func(entry string)) {
	b.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
		var in struct{ Node string }
		if args.Get(&in) == nil && in.Node != "" {
			seen(strings.ToLower(info.ActivityType.Name[:1]) + info.ActivityType.Name[1:] + " " + in.Node)
		}
	})
}

func TestRefusedPlanTouchesNothing(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Findings = []upgrade.Finding{{Severity: upgrade.SeverityError, Target: "w1", Message: "the node is not Ready"}}
	plan.Hops = nil
	b := newBench(t, plan)
	_, err := b.run()
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, string(fault.PreflightFailed), failed.Type())
	require.Equal(t, "plan lab v1.36.3 to v1.37.2: refused: w1: the node is not Ready", failed.Message())
	require.Equal(t, []string{"plan"}, b.log)
}

func TestNothingToDo(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Hops = nil
	b := newBench(t, plan)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"plan"}, b.log)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Contains(t, r.Status.Message, "already")
}

func TestNodeThatWasCordonedStaysCordoned(t *testing.T) {
	plan := planOf(1, 1, 1)
	nodes := plan.Nodes
	nodes[1].Cordoned = true
	b := newBench(t, upgrade.MakePlan(upgrade.Cluster{Name: "lab", Version: from, Nodes: nodes}, upgrade.Wanted{Target: to}, plan.Settings))
	_, err := b.run()
	require.NoError(t, err)
	require.Contains(t, b.log, "uncordonNode cp1")
	require.Contains(t, b.log, "verifyNode w1")
	require.NotContains(t, b.log, "uncordonNode w1")
}

func TestFailedStepHoldsUntilRetried(t *testing.T) {
	b := newBench(t, planOf(1, 2, 1))
	b.fail["drainNode w1"] = []error{temporal.NewNonRetryableApplicationError("drain w1: blocked by a budget", string(fault.DrainBlocked), nil)}
	var held upgrade.Status
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, v.Get(&held))
		require.NoError(t, b.UpdateWorkflowByID(NodeUpgradeID("lab", "w1"), UpdateRetry, "retry", &answer{t: t}, Decision{Reason: "relaxed", By: "me"}))
	}, time.Hour)
	r, err := b.run()
	require.NoError(t, err)

	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, "w1: Drain: drain w1: blocked by a budget", held.Message)
	require.Equal(t, upgrade.Pending, held.Nodes[2].State, "the next worker has not been begun")
	require.Equal(t, 1, slices.Index(b.log, "drainNode w1")-slices.Index(b.log, "drainNode w1 FAILED"), "it goes on at the step that was held")
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Empty(t, r.Status.Message)
	require.Empty(t, r.Status.Nodes[1].Held)
}

func TestRetryIsRefusedWhereNothingIsHeld(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	refused := &answer{t: t, wantRejected: true}
	b.RegisterDelayedCallback(func() {
		b.UpdateWorkflow(UpdateRetry, "retry", refused, Decision{})
	}, time.Second)
	_, err := b.run()
	require.NoError(t, err)
	require.ErrorContains(t, refused.rejected, "nothing is held here")
}

// answer takes what becomes of an update.
type answer struct {
	t            *testing.T
	wantRejected bool
	rejected     error
}

func (a *answer) Accept() {}
func (a *answer) Reject(err error) {
	a.rejected = err
	require.True(a.t, a.wantRejected, "rejected: %v", err)
}
func (a *answer) Complete(_ any, err error) { require.NoError(a.t, err) }
