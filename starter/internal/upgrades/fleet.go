package upgrades

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/workflows"
)

// StartFleet starts the upgrade of a fleet.
func (c *Client) StartFleet(ctx context.Context, in workflows.FleetUpgradeInput) (Run, error) {
	op, id := "start fleet "+in.Fleet, workflows.FleetUpgradeID(in.Fleet)
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                workflows.TaskQueue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            fmt.Sprintf("fleet %s to %s", in.Fleet, in.TargetVersion),
	}, workflows.FleetUpgradeName, in)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		return Run{}, exit.Errorf(exit.AlreadyRunning, `%s: its upgrade is running already; follow it with "pawl fleet watch %s"`, op, in.Fleet)
	}
	if err != nil {
		return Run{}, c.translate(op, err, exit.Unexpected)
	}
	return Run{Workflow: id, Run: run.GetRunID(), Target: in.TargetVersion}, nil
}

// FleetStatus is where the newest upgrade of a fleet is.
func (c *Client) FleetStatus(ctx context.Context, fleet string) (upgrade.FleetStatus, error) {
	var s upgrade.FleetStatus
	op, id := "status of fleet "+fleet, workflows.FleetUpgradeID(fleet)
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	d, err := c.temporal.DescribeWorkflowExecution(ctx, id, "")
	if isNotFound(err) {
		return s, exit.Errorf(exit.BadInput, `%s: no upgrade of fleet %s is known to Temporal at %s; start one with "pawl fleet start"`, op, fleet, c.Address)
	}
	if err != nil {
		return s, c.translate(op, err, exit.Unexpected)
	}
	info := d.GetWorkflowExecutionInfo()
	run := info.GetExecution().GetRunId()
	switch status := info.GetStatus(); status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED: // the result needs no worker
		return s, c.translate(op, c.temporal.GetWorkflow(ctx, id, run).Get(ctx, &s), exit.Unexpected)
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		err = c.queryFleet(ctx, id, run, &s)
		var tooSlow *serviceerror.DeadlineExceeded
		if errors.As(err, &tooSlow) || ctx.Err() == context.DeadlineExceeded {
			return s, c.noWorker(op) // Temporal itself has just answered
		}
		return s, c.translate(op, err, exit.Unexpected)
	default:
		why := c.endMessage(ctx, snapshot.Snapshot{Workflow: id, Run: run}, status)
		if c.queryFleet(ctx, id, run, &s) != nil {
			s = upgrade.FleetStatus{Fleet: fleet, Started: info.GetStartTime().AsTime()}
		}
		s.State, s.Message, s.Waits, s.Ended = upgrade.Failed, why, nil, info.GetCloseTime().AsTime()
		if status != enumspb.WORKFLOW_EXECUTION_STATUS_FAILED {
			s.State = upgrade.Aborted
		}
		return s, nil
	}
}

// queryFleet asks the fleet's workflow. One that has only just started is not there to be asked yet.
func (c *Client) queryFleet(ctx context.Context, id, run string, s *upgrade.FleetStatus) error {
	for attempt := 0; ; attempt++ {
		value, err := c.temporal.QueryWorkflow(ctx, id, run, workflows.QueryStatus)
		if err == nil {
			return value.Get(s)
		}
		var notYet *serviceerror.QueryFailed
		if attempt == 5 || !errors.As(err, &notYet) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// tellPatience is how long a decision may take that is passed on to clusters.
const tellPatience = 70 * time.Second

// DecideFleet tells the upgrade of a fleet what a person decided, and returns what it answers.
func (c *Client) DecideFleet(ctx context.Context, fleet, update string, d any) (string, error) {
	return c.update(ctx, fmt.Sprintf("%s fleet %s", update, fleet), workflows.FleetUpgradeID(fleet),
		fmt.Sprintf("no upgrade of fleet %s is running", fleet), update, d, tellPatience)
}
