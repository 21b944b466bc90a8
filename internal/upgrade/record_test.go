package upgrade

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func kept(budget, reason string, pods ...string) (all []BlockedPod) {
	for _, p := range pods {
		all = append(all, BlockedPod{Pod: p, Budget: budget, Reason: reason})
	}
	return all
}

func TestAddBlockedCountsABudgetOnceHoweverManyPodsItKeeps(t *testing.T) {
	var w []DrainWait
	w = AddBlocked(w, kept("pay/api", "has 2", "pay/api-1", "pay/api-2"), at(0), at(5))
	w = AddBlocked(w, append(kept("pay/api", "has 3", "pay/api-2"), kept("", "its namespace is being deleted", "old/x")...), at(5), at(7))
	w = AddBlocked(w, nil, at(7), at(8))
	w = AddBlocked(w, kept("", "cannot delete pods without a controller", ""), at(8), at(9))
	require.Equal(t, []DrainWait{
		{Budget: "pay/api", Reason: "has 3", Waited: Duration(7 * time.Second), From: at(0), To: at(7), Pods: []string{"pay/api-1", "pay/api-2"}},
		{Reason: "its namespace is being deleted", Waited: Duration(2 * time.Second), From: at(5), To: at(7), Pods: []string{"old/x"}},
		{Reason: "cannot delete pods without a controller", Waited: Duration(time.Second), From: at(8), To: at(9)},
	}, w)
}

func TestWaitsAreBounded(t *testing.T) {
	var pods []string
	for i := range 100 {
		pods = append(pods, fmt.Sprintf("pay/api-%d", i))
	}
	w := AddBlocked(nil, kept("pay/api", "has 3", pods...), at(0), at(5))
	for i := range 100 {
		w = AddBlocked(w, kept(fmt.Sprint("budget-", i), "", "x/y"), at(5), at(6))
	}
	w = BoundWaits(w)
	require.Len(t, w, maxDrainWaits)
	require.Len(t, w[0].Pods, maxWaitingPods)
	require.Equal(t, 92, w[0].Others)
}

func TestMergeWaitsOfTwoTries(t *testing.T) {
	first := AddBlocked(nil, kept("pay/api", "has 2", "pay/api-1"), at(0), at(5))
	second := AddBlocked(nil, kept("pay/api", "has 3", "pay/api-2"), at(60), at(62))
	require.Equal(t, []DrainWait{{Budget: "pay/api", Reason: "has 3", Waited: Duration(7 * time.Second), From: at(0), To: at(62),
		Pods: []string{"pay/api-1", "pay/api-2"}}}, MergeWaits(first, second))
	require.Equal(t, []string{"pay/api-1"}, first[0].Pods, "what was known before is left as it is")
	require.Nil(t, MergeWaits(nil, nil), "nothing is kept of what did not wait")
}

func TestDowntime(t *testing.T) {
	var d Downtime
	for i := range 100 {
		d.Add(at(10*i), at(10*i+1))
	}
	require.Equal(t, Duration(100*time.Second), d.Down, "the sum goes on where the list ends")
	require.Len(t, d.Stretches, maxStretches)
	require.Nil(t, MergeDowntime(nil, nil), "not measured")
	one := &Downtime{Down: Duration(time.Second), Stretches: []Stretch{{at(0), at(1)}}}
	require.Equal(t, &Downtime{Down: Duration(time.Second), AtLeast: true, Stretches: one.Stretches}, MergeDowntime(one, nil))
	require.Equal(t, Duration(2*time.Second), MergeDowntime(one, one).Down)
}

func TestRecordKeepsActionsInOrderAndOnce(t *testing.T) {
	var s Status
	late, early := Action{At: at(9), What: "retry", Node: "w1", By: "me"}, Action{At: at(3), What: "retry", Node: "w2"}
	s.Record(late)
	before := s.Actions
	s.Record(early, late)
	require.Equal(t, []Action{early, late}, s.Actions)
	require.Equal(t, []Action{late}, before, "a copy of the status keeps its own list")
}
