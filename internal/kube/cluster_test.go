package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// simulated starts a simulated cluster of v1.36.3, whose API is the real one, and opens it as pawl does.
func simulated(t *testing.T, o bed.Options) (*bed.Bed, *Cluster) {
	t.Helper()
	simtest.Programs(t, controlplane.Program)
	o.Name, o.Dir, o.Version, o.Pace = "sim", t.TempDir(), upgrade.MustVersion("v1.36.3"), 0.01
	b, err := bed.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(b.Stop)
	c, err := Open("sim", filepath.Join(b.Clusters(), "sim.conf"))
	require.NoError(t, err)
	return b, c
}

// TestCluster runs the same checks on a simulated cluster, whose API is the real one, and, where there is a lab, on a
// cluster of real nodes. They change nothing but a cordon and the lock, which they take back. Where the two differ, the lab is right.
func TestCluster(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		b, _ := simulated(t, bed.Options{ControlPlanes: 2, Workers: 1})
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
	seen, err := c.Observe(ctx, upgrade.Settings{})
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
	checkLock(t, c)
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
	seen, err := c.Observe(context.Background(), upgrade.Settings{})
	require.NoError(t, err)
	for _, n := range seen.Nodes {
		if n.Name == node {
			return n.CordonedByPawl || n.Cordoned
		}
	}
	return false
}

// checkLock leaves a Lease behind that nobody holds.
func checkLock(t *testing.T, c *Cluster) {
	ctx := t.Context()
	const rivals = 24
	got, errs := make([]upgrade.Lock, rivals), make([]error, rivals)
	var wg sync.WaitGroup
	for i := range rivals {
		wg.Go(func() { got[i], errs[i] = c.AcquireLock(ctx, fmt.Sprint("rival-", i)) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	winner := got[0].Holder
	for _, lock := range got {
		require.Equal(t, winner, lock.Holder, "of all that try at once one gets it, and the others see whose it is")
		require.WithinDuration(t, time.Now().Add(upgrade.LockDuration), lock.Expires, 30*time.Second)
	}

	again, err := c.AcquireLock(ctx, winner)
	require.NoError(t, err)
	require.Equal(t, winner, again.Holder)
	require.Equal(t, got[0].Since, again.Since, "an attempt that is repeated finds its own")
	renewed, err := c.RenewLock(ctx, winner)
	require.NoError(t, err)
	require.True(t, renewed.Renewed.After(again.Renewed))
	other, err := c.RenewLock(ctx, "nobody")
	require.NoError(t, err)
	require.Equal(t, winner, other.Holder, "only its own is renewed")
	require.NoError(t, c.ReleaseLock(ctx, "nobody"))
	seen, err := c.Lock(ctx)
	require.NoError(t, err)
	require.Equal(t, winner, seen.Holder)
	observed, err := c.Observe(ctx, upgrade.Settings{})
	require.NoError(t, err)
	require.Equal(t, winner, observed.Lock.Holder)

	require.NoError(t, c.ReleaseLock(ctx, winner))
	free, err := c.RenewLock(ctx, winner)
	require.NoError(t, err)
	require.False(t, free.Held(), "what was given up is not taken again by a renewal")
	taken, err := c.AcquireLock(ctx, "next")
	require.NoError(t, err)
	require.Equal(t, "next", taken.Holder)

	// A holder that is gone for good.
	_, err = c.updateLock(ctx, "age", func(lease *coordinationv1.Lease, _ metav1.MicroTime) bool {
		lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(-upgrade.LockDuration - leaseSlack - time.Second)}
		return true
	})
	require.NoError(t, err)
	seen, err = c.Lock(ctx)
	require.NoError(t, err)
	require.False(t, seen.Held())
	taken, err = c.AcquireLock(ctx, "heir")
	require.NoError(t, err)
	require.Equal(t, "heir", taken.Holder)
	lost, err := c.RenewLock(ctx, "next")
	require.NoError(t, err)
	require.Equal(t, "heir", lost.Holder)
	require.NoError(t, c.ReleaseLock(ctx, "heir"))
}
