package upgrades

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// Run is one run of an upgrade.
type Run struct {
	Workflow string    `json:"workflow"`
	Run      string    `json:"run"`
	Target   string    `json:"target"`
	Started  time.Time `json:"started,omitzero"`
}

// Start starts an upgrade. The workflow's id is the lock: a second one is refused by Temporal itself.
func (c *Client) Start(ctx context.Context, in workflows.ClusterUpgradeInput, summary string) (Run, error) {
	id := workflows.ClusterUpgradeID(in.Cluster)
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                workflows.TaskQueue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            summary,
	}, workflows.ClusterUpgradeName, in)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		if err := c.RefuseIfRunning(ctx, in.Cluster); err != nil {
			return Run{}, err
		}
		return Run{}, exit.Errorf(exit.AlreadyRunning, "start %s: an upgrade was started by somebody else just now", in.Cluster)
	}
	if err != nil {
		return Run{}, c.translate("start "+in.Cluster, err, exit.Unexpected)
	}
	return Run{Workflow: id, Run: run.GetRunID(), Target: in.TargetVersion}, nil
}

// RefuseIfRunning fails when an upgrade of the cluster is under way, and says since when and to what.
func (c *Client) RefuseIfRunning(ctx context.Context, cluster string) error {
	op := "start " + cluster
	d, err := c.temporal.DescribeWorkflowExecution(ctx, workflows.ClusterUpgradeID(cluster), "")
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return c.translate(op, err, exit.Unexpected)
	}
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil
	}
	since := info.GetStartTime().AsTime()
	return exit.Errorf(exit.AlreadyRunning, `%s: an upgrade%s is running since %s (%s); follow it with "pawl watch %s"`,
		op, c.targetOf(ctx, info.GetExecution().GetWorkflowId(), info.GetExecution().GetRunId()),
		since.Local().Format("2006-01-02 15:04:05"), time.Since(since).Round(time.Second), cluster)
}

// targetOf reads a run's target from its recorded input: that needs no worker, and holds for runs started in any way.
func (c *Client) targetOf(ctx context.Context, workflow, run string) string {
	events := c.temporal.GetWorkflowHistory(ctx, workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return ""
	}
	first, err := events.Next()
	if err != nil {
		return ""
	}
	var in workflows.ClusterUpgradeInput
	input := first.GetWorkflowExecutionStartedEventAttributes().GetInput()
	if err := converter.GetDefaultDataConverter().FromPayloads(input, &in); err != nil || in.TargetVersion == "" {
		return ""
	}
	return " to " + in.TargetVersion
}
