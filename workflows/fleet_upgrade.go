package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// FleetUpgrade brings many clusters to one version, in waves. Which cluster begins when is decided by
// upgrade.FleetStatus.Next; each is upgraded by a ClusterUpgrade of its own, which goes on whatever becomes of the fleet.
//
// It is one run from its beginning to its end, since only the run that started a child hears of its end. A cluster costs it
// some 20 events and the report of its upgrade: see docs/reference.md.
func FleetUpgrade(ctx workflow.Context, in FleetUpgradeInput) (upgrade.FleetStatus, error) {
	f, err := newFleetUpgrade(ctx, in)
	if err != nil {
		return upgrade.FleetStatus{}, err
	}
	for {
		next := f.look(ctx)
		if f.status.State.Ended() {
			return f.finish(ctx)
		}
		for _, cluster := range next.Start {
			f.start(ctx, cluster)
		}
		if err := f.awaitNews(ctx, next.Until); err != nil {
			return f.status, err
		}
	}
}

// fleetUpgrade is the state of one upgrade of a fleet.
type fleetUpgrade struct {
	input  FleetUpgradeInput
	status upgrade.FleetStatus
	news   bool // something happened since the last look
	begins int  // upgrades that Temporal has not said to have begun
}

// look decides what is next, and shows it.
func (f *fleetUpgrade) look(ctx workflow.Context) upgrade.FleetNext {
	s, next := &f.status, f.status.Next(workflow.Now(ctx))
	if len(next.Waits) > 0 && len(s.Waits) > 0 && next.Message == s.Message {
		next.Waits[0].Since = s.Waits[0].Since // it is the same wait
	}
	s.State, s.Wave, s.Message, s.Waits = next.State, next.Wave, next.Message, next.Waits
	f.news = len(next.Start) > 0 // then there is more to be said
	workflow.SetCurrentDetails(ctx, fleetDetails(*s))
	return next
}

// awaitNews waits until something happens, or until a time where one is given.
func (f *fleetUpgrade) awaitNews(ctx workflow.Context, until time.Time) error {
	happened := func() bool { return f.news }
	if until.IsZero() {
		return workflow.Await(ctx, happened)
	}
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: until.Sub(workflow.Now(ctx)), TimerOptions: workflow.TimerOptions{Summary: f.status.Message},
	}, happened)
	return err
}

// start starts the upgrade of a cluster, and takes in how it ends. Its own signals tell what happens before.
func (f *fleetUpgrade) start(ctx workflow.Context, cluster string) {
	c := f.status.Find(cluster)
	c.State, c.Reason, c.Started, c.Ended = upgrade.Running, "", workflow.Now(ctx), time.Time{}
	c.Tries++
	c.Workflow, c.Run = ClusterUpgradeID(cluster), ""
	try := c.Tries
	ctx, _ = workflow.NewDisconnectedContext(ctx) // whoever cancels the fleet does not mean the clusters that are under way
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:        c.Workflow,
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     fmt.Sprintf("%s to %s, of fleet %s", cluster, f.status.Target, f.status.Fleet),
	})
	child := workflow.ExecuteChildWorkflow(ctx, ClusterUpgradeName, ClusterUpgradeInput{
		Cluster: cluster, TargetVersion: f.input.TargetVersion, Through: f.input.Through, Waive: f.input.Waive, Approve: f.input.Approve,
	})
	f.begins++
	workflow.Go(ctx, func(ctx workflow.Context) {
		var run workflow.Execution
		if err := child.GetChildWorkflowExecution().Get(ctx, &run); err == nil {
			c.Run = run.RunID
		}
		f.begins--
		var r Report
		err := child.Get(ctx, &r)
		if c.Tries == try && c.State != upgrade.Skipped { // else nobody minds any more
			f.ended(ctx, c, r.Status, err)
		}
	})
}

// ended takes in how a cluster's upgrade ended.
func (f *fleetUpgrade) ended(ctx workflow.Context, c *upgrade.FleetCluster, s upgrade.Status, err error) {
	switch {
	case temporal.IsWorkflowExecutionAlreadyStartedError(err):
		c.State, c.Reason = upgrade.Failed, "not started: an upgrade of it is running already; when that has ended, retry"
	case temporal.IsCanceledError(err), temporal.IsTerminatedError(err):
		c.State, c.Reason = upgrade.Aborted, "its upgrade was ended in Temporal"
	case err != nil:
		c.State, c.Reason = upgrade.Failed, reason(err)
	default:
		c.State, c.Reason, c.From, c.To = s.State, s.Message, s.From, s.Target
		c.Already = s.State == upgrade.Done && s.Hops == 0
	}
	c.Ended, f.news = workflow.Now(ctx), true
}

// finish ends the fleet's upgrade once those of clusters that were started have begun: a parent that ends before its child
// has begun may take it with it.
// Source: https://docs.temporal.io/parent-close-policy
func (f *fleetUpgrade) finish(ctx workflow.Context) (upgrade.FleetStatus, error) {
	f.status.Ended = workflow.Now(ctx)
	workflow.SetCurrentDetails(ctx, fleetDetails(f.status))
	return f.status, workflow.Await(ctx, func() bool { return f.begins == 0 && workflow.AllHandlersFinished(ctx) })
}
