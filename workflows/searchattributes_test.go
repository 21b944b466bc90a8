package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestVisibilityFollowsAnUpgrade: what the list of Temporal's UI is filtered by is right at every change, costs little,
// and every stage has a phase of its own.
func TestVisibilityFollowsAnUpgrade(t *testing.T) {
	b := newBench(t, planTo(upgrade.MustVersion("v1.38.0"), 1, 2, 1))
	b.fail["drainNode w2"] = []error{temporal.NewNonRetryableApplicationError("drain w2: blocked by a budget", string(fault.DrainBlocked), nil)}
	type row struct {
		phase, state, heldAt string
		nodes, done          int64
	}
	var rows []row
	var memos []string
	var heldSince []bool
	var target string
	b.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
		a := args.Get(0).(temporal.SearchAttributes)
		is := row{}
		is.phase, _ = a.GetKeyword(AttributePhase)
		is.state, _ = a.GetKeyword(AttributeState)
		is.heldAt, _ = a.GetKeyword(AttributeHeldAt)
		is.nodes, _ = a.GetInt64(AttributeNodes)
		is.done, _ = a.GetInt64(AttributeNodesDone)
		cluster, _ := a.GetKeyword(AttributeCluster)
		if cluster != "" { // else GetVersion's own
			require.Equal(t, "lab", cluster)
			target, _ = a.GetKeyword(AttributeTarget)
			rows = append(rows, is)
		}
	})
	b.OnUpsertMemo(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
		memo := args.Get(0).(map[string]any)
		memos = append(memos, memo[MemoMessage].(string))
		if m, ok := memo[MemoMoments].(Moments); ok {
			heldSince = append(heldSince, !m.HeldSince.IsZero())
		}
	})
	b.RegisterDelayedCallback(func() {
		require.NoError(t, b.UpdateWorkflowByID(NodeUpgradeID("lab", "w2"), UpdateRetry, "retry", &answer{t: t}, Decision{}))
	}, time.Hour)
	_, err := b.run()
	require.NoError(t, err)
	hop := func(nodes, done int64) []row {
		var all []row
		for _, phase := range []string{"check", "backup", "control-plane", "control-plane-kubelets", "workers", "verify"} {
			all = append(all, row{phase, "running", "", nodes, done})
		}
		return all
	}
	want := append([]row{{"plan", "running", "", 0, 0}, {"plan", "running", "", 3, 0}}, hop(3, 0)...)
	want = append(want, row{"check-rest", "running", "", 3, 0})
	second := hop(3, 0)
	want = append(want, second[:4]...)
	want = append(want,
		row{"control-plane-kubelets", "running", "", 3, 1}, // cp1 has no further hop
		row{"workers", "running", "", 3, 1}, row{"workers", "running", "", 3, 2},
		row{"workers", "held", "w2", 3, 2}, row{"workers", "running", "", 3, 2}, row{"workers", "running", "", 3, 3},
		row{"verify", "running", "", 3, 3}, row{"verify", "done", "", 3, 3})
	require.Equal(t, want, rows)
	require.Equal(t, "v1.38.0", target)
	require.Equal(t, []string{"w2: Drain: drain w2: blocked by a budget", ""}, memos)
	require.Equal(t, []bool{true, false}, heldSince)
}

func TestMomentsAreOfTheOldestHoldAndTheWindow(t *testing.T) {
	at := time.Date(2026, 11, 28, 22, 0, 0, 500, time.FixedZone("CET", 3600))
	m := momentsOf([]upgrade.Wait{
		{For: upgrade.ForDecision, Since: at.Add(time.Minute)}, {For: upgrade.ForApproval, Since: at}, {For: upgrade.ForResume, Since: at.Add(-time.Hour)},
		{For: upgrade.ForWindow, Since: at, Until: at.Add(24 * time.Hour)},
	})
	require.Equal(t, Moments{
		HeldSince: time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC), WindowOpens: time.Date(2026, 11, 29, 21, 0, 0, 0, time.UTC),
	}, m)
	require.Equal(t, Moments{}, momentsOf(nil))
}

func TestVisibilityCountsManyNodesByTheHundredth(t *testing.T) {
	s := upgrade.Status{Cluster: "lab", State: upgrade.Running}
	for i := range 1000 {
		s.Nodes = append(s.Nodes, upgrade.NodeStatus{Node: fmt.Sprint(i), State: upgrade.Done})
	}
	s.Nodes[7].State, s.Nodes[8].State = upgrade.Skipped, upgrade.Pending
	now := indexOf(s)
	require.Equal(t, [2]int{1000, 999}, [2]int{now.nodes, now.nodesDone})
	was := now
	was.nodesDone = 990
	require.False(t, now.differs(was), "nine more of a thousand")
	was.nodesDone = 989
	require.True(t, now.differs(was))
	was.nodesDone, was.phase = 998, "workers"
	require.True(t, now.differs(was), "the phase changed")
	was = now
	was.nodesDone = 1000
	require.True(t, now.differs(was), "a new plan has more to do")
}

func TestSearchAttributesFitIntoSQLite(t *testing.T) {
	count := map[enumspb.IndexedValueType]int{}
	for _, kind := range IndexedValueTypes() {
		count[kind]++
	}
	// Half of what one namespace has, so that others who use it have room too.
	require.LessOrEqual(t, count[enumspb.INDEXED_VALUE_TYPE_KEYWORD], 5)
	require.LessOrEqual(t, count[enumspb.INDEXED_VALUE_TYPE_INT], 2)
	require.Len(t, count, 2)
}
