package kube

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestCluster runs the same checks on a simulated cluster, whose API is the real one, and, where there is a lab, on a
// cluster of real nodes. They change nothing but a cordon, which they take back. Where the two differ, the lab is right.
func TestCluster(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		simtest.Programs(t, controlplane.Program)
		b, err := bed.Start(t.Context(), bed.Options{
			Name: "sim", Dir: t.TempDir(), ControlPlanes: 2, Workers: 1, Version: upgrade.MustVersion("v1.36.3"), Pace: 0.01,
		})
		require.NoError(t, err)
		t.Cleanup(b.Stop)
		// This is how pawl comes: as a user who may do what docs/reference.md says, and no more.
		checkCluster(t, filepath.Join(b.Clusters(), "sim.conf"))
	})
	t.Run("lab", func(t *testing.T) {
		kubeconfig := os.Getenv("PAWL_TEST_KUBECONFIG")
		if kubeconfig == "" {
			t.Skip("SKIPPED, NOT TESTED ON A REAL CLUSTER: PAWL_TEST_KUBECONFIG must name a kubeconfig")
		}
		checkCluster(t, kubeconfig)
	})
}

func checkCluster(t *testing.T, kubeconfig string) {
	ctx := t.Context()
	c, err := Open("test", kubeconfig)
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
