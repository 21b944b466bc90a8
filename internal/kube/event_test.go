package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestEventsOfNodes(t *testing.T) {
	b, c := simulated(t, bed.Options{ControlPlanes: 1, Workers: 1})
	ctx := t.Context()
	draining := upgrade.NodeEvent{Reason: "Draining", Message: "cordoned, and pods are evicted", Key: "run/Draining"}
	held := upgrade.NodeEvent{Reason: "UpgradeHeld", Message: strings.Repeat("é", 2000), Warning: true, Key: "run/UpgradeHeld/7"}
	for range 2 { // as an activity that was cut off and runs again
		require.NoError(t, c.ShowEvent(ctx, "w1", draining))
		require.NoError(t, c.ShowEvent(ctx, "w1", held))
	}
	again := draining
	again.Key = "another run/Draining"
	require.NoError(t, c.ShowEvent(ctx, "w1", again))
	require.NoError(t, c.ShowEvent(ctx, "gone", draining), "there is nobody to show it to")

	// This is how `kubectl describe node` asks.
	w1, err := b.Client().CoreV1().Nodes().Get(ctx, "w1", metav1.GetOptions{})
	require.NoError(t, err)
	events, err := b.Client().CoreV1().Events("").List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=Node,involvedObject.name=w1,source=pawl,involvedObject.uid=" + string(w1.UID)})
	require.NoError(t, err)
	reasons := map[string]int{}
	for _, e := range events.Items {
		reasons[e.Type+" "+e.Reason]++
		require.Equal(t, "pawl.dev/worker", e.ReportingController)
	}
	require.Equal(t, map[string]int{corev1.EventTypeNormal + " Draining": 2, corev1.EventTypeWarning + " UpgradeHeld": 1}, reasons)
	require.NoError(t, b.Client().RbacV1().RoleBindings(metav1.NamespaceDefault).Delete(ctx, "pawl", metav1.DeleteOptions{}))
	again.Key = "a third run/Draining"
	require.Eventually(t, func() bool { // the API server's authorizer hears of it after a moment
		again.Key += "."
		err := c.ShowEvent(ctx, "w1", again)
		return fault.Is(err, fault.Unauthorized) && strings.Contains(err.Error(), "events")
	}, 20*time.Second, 100*time.Millisecond)
}
