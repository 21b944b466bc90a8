package upgrades

import (
	"context"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/workflows"
)

const (
	historyPatience = 20 * time.Second // for all histories together
	historiesRead   = 50               // of nodes, at most
)

// Failures says why steps were tried again, as far as Temporal's histories still tell: the last failure of each. It asks
// for nothing when nothing was tried again, and says nothing of what it cannot find out.
func (c *Client) Failures(ctx context.Context, s snapshot.Snapshot) []snapshot.Failure {
	nodes := triedAgain(s.Status)
	inCluster := slices.ContainsFunc(s.Stages, func(p upgrade.Progress) bool { return p.Attempts > 1 })
	if len(nodes) == 0 && !inCluster {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, historyPatience)
	defer cancel()
	events := c.history(ctx, &commonpb.WorkflowExecution{WorkflowId: s.Workflow, RunId: s.Run})
	found := failuresIn("", events)

	var runs []*commonpb.WorkflowExecution
	var owners []string
	for _, e := range events {
		run := e.GetChildWorkflowExecutionStartedEventAttributes().GetWorkflowExecution()
		for _, node := range nodes {
			if run.GetWorkflowId() == workflows.NodeUpgradeID(s.Cluster, node) && len(runs) < historiesRead {
				runs, owners = append(runs, run), append(owners, node)
			}
		}
	}
	of := make([][]snapshot.Failure, len(runs))
	var group errgroup.Group
	group.SetLimit(nodesAtOnce)
	for i, run := range runs {
		group.Go(func() error {
			of[i] = failuresIn(owners[i], c.history(ctx, run))
			return nil
		})
	}
	_ = group.Wait()
	return append(found, slices.Concat(of...)...)
}

// triedAgain are the nodes with a step that took more than one attempt.
func triedAgain(s upgrade.Status) []string {
	var nodes []string
	for _, n := range s.Nodes {
		again := slices.ContainsFunc(n.Steps, func(step upgrade.StepStatus) bool { return step.Attempts > 1 })
		if again && !slices.Contains(nodes, n.Node) {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// history is what can be read of a workflow's history.
func (c *Client) history(ctx context.Context, run *commonpb.WorkflowExecution) []*historypb.HistoryEvent {
	var events []*historypb.HistoryEvent
	all := c.temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for all.HasNext() {
		e, err := all.Next()
		if err != nil {
			break
		}
		events = append(events, e)
	}
	return events
}

// failuresIn are the failures that later attempts followed. An activity's start is written down with its last attempt,
// and with the failure of the one before.
func failuresIn(node string, events []*historypb.HistoryEvent) []snapshot.Failure {
	ids := map[int64]string{}
	var found []snapshot.Failure
	for _, e := range events {
		if scheduled := e.GetActivityTaskScheduledEventAttributes(); scheduled != nil {
			ids[e.GetEventId()] = scheduled.GetActivityId()
		}
		started := e.GetActivityTaskStartedEventAttributes()
		id := ids[started.GetScheduledEventId()]
		if started.GetAttempt() > 1 && started.GetLastFailure() != nil && id != workflows.KeepLockID { // which is no step
			found = append(found, snapshot.Failure{Node: node, Activity: id,
				At: e.GetEventTime().AsTime(), Text: failureText(started.GetLastFailure())})
		}
	}
	return found
}
