package activities

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// replacing is a node that another takes the place of.
func replacing() NodeInput {
	return NodeInput{
		Cluster: "lab", Node: "w1", Role: upgrade.Worker, Version: v137, Owner: "me",
		Settings: upgrade.Settings{Drain: upgrade.Drain{Timeout: upgrade.Duration(time.Minute)}},
		Successor: &SuccessorInput{
			Replacement: upgrade.Replacement{Cluster: "lab", Pool: "web", Version: v137, Run: "r-1", Surge: 1},
			Old:         upgrade.Machine{Node: "w1", Zone: "a"}, UID: "u1", JoinTimeout: upgrade.Duration(time.Second),
		},
	}
}

func TestAddNode(t *testing.T) {
	w := &world{errs: map[string][]error{"NodeOf": {fault.New(fault.NotFound, "find", "m", "it has not joined", "")}}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.AddNode, replacing())
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.Equal(t, "new1", out.Successor)
	require.Equal(t, "a", out.Machine.Zone)
	require.Equal(t, []string{"Provider", "Join", "Add", "NodeOf", "NodeOf", "NodeReady", "EndJoin"}, w.calls)
	require.NotEmpty(t, w.joins[0].Token, "the provider is given what its machine needs")
	kept, err := json.Marshal(out)
	require.NoError(t, err)
	require.NotContains(t, string(kept), "abcdef", "no secret stands in the history")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", w.joins[0], w.joins[0], w.joins[0]), w.joins[0].Token)
}

func TestAMachineThatDoesNotJoinIsRemovedAgain(t *testing.T) {
	w := &world{errs: map[string][]error{}}
	for range 100 {
		w.errs["NodeReady"] = append(w.errs["NodeReady"], fault.New(fault.VerificationFailed, "verify", "new1", "NotReady", ""))
	}
	env, a := environment(t, w)
	in := replacing()
	_, err := env.ExecuteActivity(a.AddNode, in)
	require.ErrorContains(t, err, "it was removed again; the old node is as it was")
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	var out Outcome
	require.NoError(t, failed.Details(&out))
	require.True(t, out.GivenUp, "the next attempt gets another machine")
	key := in.Successor.Key(in.Successor.slot())
	require.Equal(t, []string{"NodeOf", "Remove machine m-" + key, "DeleteNode new1", "EndJoin"}, w.calls[len(w.calls)-4:])
	in.Successor.Try++
	require.NotEqual(t, key, in.Successor.Key(in.Successor.slot()))
}

func TestReplacedNodeGoesInOrder(t *testing.T) {
	w := &world{passes: []upgrade.DrainPass{{}}, errs: map[string][]error{
		"VolumesReleased": {fault.New(fault.VerificationFailed, "release", "w1", "1 still attached", "")}}}
	env, a := environment(t, w)
	for _, step := range []any{a.WithdrawNode, a.DrainNode, a.ReleaseVolumes, a.RemoveNode} {
		_, err := env.ExecuteActivity(step, replacing())
		require.NoError(t, err)
	}
	require.Equal(t, "Provider,Cordon,Withdraw w1,Withdraw machine w1,Cordon,Evict,VolumesReleased,VolumesReleased,Provider,Remove machine w1,DeleteNode w1 u1",
		strings.Join(w.calls, ","))
}

func TestANodeThatStaysIsWhatItWas(t *testing.T) {
	w := &world{passes: []upgrade.DrainPass{{Evicted: 1}, {}}}
	env, a := environment(t, w)
	in := replacing()
	in.Successor.New = &upgrade.Machine{ID: "m-1"}
	_, err := env.ExecuteActivity(a.KeepNode, in)
	require.NoError(t, err)
	require.Equal(t, "Provider,Readmit machine w1,Uncordon w1,NodeOf,Cordon,Evict,AwaitEviction,Evict,Remove machine m-1,DeleteNode new1", strings.Join(w.calls, ","))
}

func TestNobodyIsReplacedByNothing(t *testing.T) {
	env, a := environment(t, &world{})
	in := replacing()
	in.Successor = nil
	_, err := env.ExecuteActivity(a.RemoveNode, in)
	require.ErrorContains(t, err, "it is not said by what")
}

func TestSettingsOfAPoolArePutBack(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	in := ReplacementInput{Replacement: replacing().Successor.Replacement}
	value, err := env.ExecuteActivity(a.BeginReplacement, in)
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	in.Snapshot = out.Snapshot
	_, err = env.ExecuteActivity(a.EndReplacement, in)
	require.NoError(t, err)
	require.Equal(t, `End {"max":3}`, w.calls[len(w.calls)-1])
}

func TestProvidersAreLookedAtForThePlan(t *testing.T) {
	node := func(name, pool string, replaced bool, kubelet upgrade.Version) upgrade.Node {
		return upgrade.Node{Name: name, Pool: pool, Replaced: replaced, Kubelet: kubelet}
	}
	w := &world{settings: upgrade.Settings{Pools: []upgrade.PoolSettings{{Name: "web", Strategy: upgrade.AddNewNodes, Provider: "asg"}, {Name: "workers"}}}}
	w.seen = upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{node("w1", "web", true, v136), node("w2", "web", true, v137), node("w3", "workers", false, v136)}}
	w.hosts = map[string]upgrade.Host{"w3": {OS: "debian"}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: v137.String()})
	require.NoError(t, err)
	var plan upgrade.Plan
	require.NoError(t, value.Get(&plan))
	require.Contains(t, plan.Findings, upgrade.Finding{ID: upgrade.NodeProvider, Severity: upgrade.SeverityInfo, Message: "1 of web"}, "one is there already")
	require.NotContains(t, w.calls, "Observe w1", "nobody works on a machine that is replaced")
	require.Contains(t, w.calls, "Observe w3")
}

func TestStoppingIsEvictionWithoutBudgets(t *testing.T) {
	w := &world{passes: []upgrade.DrainPass{{Evicted: 2}, {Terminating: 2}, {}}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.StopPods, replacing())
	require.NoError(t, err)
	require.Equal(t, "Cordon,Stop,AwaitEviction,Stop,AwaitEviction,Stop", strings.Join(w.calls, ","))
}

func TestOutageIsMeasured(t *testing.T) {
	w := &world{away: 90 * time.Second, errs: map[string][]error{"ServedSince web/a": {errors.New("not yet")}}}
	env, a := environment(t, w)
	since := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	in := ServicesInput{PoolInput: PoolInput{Pool: "batch"}, Services: []string{"web/a", "web/b"}, Since: since}
	for range servicesKept {
		in.Services = append(in.Services, "web/more")
	}
	value, err := env.ExecuteActivity(a.AwaitServices, in)
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.Equal(t, since.Add(90*time.Second), out.Outage.To)
	require.Equal(t, upgrade.ServiceOutage{Service: "web/a", Down: upgrade.Duration(90 * time.Second)}, out.Outage.Services[0])
	require.Len(t, out.Outage.Services, servicesKept)
	require.Equal(t, 2, out.Outage.Others)
}
