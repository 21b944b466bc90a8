package main

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// past looks up earlier upgrades in Temporal.
type past struct{ temporal client.Client }

// runsMeasured is how many of the latest upgrades are looked at: a cluster changes in time.
const runsMeasured = 3

// Measured implements activities.Past. Upgrades whose retention is over are forgotten.
func (p past) Measured(ctx context.Context, cluster string) (upgrade.Measured, error) {
	id := workflows.ClusterUpgradeID(cluster)
	found, err := p.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: runsMeasured,
		Query:    fmt.Sprintf("WorkflowId = '%s' AND ExecutionStatus = 'Completed'", id),
	})
	if err != nil {
		return nil, fmt.Errorf("look up earlier upgrades of %s: %w", cluster, err)
	}
	var runs []upgrade.Status
	for _, run := range found.GetExecutions() {
		var r workflows.Report
		if err := p.temporal.GetWorkflow(ctx, id, run.GetExecution().GetRunId()).Get(ctx, &r); err != nil {
			return nil, fmt.Errorf("read an earlier upgrade of %s: %w", cluster, err)
		}
		runs = append(runs, r.Status)
	}
	return upgrade.Measure(runs...), nil
}
