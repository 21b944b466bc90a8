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
	b := newBench(t, upgrade.MakePlan(upgrade.Cluster{Name: "lab", Version: from, Nodes: nodes}, to, plan.Settings))
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
