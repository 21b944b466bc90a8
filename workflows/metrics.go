package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/metrics"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What dashboards count. Temporal's metrics handler says nothing while a history is replayed, so each is counted once.

// countHold counts that somebody is waited for.
func countHold(ctx workflow.Context, cluster string) {
	metrics.Holds.Add(workflow.GetMetricsHandler(ctx), 1, cluster)
}

// countNode keeps how long the node's steps of this hop took, once it has come to its end.
func countNode(ctx workflow.Context, cluster string, n upgrade.NodeStatus) {
	if !n.State.Ended() {
		return
	}
	var took time.Duration
	for _, s := range n.Steps {
		if !s.Ended.IsZero() {
			took += s.Ended.Sub(s.Started)
		}
	}
	pool := n.Pool
	if n.Role.IsControlPlane() {
		pool = "control-plane"
	}
	metrics.NodeDuration.Observe(workflow.GetMetricsHandler(ctx), took, cluster, pool, string(n.State))
}

// countUpgrade keeps how long the upgrade took.
func countUpgrade(ctx workflow.Context, s upgrade.Status) {
	metrics.UpgradeDuration.Observe(workflow.GetMetricsHandler(ctx), s.Ended.Sub(s.Started), s.Cluster, string(s.State))
}

// countWindow keeps how long a maintenance window was waited for.
func countWindow(ctx workflow.Context, cluster string, w upgrade.WindowWait) {
	metrics.WindowWait.Observe(workflow.GetMetricsHandler(ctx), w.To.Sub(w.From), cluster)
}
