package activities

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func policy(t *testing.T, s string) upgrade.Policy {
	t.Helper()
	p, err := upgrade.ParsePolicy(s)
	require.NoError(t, err)
	return p
}

func TestPlanByPolicyLooksAsFarAsThePolicyReaches(t *testing.T) {
	v1369 := upgrade.MustVersion("v1.36.9")
	components := map[string]upgrade.Version{upgrade.APIServer: v136, upgrade.ControllerManager: v136, upgrade.Scheduler: v136}
	for rule, want := range map[string]struct {
		minors []upgrade.Version // looked into last
		looks  int
		target upgrade.Version
	}{
		"newest-patch": {[]upgrade.Version{v136}, 1, v1369},
		"newest-minor": {[]upgrade.Version{v136}, 2, v137}, // the minors to come, and then the one that it is at
	} {
		w := &world{
			seen: upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{{Name: "cp1", ControlPlane: true, Kubelet: v136, Ready: true, Components: components}}},
			hosts: map[string]upgrade.Host{"cp1": {PackageManager: "apt", Kubeadm: v136, FreeBytes: 1 << 40,
				Available: []upgrade.Version{v136, v1369, v137}}},
		}
		env, a := environment(t, w)
		v, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Policy: policy(t, rule), Brief: true})
		require.NoError(t, err)
		var p upgrade.Plan
		require.NoError(t, v.Get(&p))
		require.Empty(t, p.Errors())
		require.Equal(t, want.target, p.Target)
		require.Equal(t, []upgrade.Hop{{From: v136, To: want.target}}, p.Hops, "in brief")
		require.Equal(t, want.minors, w.minors)
		looks := 0
		for _, call := range w.calls {
			if call == "Observe cp1" {
				looks++
			}
		}
		require.Equal(t, want.looks, looks, rule)
	}
}

func TestFindUpgrade(t *testing.T) {
	w := &world{running: RunningUpgrade{Workflow: "cluster-upgrade/lab", Target: v137, State: upgrade.Held}}
	env, a := environment(t, w)
	v, err := env.ExecuteActivity(a.FindUpgrade, ObserveInput{Cluster: "lab"})
	require.NoError(t, err)
	var found RunningUpgrade
	require.NoError(t, v.Get(&found))
	require.Equal(t, w.running, found)

	w.errs = map[string][]error{"Running": {errors.New("no answer")}}
	_, err = env.ExecuteActivity(a.FindUpgrade, ObserveInput{Cluster: "lab"})
	failed := requireFault(t, err, fault.Unreachable)
	require.Equal(t, "look for an upgrade of lab: no answer", failed.Message())
	require.False(t, failed.NonRetryable())
}
