package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// managed is the plan of a cluster on EKS over one minor: an add-on before the control plane and kube-proxy after, one node
// group.
func managed(bake time.Duration) upgrade.Plan {
	now, next := upgrade.MustVersion("v1.36.0"), upgrade.MustVersion("v1.37.0")
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
	require.NotContains(t, titles, "Upgrade the control plane's kubelets to v1.37.0")
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
