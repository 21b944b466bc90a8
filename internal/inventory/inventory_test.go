package inventory

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pawl-dev/pawl/internal/forecast"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var v136, v137 = upgrade.MustVersion("v1.36.3"), upgrade.MustVersion("v1.37.2")

// one is a cluster of one worker, with a pod that nothing would bring back.
func one() Inventory {
	return Inventory{
		Made: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Cluster: upgrade.Cluster{Name: "lab", Version: v136, Nodes: []upgrade.Node{
			{Name: "cp1", ControlPlane: true, Kubelet: v136, Ready: true, Host: host(),
				Components: map[string]upgrade.Version{upgrade.APIServer: v136, upgrade.ControllerManager: v136, upgrade.Scheduler: v136}},
			{Name: "w1", Kubelet: v136, Ready: true, Host: host()}}},
		Settings: upgrade.Settings{Repository: "https://pkgs", MaxUnavailable: upgrade.AtMost(1)},
		Workloads: forecast.Workloads{
			Nodes:     []forecast.Node{{Name: "w1", Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")}}},
			Templates: []forecast.Template{{Namespace: "shop", Pods: []forecast.Pod{{Name: "once", Node: "w1"}}}},
		},
	}
}

func host() upgrade.Host {
	return upgrade.Host{OS: "debian", PackageManager: "apt", Kubeadm: v136, Available: []upgrade.Version{v137}, FreeBytes: 1 << 40}
}

func TestPlanHasAForecast(t *testing.T) {
	p := one().Plan(upgrade.Wanted{Target: v137})
	require.False(t, p.Refused())
	require.Len(t, p.Findings, 1)
	require.Equal(t, upgrade.DrainBlocked, p.Findings[0].ID)
	require.Len(t, p.Forecast.Drains, 1, "of the nodes whose pods were looked at")

	p = one().Plan(upgrade.Wanted{Target: upgrade.MustVersion("v1.35.0")})
	require.True(t, p.Refused())
	require.Nil(t, p.Forecast)

	before := one() // from before pods were looked at
	before.Workloads = forecast.Workloads{}
	require.Nil(t, before.Plan(upgrade.Wanted{Target: v137}).Forecast)
	text, err := json.Marshal(before)
	require.NoError(t, err)
	require.NotContains(t, string(text), "workloads")
}

func TestPacked(t *testing.T) {
	text, err := json.Marshal(Packed{one()})
	require.NoError(t, err)
	require.NotContains(t, string(text), "shop")
	var again Packed
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, one().Plan(upgrade.Wanted{Target: v137}), again.Plan(upgrade.Wanted{Target: v137}))
	for _, bad := range []string{`{}`, `{"gzip":"AAAA"}`, `[]`, strings.Replace(string(text), `{"gzip":"`, `{"gzip":"AA`, 1), string(text[:len(text)/2]) + `"}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &again), bad)
	}
}
