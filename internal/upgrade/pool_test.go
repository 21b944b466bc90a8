package upgrade

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAmounts(t *testing.T) {
	for text, want := range map[string][3]int{ // of 1, 7 and 100 nodes
		"1": {1, 1, 1}, "3": {3, 3, 3}, "25%": {1, 1, 25}, "50%": {1, 3, 50}, "100%": {1, 7, 100}, "1%": {1, 1, 1},
	} {
		a, err := ParseAmount(text)
		require.NoError(t, err)
		require.Equal(t, want, [3]int{a.Of(1), a.Of(7), a.Of(100)}, text)
		kept, err := json.Marshal(a)
		require.NoError(t, err)
		var again Amount
		require.NoError(t, json.Unmarshal(kept, &again))
		require.Equal(t, a, again)
		require.Equal(t, text, a.String())
	}
	for _, bad := range []string{"", "0", "-1", "101%", "0%", "a few", "1.5", "%"} {
		_, err := ParseAmount(bad)
		require.ErrorContains(t, err, "wanted a number from 1, or a percentage like 25%", bad)
	}
	var none Amount
	require.NoError(t, json.Unmarshal([]byte("0"), &none))
	require.Equal(t, AtMost(2), none.Or(AtMost(2)))
	require.Error(t, json.Unmarshal([]byte(`"x%"`), &none))
}

// inPools is a healthy cluster whose workers have pools and zones: "pool/zone".
func inPools(places ...string) Cluster {
	c := healthy(1, len(places))
	for i, place := range places {
		n := &c.Nodes[i+1]
		n.Pool, n.Zone, _ = strings.Cut(place, "/")
		n.Created = time.Date(2026, 1, 30-i, 0, 0, 0, 0, time.UTC)
	}
	return c
}

func workersOf(h Hop) (names []string) {
	for _, n := range h.Workers {
		names = append(names, n.Node)
	}
	return names
}

func TestPoolsAndTheirOrder(t *testing.T) {
	c := inPools("b/y", "a/x", "a/y", "a/x", "b/x")
	for order, want := range map[Order][]string{
		ByName: {"w2", "w3", "w4", "w1", "w5"}, ByZone: {"w2", "w4", "w3", "w5", "w1"}, ByAge: {"w4", "w3", "w2", "w5", "w1"}, AsListed: {"w4", "w2", "w3", "w1", "w5"},
	} {
		s := settings()
		s.Pools = []PoolSettings{{Name: "a", Strategy: Rolling, Order: order, Nodes: []string{"w4", "w9"}}, {Name: "b", Strategy: Rolling, Order: order}, {Name: "c", Selector: "x=y"}}
		p := MakePlan(c, Wanted{Target: v137}, s)
		require.Empty(t, p.Errors())
		require.Equal(t, want, workersOf(p.Hops[0]), order)
		require.Len(t, p.Pools, 2, "one has no nodes")
		require.Contains(t, ids(p.Findings), PoolEmpty)
	}
}

func ids(all []Finding) (names []string) {
	for _, f := range all {
		names = append(names, f.ID)
	}
	return names
}

func TestNeverEveryNodeOfAPool(t *testing.T) {
	for _, of := range []struct{ size, asked, want int }{{1, 1, 1}, {2, 2, 1}, {3, 9, 2}, {4, 2, 2}} {
		s := settings()
		s.Pools = []PoolSettings{{Name: "a", Strategy: Rolling, MaxUnavailable: AtMost(of.asked)}}
		var places []string
		for range of.size {
			places = append(places, "a/x")
		}
		p := MakePlan(inPools(places...), Wanted{Target: v137}, s)
		require.Equal(t, of.want, p.Pools[0].AtOnce, of)
	}
}

func TestAllAtOnceStopsPodsUnlessToldToDrain(t *testing.T) {
	s := settings()
	s.Pools = []PoolSettings{{Name: "a", Strategy: AllAtOnce}, {Name: "b", Strategy: AllAtOnce, Drain: true}}
	p := MakePlan(inPools("a/x", "a/x", "b/x"), Wanted{Target: v137}, s)
	require.Contains(t, p.Hops[0].Workers[0].Steps, StopPods)
	require.NotContains(t, p.Hops[0].Workers[0].Steps, DrainNode)
	require.Contains(t, p.Hops[0].Workers[2].Steps, DrainNode)
	require.Equal(t, 2, p.Pools[0].AtOnce)
	var said string
	for _, f := range p.Findings {
		if f.ID == ApplicationsDown && f.Target == "a" {
			said = f.String()
		}
	}
	require.Contains(t, said, "a: all 2 nodes are upgraded at the same time: what runs on them only is down for about 19s")
	require.Empty(t, p.Errors(), "it waits for an approval instead")
}

func replacedPool(c Cluster) Cluster {
	for i := range c.Nodes {
		if n := &c.Nodes[i]; n.Pool == "new" {
			n.Replaced, n.UID, n.ProviderID, n.Host = true, "u-"+n.Name, "aws:///a/i-"+n.Name, Host{}
		}
	}
	return c
}

func TestNodesAreReplacedOnceAndNotWorkedOn(t *testing.T) {
	s := settings()
	s.Pools = []PoolSettings{{Name: "new", Strategy: AddNewNodes, MaxSurge: AtMost(2)}, {Name: DefaultPool, Strategy: Rolling}}
	c := replacedPool(inPools("new/x", "new/y", "workers/x"))
	for i := range c.Nodes {
		if !c.Nodes[i].Replaced {
			c.Nodes[i].Host.Available = append(c.Nodes[i].Host.Available, MustVersion("v1.38.0"))
		}
	}
	p := MakePlan(c, Wanted{Target: MustVersion("v1.38.0")}, s)
	require.Empty(t, p.Errors())
	require.Len(t, p.Hops, 2)
	require.Equal(t, []string{"w3"}, workersOf(p.Hops[0]), "nobody works on machines that will be removed")
	require.Equal(t, []string{"w1", "w2", "w3"}, workersOf(p.Hops[1]))
	first := p.Hops[1].Workers[0]
	require.Equal(t, ReplacementSteps(), first.Steps)
	require.Equal(t, Machine{ID: "aws:///a/i-w1", Node: "w1", Address: first.Address, Zone: "x"}, first.Machine)
	require.Equal(t, "u-w1", first.UID)
	require.Equal(t, 2, p.Pools[0].AtOnce)
}

func TestNodesThatWouldHaveToBeReplacedTwiceAreRefused(t *testing.T) {
	s := settings()
	s.Pools = []PoolSettings{{Name: "new", Strategy: AddNewNodes, MaxSurge: AtMost(1)}}
	c := replacedPool(inPools("new/x"))
	c.Nodes[1].Kubelet = MustVersion("v1.34.0")
	available := &c.Nodes[0].Host.Available
	*available = append(*available, MustVersion("v1.38.0"))
	p := MakePlan(c, Wanted{Target: MustVersion("v1.38.0")}, s)
	require.True(t, p.Refused())
	require.Contains(t, p.Errors()[0].String(), "w1: would have to be replaced in the hop to v1.37.2 and again later: its kubelet v1.34.0 is too old for the whole way; upgrade to v1.37.2 first, then on")
}

// TestRoundsKeepTheLimits holds for any pool: every node once, the canary alone, no round of two zones.
func TestRoundsKeepTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := PoolSettings{Name: "a", Strategy: Rolling, Canary: rapid.Bool().Draw(t, "canary"), OneZoneAtATime: rapid.Bool().Draw(t, "zones"),
			Order: rapid.SampledFrom([]Order{ByName, ByZone, ByAge}).Draw(t, "order"), MaxUnavailable: AtMost(rapid.IntRange(1, 9).Draw(t, "at once"))}
		var places []string
		for range rapid.IntRange(1, 12).Draw(t, "nodes") {
			places = append(places, "a/"+rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "zone"))
		}
		s := settings()
		s.Pools = []PoolSettings{pool}
		p := MakePlan(inPools(places...), Wanted{Target: v137}, s)
		parts := p.Parts(p.Hops[0])
		require.Len(t, parts, 1)
		seen := map[string]int{}
		zones := map[string]int{} // the round in which it came last
		for i, round := range parts[0].Rounds() {
			require.NotEmpty(t, round)
			if i == 0 && pool.Canary && len(places) > 1 {
				require.Len(t, round, 1)
			}
			for _, n := range round {
				seen[n.Node]++
				if pool.OneZoneAtATime {
					require.Equal(t, round[0].Zone, n.Zone)
					last, before := zones[n.Zone]
					require.True(t, !before || last >= i-1, "a zone is come back to")
					zones[n.Zone] = i
				}
			}
		}
		require.Len(t, seen, len(places))
		for node, times := range seen {
			require.Equal(t, 1, times, node)
		}
		require.Less(t, parts[0].Pool.AtOnce, max(2, len(places)), "never every node")
	})
}

func TestKeysOfSlots(t *testing.T) {
	r := Replacement{Cluster: "lab", Pool: "a", Run: "r-1"}
	keys := map[string]bool{}
	for _, node := range []string{"w1", "w2"} {
		for try := range 2 {
			key := r.Key(Slot{Old: Machine{Node: node}, Try: try})
			require.LessOrEqual(t, len(key), 64)
			require.Equal(t, key, r.Key(Slot{Old: Machine{Node: node, Address: "10.0.0.1"}, Try: try}))
			keys[key] = true
		}
	}
	require.Len(t, keys, 4)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", Join{Token: "hush"}, Join{Token: "hush"}, Join{Token: "hush"}, Join{Token: "hush"}), "hush")
}
