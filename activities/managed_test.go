package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestAProvidersUpdatesAreBegunUnderOneKey(t *testing.T) {
	w := &world{errs: map[string][]error{"UpgradeAddon coredns v2": {fault.New(fault.Unreachable, "update", "coredns", "no answer", "")}}}
	env, a := environment(t, w)
	in := NodeInput{Cluster: "prod", Node: "addon/coredns", Owner: "me", Run: "r-1", Addon: upgrade.AddonMove{Name: "coredns", From: "v1", To: "v2"}}
	_, err := env.ExecuteActivity(a.UpdateAddon, in)
	require.Error(t, err)
	value, err := env.ExecuteActivity(a.UpdateAddon, in)
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.Equal(t, "update u-1, which somebody else had begun", out.Note)
	in.Try++
	_, err = env.ExecuteActivity(a.UpdateAddon, in)
	require.NoError(t, err)
	require.Equal(t, w.keys[0], w.keys[1], "found again")
	require.NotEqual(t, w.keys[0], w.keys[2], "what a person has tried again is another")

	_, err = env.ExecuteActivity(a.UpdateNodeGroup, NodeInput{Cluster: "prod", Node: "nodegroup/workers", Version: v137})
	require.NoError(t, err)
	require.Equal(t, "UpgradeNodeGroup workers v1.37.2", w.calls[len(w.calls)-1])
}

func TestAControlPlaneIsCheckedAnewBeforeItsUpdate(t *testing.T) {
	w := &world{run: upgrade.Managed{Insights: []upgrade.ManagedInsight{{Name: "Deprecated APIs", Status: upgrade.InsightError, Version: v137, Reason: "2 objects"}}}}
	env, a := environment(t, w)
	in := NodeInput{Cluster: "prod", Node: "control-plane", Version: v137}
	_, err := env.ExecuteActivity(a.UpdateControlPlane, in)
	require.ErrorContains(t, err, "Deprecated APIs")
	require.Equal(t, []string{"Managed", "RefreshInsights"}, w.calls)
	in.Force = true
	_, err = env.ExecuteActivity(a.UpdateControlPlane, in)
	require.NoError(t, err)
	require.Equal(t, "UpgradeControlPlane v1.37.2 force=true", w.calls[len(w.calls)-1])
}

func TestAManagedClusterIsObservedWithoutItsHosts(t *testing.T) {
	w := &world{settings: upgrade.Settings{Provider: upgrade.ProviderEKS}, run: upgrade.Managed{Provider: upgrade.ProviderEKS, Name: "prod", Version: upgrade.MustVersion("v1.37.0").Whole(), Status: "ACTIVE"}}
	w.seen = upgrade.Cluster{Nodes: []upgrade.Node{{Name: "ip-1", Group: "workers", Ready: true, Kubelet: v137}}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "prod", Target: "v1.37"})
	require.NoError(t, err)
	var plan upgrade.Plan
	require.NoError(t, value.Get(&plan))
	require.Empty(t, plan.Hops)
	require.Empty(t, plan.Errors())
	require.NotContains(t, w.calls, "Observe ip-1")
}

func TestAMinorIsATargetOnlyWhereAProviderChoosesThePatch(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "prod", Target: "1.37"})
	require.ErrorContains(t, err, `plan prod: "v1.37" names no release, wanted a version like v1.37.2`)
	require.Equal(t, []string{"Settings"}, w.calls, "nobody is asked in vain")
}

func TestWorkloadsOnFargateAreRestartedAndWaitedFor(t *testing.T) {
	since := time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)
	w := &world{errs: map[string][]error{"RestartFargate v1.37.2 12:00:00": {fault.New(fault.VerificationFailed, "", "", "", "")}}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.RestartFargate, NodeInput{Cluster: "prod", Version: v137, Since: since})
	require.NoError(t, err)
	require.Equal(t, []string{"RestartFargate v1.37.2 12:00:00", "RestartFargate v1.37.2 12:00:00"}, w.calls)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.Equal(t, "as they are, since nobody makes them anew: batch/once", out.Left)
}

func TestNodesThatReplaceThemselvesAreWaitedFor(t *testing.T) {
	w := &world{errs: map[string][]error{"NodesBehind": {fault.New(fault.VerificationFailed, "", "", "", "")}}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.AwaitNodes, NodeInput{Cluster: "prod", Version: v137})
	require.NoError(t, err)
	require.Equal(t, []string{"NodesBehind", "NodesBehind"}, w.calls)
}
