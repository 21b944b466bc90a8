package workflows

import (
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// signalClusterState is how a cluster's upgrade tells its fleet's that it waits, and that it goes on.
const signalClusterState = "cluster-state"

// clusterState is the signal's payload.
type clusterState struct {
	Cluster string          `json:"cluster"`
	Run     string          `json:"run"`
	State   upgrade.State   `json:"state"`
	Reason  string          `json:"reason,omitempty"`
	From    upgrade.Version `json:"from,omitzero"`
	To      upgrade.Version `json:"to,omitzero"`
}

// tellFleet tells the fleet's upgrade, where there is one, what has changed. It does not wait until that has heard it.
func (u *clusterUpgrade) tellFleet(ctx workflow.Context) {
	info := workflow.GetInfo(ctx)
	parent := info.ParentWorkflowExecution
	if parent == nil || !strings.HasPrefix(parent.ID, FleetUpgradeID("")) {
		return
	}
	s := u.status
	now := clusterState{Cluster: s.Cluster, Run: info.WorkflowExecution.RunID, State: s.State, Reason: s.Message, From: s.From, To: s.Target}
	if now == u.told {
		return
	}
	u.told = now
	heard := workflow.SignalExternalWorkflow(ctx, parent.ID, parent.RunID, signalClusterState, now)
	workflow.Go(ctx, func(ctx workflow.Context) {
		if err := heard.Get(ctx, nil); err != nil {
			workflow.GetLogger(ctx).Warn("the fleet's upgrade could not be told", "error", err)
		}
	})
}
