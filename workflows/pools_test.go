package workflows

import (
	"encoding/json"
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

// pooled is the plan of a cluster of one control plane node, and workers each of which has its pool.
func pooled(pools []upgrade.PoolSettings, workers ...string) upgrade.Plan {
	c := upgrade.Cluster{Name: "lab", Version: from, Nodes: []upgrade.Node{{
		Name: "cp1", ControlPlane: true, Kubelet: from, Ready: true,
		Components: map[string]upgrade.Version{upgrade.APIServer: from, upgrade.ControllerManager: from, upgrade.Scheduler: from},
		Host:       upgrade.Host{PackageManager: "apt", Kubeadm: from, Available: []upgrade.Version{to}, FreeBytes: 1 << 40},
	}}}
	for _, w := range workers { // name/pool/zone
		f := strings.Split(w, "/")
		n := upgrade.Node{Name: f[0], Pool: f[1], Zone: f[2], Kubelet: from, Ready: true, UID: "uid-" + f[0]}
		i := slices.IndexFunc(pools, func(p upgrade.PoolSettings) bool { return p.Name == n.Pool })
		if n.Replaced = pools[i].Strategy == upgrade.AddNewNodes; !n.Replaced {
			n.Host = upgrade.Host{PackageManager: "apt", Kubeadm: from, Available: []upgrade.Version{to}}
		}
		c.Nodes = append(c.Nodes, n)
	}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: to}, upgrade.Settings{Pools: pools, Drain: upgrade.Drain{Timeout: upgrade.Duration(time.Minute)}})
}

// workersOf is the part of the log that belongs to workers: "drainNode w1".
func (b *bench) workersOf() []string {
	return slices.DeleteFunc(slices.Clone(b.log), func(entry string) bool { return !strings.Contains(entry, " w") })
}

func TestPoolsFollowOneAnother(t *testing.T) {
	b := newBench(t, pooled([]upgrade.PoolSettings{
		{Name: "b", Strategy: upgrade.Rolling, MaxUnavailable: upgrade.AtMost(1), Order: upgrade.AsListed, Nodes: []string{"w4"}},
		{Name: "a", Strategy: upgrade.Rolling, MaxUnavailable: upgrade.AtMost(2)},
	}, "w1/a/x", "w2/a/x", "w3/b/x", "w4/b/x"))
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	var begun []string
	for _, entry := range b.workersOf() {
		if strings.HasPrefix(entry, "installKubeadm ") {
			begun = append(begun, strings.TrimPrefix(entry, "installKubeadm "))
		}
	}
	require.Equal(t, []string{"w4", "w3", "w1", "w2"}, begun)
	require.Equal(t, []string{"avoid  [w4 w3 w1 w2]", "stopAvoiding  []", "spread  []"}, b.pooled)
}

// spans are from when to when each node was under way, by the environment's clock.
func spans(r Report) map[string][2]time.Time {
	all := map[string][2]time.Time{}
	for _, n := range r.Status.Nodes {
		all[n.Node] = [2]time.Time{n.Steps[0].Started, n.Steps[len(n.Steps)-1].Ended}
	}
	return all
}

func TestNeverTwoZonesAtOnceAndTheCanaryAlone(t *testing.T) {
	var workers []string
	for i := range 12 {
		workers = append(workers, fmt.Sprintf("w%02d/a/z%d", i, i%3))
	}
	b := newBench(t, pooled([]upgrade.PoolSettings{{Name: "a", Strategy: upgrade.Rolling, MaxUnavailable: upgrade.AtMost(3), OneZoneAtATime: true, Canary: true}}, workers...))
	r, err := b.run()
	require.NoError(t, err)
	at := spans(r)
	most := 0
	for _, n := range b.plan.Hops[0].Workers {
		beside := 0
		for _, o := range b.plan.Hops[0].Workers {
			overlap := at[n.Node][0].Before(at[o.Node][1]) && at[o.Node][0].Before(at[n.Node][1])
			if overlap {
				beside++
				require.Equal(t, n.Zone, o.Zone, "%s and %s", n.Node, o.Node)
			}
		}
		most = max(most, beside)
	}
	require.Equal(t, 3, most)
	first := b.plan.Hops[0].Workers[0].Node
	for name, span := range at {
		if name != first && name != "cp1" {
			require.False(t, span[0].Before(at[first][1]), "%s began before the canary was done", name)
		}
	}
}

func TestOneSlowNodeHoldsNobodyUp(t *testing.T) {
	b := newBench(t, pooled([]upgrade.PoolSettings{{Name: "a", Strategy: upgrade.Rolling, MaxUnavailable: upgrade.AtMost(2)}}, "w1/a/x", "w2/a/x", "w3/a/x", "w4/a/x", "w5/a/x"))
	b.fail["drainNode w1"] = []error{temporal.NewNonRetryableApplicationError("drain w1: blocked", string(fault.DrainBlocked), nil)}
	b.tells(10*time.Hour, "w1", UpdateRetry, because)
	r, err := b.run()
	require.NoError(t, err)
	at := spans(r)
	for _, other := range []string{"w2", "w3", "w4", "w5"} {
		require.True(t, at[other][1].Before(at["w1"][1].Add(-8*time.Hour)), "%s waited for w1", other)
	}
}

func everyone(drain bool) upgrade.Plan {
	return pooled([]upgrade.PoolSettings{{Name: "a", Strategy: upgrade.AllAtOnce, Drain: drain}}, "w1/a/x", "w2/a/x", "w3/a/y")
}

func TestAllAtOnce(t *testing.T) {
	b := newBench(t, everyone(false))
	b.input.Waive = []string{upgrade.ApplicationsDown}
	b.tell["cordonPool a [w1 w2 w3]"] = activities.Outcome{Services: []string{"web/shop"}}
	b.tell["awaitServices a [web/shop]"] = activities.Outcome{Outage: &upgrade.Outage{Pool: "a", Services: []upgrade.ServiceOutage{{Service: "web/shop"}}}}
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, []string{"avoid  [w1 w2 w3]", "cordonPool a [w1 w2 w3]", "awaitServices a [web/shop]", "stopAvoiding  []", "spread  []"}, b.pooled)
	require.Len(t, r.Status.Outages, 1)
	at := spans(r)
	require.Equal(t, at["w1"], at["w2"])
	require.Equal(t, at["w1"], at["w3"])
	require.Contains(t, b.log, "stopPods w1")
	require.NotContains(t, b.log, "drainNode w1")
}

func TestAServiceThatDoesNotComeBackIsGoneOnWithout(t *testing.T) {
	b := newBench(t, everyone(false))
	b.input.Waive = []string{upgrade.ApplicationsDown}
	b.tell["cordonPool a [w1 w2 w3]"] = activities.Outcome{Services: []string{"web/shop"}}
	b.fail["awaitServices a [web/shop]"] = []error{temporal.NewNonRetryableApplicationError("none of its pods is Ready", string(fault.VerificationFailed), nil)}
	b.tells(5*time.Hour, "", UpdatePass, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Empty(t, r.Status.Outages)
}

func TestAllAtOnceWithDrain(t *testing.T) {
	b := newBench(t, everyone(true))
	b.input.Waive = []string{upgrade.ApplicationsDown}
	_, err := b.run()
	require.NoError(t, err)
	require.Contains(t, b.log, "drainNode w1")
	require.NotContains(t, b.log, "stopPods w1")
}

func TestNobodyIsTakenDownUnasked(t *testing.T) {
	b := newBench(t, everyone(false))
	held := b.statusAt(5 * time.Hour)
	b.tells(6*time.Hour, "", UpdateAbort, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, "before all 3 workers of pool a are upgraded at the same time", held.Waits[0].At)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Empty(t, b.workersOf())
	require.Equal(t, []string{"avoid  [w1 w2 w3]", "stopAvoiding  []"}, b.pooled, "taken back when it is aborted")
}

func TestAnAbortUncordonsWhatWasCordonedWithItsPool(t *testing.T) {
	b := newBench(t, everyone(false))
	b.input.Waive = []string{upgrade.ApplicationsDown}
	b.fail["installKubeadm w2"] = []error{temporal.NewNonRetryableApplicationError("no", string(fault.PreflightFailed), nil)}
	b.tells(5*time.Hour, "", UpdateAbort, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Contains(t, b.log, "uncordonNode w2")
}

func newNodes(surge int) upgrade.Plan {
	return pooled([]upgrade.PoolSettings{{Name: "a", Strategy: upgrade.AddNewNodes, MaxSurge: upgrade.AtMost(surge), Provider: "asg",
		JoinTimeout: upgrade.Duration(upgrade.DefaultJoinTimeout)}}, "w1/a/x", "w2/a/y")
}

func TestAddNewNodes(t *testing.T) {
	b := newBench(t, newNodes(1))
	b.tell["begin a surge=1"] = activities.Outcome{Snapshot: json.RawMessage(`{"max":2}`)}
	for _, n := range []string{"1", "2"} {
		b.tell["addNode w"+n] = activities.Outcome{Successor: "n" + n, Machine: &upgrade.Machine{ID: "i-" + n}}
	}
	b.fail["addNode w1"] = []error{temporal.NewNonRetryableApplicationError("it died", string(fault.VerificationFailed), nil, activities.Outcome{GivenUp: true})}
	b.tells(5*time.Hour, "w1", UpdateRetry, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{
		"addNode w1 FAILED", "addNode w1", "withdrawNode w1", "drainNode w1", "releaseVolumes w1", "removeNode w1",
		"addNode w2", "withdrawNode w2", "drainNode w2", "releaseVolumes w2", "removeNode w2"}, b.workersOf())
	require.Equal(t, []string{"avoid  [w1 w2]", "begin a surge=1", `end a {"max":2}`, "stopAvoiding  []", "spread  []"}, b.pooled)
	require.Equal(t, "n2", r.Status.Nodes[2].Successor)

	in := b.replaced
	require.Equal(t, 0, in[0].Successor.Try)
	require.Equal(t, 1, in[1].Successor.Try, "a machine that was given up is not asked for again")
	last := in[len(in)-1].Successor
	require.Equal(t, "i-2", last.New.ID)
	require.Equal(t, "uid-w2", last.UID)
	require.Equal(t, in[0].Successor.Run, last.Run)
	require.NotEmpty(t, last.Run)
}

func TestAnAbortKeepsTheOldNodeAndPutsThePoolBack(t *testing.T) {
	b := newBench(t, newNodes(2))
	for _, n := range []string{"1", "2"} {
		b.tell["addNode w"+n] = activities.Outcome{Successor: "n" + n, Machine: &upgrade.Machine{ID: "i-" + n}}
	}
	b.fail["drainNode w1"] = []error{temporal.NewNonRetryableApplicationError("drain w1: blocked", string(fault.DrainBlocked), nil)}
	b.tells(5*time.Hour, "", UpdateAbort, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.Contains(t, b.log, "removeNode w2", "what is under way comes to its end")
	require.Equal(t, []string{"avoid  [w1 w2]", "begin a surge=2", "keep w1", "end a", "stopAvoiding  []"}, b.pooled)
	require.Equal(t, "in service as it was before", r.Status.Nodes[1].Left)
	require.Empty(t, r.Status.Nodes[1].Successor)
	require.Equal(t, "i-1", b.replaced[len(b.replaced)-1].Successor.New.ID)
}

func TestRebalancingIsOfTheNodesThatThereAre(t *testing.T) {
	plan := newNodes(1)
	plan.Pools[0].Rebalance = true
	b := newBench(t, plan)
	b.tell["addNode w1"] = activities.Outcome{Successor: "n1", Machine: &upgrade.Machine{ID: "i-1"}}
	b.tell["addNode w2"] = activities.Outcome{Successor: "n2", Machine: &upgrade.Machine{ID: "i-2"}}
	b.tell["spread  []"] = activities.Outcome{Spread: []upgrade.NodePods{{Node: "n1", Pods: 3}}}
	r, err := b.run()
	require.NoError(t, err)
	require.Contains(t, b.pooled, "rebalance a [n1 n2]")
	require.Equal(t, []upgrade.NodePods{{Node: "n1", Pods: 3}}, r.Status.Spread)
}
