package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var target = upgrade.MustVersion("v1.38.0")

// rest is what is planned after the first hop of a plan to target, when the nodes were as given but for what the hop
// did to them.
func rest(nodes []upgrade.Node) upgrade.Plan {
	after := make([]upgrade.Node, len(nodes))
	for i, n := range nodes {
		n.Host.Kubeadm = to
		if n.ControlPlane {
			n.Kubelet = to
			n.Components = map[string]upgrade.Version{upgrade.APIServer: to, upgrade.ControllerManager: to, upgrade.Scheduler: to}
		}
		after[i] = n
	}
	settings := upgrade.Settings{MaxUnavailable: upgrade.AtMost(1), Drain: upgrade.Drain{Timeout: upgrade.Duration(time.Minute)}}
	return upgrade.MakePlan(upgrade.Cluster{Name: "lab", Version: to, Nodes: after}, upgrade.Wanted{Target: target}, settings)
}

// TestFactsThatNoLongerFitHoldBeforeTheNextHop: somebody cordons w2 during the first hop. A person is told, and lets it
// be done as it would be planned now.
func TestFactsThatNoLongerFitHoldBeforeTheNextHop(t *testing.T) {
	plan := planTo(target, 1, 2, 1)
	b := newBench(t, plan)
	nodes := plan.Nodes
	b.left = func() upgrade.Plan { return rest(nodes) }
	var asked []activities.PlanInput
	b.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
		var in activities.PlanInput
		if info.ActivityType.Name == "MakePlan" && args.Get(&in) == nil {
			asked = append(asked, in)
		}
	})
	var held []upgrade.Status
	look := func() {
		var s upgrade.Status
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, v.Get(&s))
		held = append(held, s)
		b.UpdateWorkflow(UpdateRetry, "", &answer{t: t}, Decision{Reason: "is in repair", By: "me"})
	}
	cordon := func(i int) {
		changed := append([]upgrade.Node{}, nodes...)
		changed[i].Cordoned = true
		nodes = changed
	}
	b.RegisterDelayedCallback(func() { cordon(2) }, time.Second)
	b.RegisterDelayedCallback(func() { look(); cordon(1) }, time.Hour) // while a person thinks, w1 is cordoned too
	b.RegisterDelayedCallback(look, 2*time.Hour)
	r, err := b.run()
	require.NoError(t, err)

	require.Len(t, held, 2)
	for _, s := range held {
		require.Equal(t, upgrade.Held, s.State)
		require.Equal(t, 1, s.Hop)
	}
	const begin, end = "Check that the rest of the plan still fits: check the plan of lab: the cluster has changed since: ", "; retry, and the rest is done as it is planned now"
	require.Equal(t, begin+"w2: somebody has cordoned it"+end, held[0].Message)
	require.Equal(t, begin+"w1: somebody has cordoned it; w2: somebody has cordoned it"+end, held[1].Message, "what nobody was shown is shown first")
	require.Equal(t, upgrade.Done, r.Status.State)
	require.NotContains(t, b.log, "uncordonNode w2")
	require.NotContains(t, b.log, "uncordonNode w1")
	require.Contains(t, b.log, "verifyNode w2")
	require.Equal(t, []upgrade.State{upgrade.Done, upgrade.Done, upgrade.Done, upgrade.Done, upgrade.Done, upgrade.Done}, states(r.Status))
	require.Len(t, asked, 4, "planned, and looked at three times")
	require.Empty(t, asked[0].Through)
}

// TestErrorsBeforeTheNextHopHold until they are put right; nothing is planned anew.
func TestErrorsBeforeTheNextHopHold(t *testing.T) {
	plan := planTo(target, 1, 2, 1)
	b := newBench(t, plan)
	nodes := plan.Nodes
	b.left = func() upgrade.Plan { return rest(nodes) }
	var message string
	for i := range 2 {
		b.RegisterDelayedCallback(func() {
			var s upgrade.Status
			v, err := b.QueryWorkflow(QueryStatus)
			require.NoError(t, err)
			require.NoError(t, v.Get(&s))
			message = s.Message
			nodes = append([]upgrade.Node{}, plan.Nodes...)
			nodes[1].Ready = i == 1
			b.UpdateWorkflow(UpdateRetry, "", &answer{t: t}, Decision{})
		}, time.Duration(i+1)*time.Hour)
	}
	b.RegisterDelayedCallback(func() {
		nodes = append([]upgrade.Node{}, plan.Nodes...)
		nodes[1].Ready = false
	}, time.Second)
	r, err := b.run()
	require.NoError(t, err)
	require.Contains(t, message, "w1: the node is not Ready; repair it or remove it from the cluster first; put it right, then retry")
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Contains(t, b.log, "uncordonNode w1")
}
