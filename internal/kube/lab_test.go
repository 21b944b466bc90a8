package kube

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestRealCluster looks at a real cluster. It changes nothing but a cordon, which it takes back.
func TestRealCluster(t *testing.T) {
	kubeconfig := os.Getenv("PAWL_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("SKIPPED: no real cluster; PAWL_TEST_KUBECONFIG must name a kubeconfig")
	}
	ctx := t.Context()
	c, err := Open("lab", kubeconfig)
	require.NoError(t, err)
	seen, err := c.Observe(ctx)
	require.NoError(t, err)
	t.Logf("%+v", seen)
	require.NotEmpty(t, seen.Nodes)
	require.Empty(t, errorsOf(seen.Problems))
	for _, n := range seen.Nodes {
		require.NoError(t, c.NodeReady(ctx, n.Name, n.Kubelet, time.Time{}))
		if n.ControlPlane {
			require.NoError(t, c.ControlPlaneSettled(ctx, n.Name, n.Components[upgrade.APIServer]))
		}
	}
	require.NoError(t, c.AddonsReady(ctx, seen.Version))
	watchers, err := c.EndpointWatchers(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, watchers, len(seen.Nodes), "every node's kube-proxy watches endpoints")
	texts, err := c.ClusterConfiguration(ctx)
	require.NoError(t, err)
	require.Contains(t, texts["kubeadm-config.yaml"], "ClusterConfiguration")

	node := seen.Nodes[len(seen.Nodes)-1].Name
	require.NoError(t, c.Cordon(ctx, node, "test"))
	require.NoError(t, c.Cordon(ctx, node, "test"))
	require.NoError(t, c.Uncordon(ctx, node, "somebody else"))
	require.True(t, unschedulable(t, c, node))
	require.NoError(t, c.Uncordon(ctx, node, "test"))
	require.False(t, unschedulable(t, c, node))
	began := time.Now()
	pass, err := c.client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.NoError(t, c.AwaitEviction(ctx, node, upgrade.DrainPass{Seen: pass.ResourceVersion}, time.Second))
	require.Less(t, time.Since(began), 3*time.Second)
}

func errorsOf(found []upgrade.Finding) []upgrade.Finding {
	return upgrade.Plan{Findings: found}.Errors()
}

func unschedulable(t *testing.T, c *Cluster, node string) bool {
	t.Helper()
	seen, err := c.Observe(context.Background())
	require.NoError(t, err)
	for _, n := range seen.Nodes {
		if n.Name == node {
			return n.CordonedByPawl || n.Cordoned
		}
	}
	return false
}
