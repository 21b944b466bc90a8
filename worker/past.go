package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/activities"
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

// queryPatience is how long an upgrade may take to say where it is.
const queryPatience = 5 * time.Second

// Running implements activities.Past. An upgrade that does not answer is running all the same.
func (p past) Running(ctx context.Context, cluster string) (activities.RunningUpgrade, error) {
	var found activities.RunningUpgrade
	id := workflows.ClusterUpgradeID(cluster)
	d, err := p.temporal.DescribeWorkflowExecution(ctx, id, "")
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("ask Temporal for %s: %w", id, err)
	}
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return found, nil
	}
	found.Workflow, found.Since = id, info.GetStartTime().AsTime()
	ask, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	answer, err := p.temporal.QueryWorkflow(ask, id, info.GetExecution().GetRunId(), workflows.QueryStatus)
	var s upgrade.Status
	if err == nil && answer.Get(&s) == nil {
		found.Target, found.State, found.Message = s.Target, s.State, s.Message
	}
	return found, nil
}
