package workflows

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// managed is the plan of a cluster on EKS over one minor: an add-on before the control plane and kube-proxy after, one node
// group.
func managed(bake time.Duration) upgrade.Plan {
	now, next := upgrade.MustVersion("v1.36.0").Whole(), upgrade.MustVersion("v1.37.0").Whole()
	version := func(v string, good ...upgrade.Version) upgrade.ManagedAddonVersion {
		return upgrade.ManagedAddonVersion{Version: v, For: good}
	}
	m := &upgrade.Managed{
		Provider: upgrade.ProviderEKS, Name: "prod", Version: now, Status: "ACTIVE", Support: upgrade.ExtendedSupport,
		Offered: []upgrade.ManagedMinor{{Version: now, Support: upgrade.StandardSupport}, {Version: next, Support: upgrade.StandardSupport}},
		Subnets: []upgrade.ManagedSubnet{{ID: "subnet-a", Free: 50}},
		Addons: []upgrade.ManagedAddon{
			{Name: "coredns", Version: "v1.11.1-eksbuild.1", Status: "ACTIVE", Publisher: "eks", Versions: []upgrade.ManagedAddonVersion{version("v1.11.4-eksbuild.1", now, next), version("v1.11.1-eksbuild.1", now)}},
			{Name: "kube-proxy", Version: "v1.36.1-eksbuild.1", Status: "ACTIVE", Publisher: "eks", Versions: []upgrade.ManagedAddonVersion{version("v1.37.1-eksbuild.1", next), version("v1.36.1-eksbuild.1", now)}},
		},
		NodeGroups: []upgrade.NodeGroup{{Name: "workers", Version: now, Status: "ACTIVE", AMIType: "AL2023_x86_64_STANDARD", Desired: 3, Max: 5, MaxUnavailable: 1}},
	}
	c := upgrade.Cluster{Name: "lab", Version: now, Managed: m}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: next}, upgrade.Settings{Provider: upgrade.ProviderEKS, Bake: upgrade.Duration(bake), MaxUnavailable: upgrade.AtMost(1)})
}

func TestManagedControlPlane(t *testing.T) {
	b := newBench(t, managed(0))
	require.Empty(t, b.plan.Errors())
	b.fail["updateControlPlane control-plane"] = []error{temporal.NewNonRetryableApplicationError("the update failed: IpNotAvailable", string(fault.VerificationFailed), nil)}
	held := b.statusAt(2 * time.Hour)
	b.tells(3*time.Hour, "control-plane", UpdateRetry, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, []string{"plan", "checkControlPlane", "updateAddon addon/coredns", "updateControlPlane control-plane FAILED", "updateControlPlane control-plane",
		"updateAddon addon/kube-proxy", "updateNodeGroup nodegroup/workers", "verifyCluster"}, b.log, "nothing of anybody's machines is backed up")
	require.Equal(t, []string{"spread  []"}, b.pooled)
	var titles []string
	for _, s := range r.Status.Stages {
		titles = append(titles, s.Title)
	}
	require.NotContains(t, titles, "Upgrade the control plane's kubelets to v1.37")
}

// evictionsFail are updates that failed, so many.
func evictionsFail(times int) (all []error) {
	for range times {
		all = append(all, temporal.NewNonRetryableApplicationError("the update failed: PodEvictionFailure", string(fault.VerificationFailed), nil))
	}
	return all
}

func TestANodeGroupIsForcedOnlyWhenAPersonSaysSo(t *testing.T) {
	b := newBench(t, managed(0))
	b.input.Waive = []string{upgrade.ManagedInsights} // which overrules the provider's checks of the control plane alone
	b.fail["updateNodeGroup nodegroup/workers"] = evictionsFail(3)
	b.fail["updateNodeGroup nodegroup/workers by force"] = evictionsFail(1)
	b.tells(time.Hour, "nodegroup/workers", UpdateRetry, because)
	unsaid := b.tells(2*time.Hour, "nodegroup/workers", UpdateSkipDrain, Decision{})
	b.tells(3*time.Hour, "nodegroup/workers", UpdateSkipDrain, because)
	b.tells(4*time.Hour, "nodegroup/workers", UpdateRetry, because) // which forces nothing any more
	b.tells(5*time.Hour, "nodegroup/workers", UpdateSkipDrain, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Contains(t, strings.Join(unsaid.all, " "), "Give a reason")
	plain, forced := "updateNodeGroup nodegroup/workers", "updateNodeGroup nodegroup/workers by force"
	require.Equal(t, []string{plain + " FAILED", plain + " FAILED", forced + " FAILED", plain + " FAILED", forced}, b.logOf("updateNodeGroup"))
	for _, n := range r.Status.Nodes {
		if n.Node == "nodegroup/workers" {
			step := n.Steps[0]
			require.Equal(t, upgrade.Done, step.State)
			require.Len(t, step.Holds, 4)
			require.Equal(t, []string{UpdateSkipDrain, "me", "because"}, []string{step.Holds[3].Release.What, step.Holds[3].Release.By, step.Holds[3].Release.Reason})
		}
	}
}

func TestWorkloadsOnFargateAreRestartedOnce(t *testing.T) {
	plan := managed(0)
	workers := &plan.Hops[0].Workers
	*workers = append(*workers, upgrade.NodePlan{Node: "pods-on-fargate", Role: upgrade.ManagedPart, To: plan.Target, Pool: "node-groups", Steps: []upgrade.Step{upgrade.RestartFargate}})
	b := newBench(t, plan)
	b.fail["restartFargate pods-on-fargate"] = evictionsFail(1)
	b.tell["restartFargate pods-on-fargate"] = activities.Outcome{Left: "as they are: batch/once"}
	b.tells(2*time.Hour, "pods-on-fargate", UpdateRetry, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Len(t, b.began, 2)
	require.False(t, b.began[0].IsZero())
	require.Equal(t, b.began[0], b.began[1], "a retry waits for what was restarted, and restarts nothing twice")
	last := r.Status.Nodes[len(r.Status.Nodes)-1]
	require.Equal(t, []string{"pods-on-fargate", "as they are: batch/once"}, []string{last.Node, last.Left})
}

func TestHooksRunAroundWhatAProviderChanges(t *testing.T) {
	call := func(name string, when upgrade.HookMoment, parts ...upgrade.Part) upgrade.Hook {
		h := hooked(name, when, parts...)
		h.Kind = upgrade.HTTPHook
		return h
	}
	plan := managed(0)
	plan.Settings.Hooks = []upgrade.Hook{
		call("a", upgrade.BeforeNode), call("b", upgrade.AfterNode, upgrade.PartComponents), call("c", upgrade.AfterNode, upgrade.PartNode),
		hooked("command", upgrade.BeforeNode), // for which none of them has a host
	}
	b := newBench(t, plan)
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{
		"updateAddon addon/coredns", "hook a beforeNode control-plane", "updateControlPlane control-plane", "hook b afterNode control-plane",
		"updateAddon addon/kube-proxy", "hook a beforeNode nodegroup/workers", "updateNodeGroup nodegroup/workers", "hook c afterNode nodegroup/workers",
	}, b.logOf("hook", "update"))
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(b.keys))), len(b.keys), "no two runs have the same key")

	old := newBench(t, plan)
	old.OnGetVersion("hooks-around-parts", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	_, err = old.run()
	require.NoError(t, err)
	require.Empty(t, old.logOf("hook"), "an upgrade that began before goes on as it was")
}

func TestTheControlPlaneBakes(t *testing.T) {
	b := newBench(t, managed(6*time.Hour))
	baking := b.statusAt(5 * time.Hour)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Done, r.Status.State)
	require.Equal(t, "Let the control plane bake", baking.Stages[len(baking.Stages)-1].Title)
	require.Equal(t, upgrade.Pending, nodeStatus(baking, "nodegroup/workers"))
}

func TestAnAbortEndsTheBaking(t *testing.T) {
	b := newBench(t, managed(6*time.Hour))
	b.tells(2*time.Hour, "", UpdateAbort, because)
	r, err := b.run()
	require.NoError(t, err)
	require.Equal(t, upgrade.Aborted, r.Status.State)
	require.NotContains(t, b.log, "updateNodeGroup nodegroup/workers")
	require.Less(t, r.Status.Ended.Sub(r.Status.Started), 3*time.Hour)
}

func nodeStatus(s *upgrade.Status, name string) upgrade.State {
	for _, n := range s.Nodes {
		if n.Node == name {
			return n.State
		}
	}
	return ""
}
