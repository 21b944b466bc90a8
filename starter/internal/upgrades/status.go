package upgrades

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/workflows"
)

const (
	queryPatience = 8 * time.Second // how long one question may take
	nodesAtOnce   = 8               // how many nodes are asked at the same time
)

// Status is where the newest upgrade of the cluster is. It is the one place where the workflows' answers come together.
func (c *Client) Status(ctx context.Context, cluster string) (snapshot.Snapshot, error) {
	op := "status " + cluster
	id := workflows.ClusterUpgradeID(cluster)
	ask, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	d, err := c.temporal.DescribeWorkflowExecution(ask, id, "")
	if isNotFound(err) {
		return snapshot.Snapshot{}, exit.Errorf(exit.BadInput,
			`%s: no upgrade of %s is known to Temporal at %s; start one with "pawl start %s --to VERSION"`, op, cluster, c.Address, cluster)
	}
	if err != nil {
		return snapshot.Snapshot{}, c.translate(op, err, exit.Unexpected)
	}
	info := d.GetWorkflowExecutionInfo()
	s := snapshot.Snapshot{Workflow: id, Run: info.GetExecution().GetRunId()}

	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED: // the result needs no worker
		var report workflows.Report
		if err := c.temporal.GetWorkflow(ask, id, s.Run).Get(ask, &report); err != nil {
			return s, c.translate(op, err, exit.Unexpected)
		}
		s.Status, s.Backup = report.Status, report.Backup
		return s, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		if s.Status, err = c.queryStatus(ask, id, s.Run); err != nil {
			var tooSlow *serviceerror.DeadlineExceeded
			if errors.As(err, &tooSlow) || ask.Err() == context.DeadlineExceeded {
				return s, c.nobody(context.WithoutCancel(ask), op, workflows.TaskQueue) // Temporal itself has just answered
			}
			return s, c.translate(op, err, exit.Unexpected)
		}
		s.Notes = notesOf("", d.GetPendingActivities())
		children, notes := c.nodes(ctx, s.Status)
		s.Notes = append(s.Notes, notes...)
		s.Status = snapshot.Merge(s.Status, children)
		return s, nil
	}
	return c.ended(ask, s, cluster, info)
}

// ended is the status of a workflow that ended without a result: failed, terminated, cancelled, timed out.
func (c *Client) ended(
	ctx context.Context, s snapshot.Snapshot, cluster string, info *workflowpb.WorkflowExecutionInfo,
) (snapshot.Snapshot, error) {
	state, message := upgrade.Failed, c.endMessage(ctx, s, info.GetStatus())
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		state = upgrade.Aborted
	}
	var err error
	if s.Status, err = c.queryStatus(ctx, s.Workflow, s.Run); err != nil {
		// Without a worker, what the server knows has to do.
		s.Status = upgrade.Status{Cluster: cluster, State: state, Message: message, Started: info.GetStartTime().AsTime()}
	}
	s.Status = snapshot.Close(s.Status, state, message)
	if s.Ended.IsZero() {
		s.Ended = info.GetCloseTime().AsTime()
	}
	return s, nil
}

// endMessage is why a workflow has no result, in one line.
func (c *Client) endMessage(ctx context.Context, s snapshot.Snapshot, status enumspb.WorkflowExecutionStatus) string {
	err := c.temporal.GetWorkflow(ctx, s.Workflow, s.Run).Get(ctx, nil)
	var fault *temporal.ApplicationError
	if errors.As(err, &fault) {
		return fault.Message()
	}
	return "the workflow ended from outside: " + status.String()
}

// queryStatus asks the cluster's workflow. One that has only just started is not there to be asked yet.
func (c *Client) queryStatus(ctx context.Context, id, run string) (upgrade.Status, error) {
	var s upgrade.Status
	for attempt := 0; ; attempt++ {
		value, err := c.temporal.QueryWorkflow(ctx, id, run, workflows.QueryStatus)
		if err == nil {
			return s, value.Get(&s)
		}
		var notYet *serviceerror.QueryFailed
		if attempt == 5 || !errors.As(err, &notYet) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// nodes asks the workflows of the nodes that are under way. A node that does not answer is left as the cluster's
// workflow has it.
func (c *Client) nodes(ctx context.Context, s upgrade.Status) (children []upgrade.NodeStatus, notes []snapshot.Note) {
	answers := make([]*upgrade.NodeStatus, len(s.Nodes))
	remarks := make([][]snapshot.Note, len(s.Nodes))
	var group errgroup.Group
	group.SetLimit(nodesAtOnce)
	for i, n := range s.Nodes {
		if n.Workflow == "" || n.State != upgrade.Running && n.State != upgrade.Held {
			continue
		}
		group.Go(func() error {
			answers[i], remarks[i] = c.node(ctx, n, s.Started)
			return nil
		})
	}
	_ = group.Wait()
	for i := range answers {
		if answers[i] != nil {
			children = append(children, *answers[i])
		}
		notes = append(notes, remarks[i]...)
	}
	return children, notes
}

// node asks one node's workflow, if it belongs to this run: its id may still name the one of an earlier run.
func (c *Client) node(ctx context.Context, n upgrade.NodeStatus, since time.Time) (*upgrade.NodeStatus, []snapshot.Note) {
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	d, err := c.temporal.DescribeWorkflowExecution(ctx, n.Workflow, "")
	if err != nil || d.GetWorkflowExecutionInfo().GetStartTime().AsTime().Before(since) {
		return nil, nil
	}
	notes := notesOf(n.Node, d.GetPendingActivities())
	value, err := c.temporal.QueryWorkflow(ctx, n.Workflow, d.GetWorkflowExecutionInfo().GetExecution().GetRunId(), workflows.QueryStatus)
	if err != nil {
		return nil, notes
	}
	var answer upgrade.NodeStatus
	if err := value.Get(&answer); err != nil {
		return nil, append(notes, snapshot.Note{Node: n.Node, Text: fmt.Sprintf("its workflow's answer cannot be read: %v", err)})
	}
	return &answer, notes
}
