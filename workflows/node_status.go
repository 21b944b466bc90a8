package workflows

import (
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// newNodeUpgrade sets up what people see and may say.
func newNodeUpgrade(ctx workflow.Context, in NodeUpgradeInput) (*nodeUpgrade, error) {
	n := &nodeUpgrade{input: in, status: in.Plan.NewStatus(in.Hop)}
	n.status.State, n.status.Workflow = upgrade.Running, workflow.GetInfo(ctx).WorkflowExecution.ID
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (upgrade.NodeStatus, error) { return n.status, nil }); err != nil {
		return nil, err
	}
	n.holds = &holds{cluster: in.Cluster, node: in.Plan.Node, changed: n.heldOrNot, did: func(a upgrade.Action) { n.status.Actions = append(n.status.Actions, a) }}
	workflow.Go(ctx, func(ctx workflow.Context) {
		workflow.GetSignalChannel(ctx, signalStop).Receive(ctx, nil)
		n.holds.stopped = true
	})
	return n, n.offerChoices(ctx)
}

// giveUpWhenCancelled makes of Temporal's own cancellation a wish not to hold any more. What is returned is not cut off by
// it: the step under way comes to its end.
func (n *nodeUpgrade) giveUpWhenCancelled(ctx workflow.Context) workflow.Context {
	kept, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(kept, func(kept workflow.Context) {
		ctx.Done().Receive(kept, nil)
		n.holds.stopped = true
	})
	return kept
}

// offerChoices registers what a person may decide when a step is held.
func (n *nodeUpgrade) offerChoices(ctx workflow.Context) error {
	if err := n.holds.offerRetry(ctx); err != nil {
		return err
	}
	skip := func(s Skip) error {
		if n.input.Unskippable != "" {
			return reject("%s cannot be skipped: %s", n.status.Node, n.input.Unskippable)
		}
		return needsReason(s.Decision)
	}
	if err := offer(ctx, n.holds, choiceSkip, "skipped", skip, func(s Skip, _ *decided) { n.uncordon = s.Uncordon }); err != nil {
		return err
	}
	wait := func(w Wait) error {
		if w.For <= 0 {
			return reject(`for how long? Wanted {"for":"2h"}`)
		}
		return needsReason(w.Decision)
	}
	if err := offer(ctx, n.holds, choiceWait, "draining on", wait, func(w Wait, d *decided) { d.longer = w.For }); err != nil {
		return err
	}
	deletePods := func(d DeletePods) error {
		for _, pod := range d.Pods {
			if namespace, name, found := strings.Cut(pod, "/"); !found || namespace == "" || name == "" {
				return reject("%q is no pod; wanted namespace/name", pod)
			}
		}
		if len(d.Pods) == 0 {
			return reject(`which pods? Wanted {"pods":["namespace/name"]}`)
		}
		return needsReason(d.Decision)
	}
	if err := offer(ctx, n.holds, choiceDeletePods, "deleting the pods, then draining on", deletePods, func(said DeletePods, d *decided) { d.pods = said.Pods }); err != nil {
		return err
	}
	skipDrain, answer := choiceSkipDrain, "going on without the drain"
	if n.input.Plan.Managed() {
		skipDrain, answer = choiceForceGroup, "trying again, by force"
	}
	return offer(ctx, n.holds, skipDrain, answer, needsReason, func(Decision, *decided) {})
}

// choices are what a person may decide when the step is held. A drain has a ladder: from waiting to going on without it.
func (n *nodeUpgrade) choices(s upgrade.Step) []upgrade.Choice {
	choices := []upgrade.Choice{choiceRetry}
	switch s {
	case upgrade.DrainNode, upgrade.StopPods:
		choices = append(choices, choiceWait, choiceDeletePods, choiceSkipDrain)
	case upgrade.UpdateNodeGroup:
		choices = append(choices, choiceForceGroup)
	}
	if n.input.Unskippable == "" {
		choices = append(choices, choiceSkip)
	}
	return choices
}

// heldOrNot shows a hold, or its end, on the node's page and tells the cluster's upgrade.
func (n *nodeUpgrade) heldOrNot(ctx workflow.Context) {
	n.status.Held, n.status.State, n.status.Wait = n.holds.reason(), upgrade.Running, nil
	if waits := n.holds.waits(); len(waits) > 0 {
		n.status.State, n.status.Wait = upgrade.Held, &waits[0]
		n.showHold(ctx, waits[0])
	}
	workflow.SetCurrentDetails(ctx, nodeDetails(n.status))
	if parent := workflow.GetInfo(ctx).ParentWorkflowExecution; parent != nil {
		told := nodeHeld{Node: n.status.Node, Reason: n.status.Held, Wait: n.status.Wait}
		if err := workflow.SignalExternalWorkflow(ctx, parent.ID, parent.RunID, signalNodeHeld, told).Get(ctx, nil); err != nil {
			workflow.GetLogger(ctx).Warn("the cluster's upgrade could not be told of the hold", "error", err)
		}
	}
}

// showHold shows a hold at the node's object. Nothing waits for that.
func (n *nodeUpgrade) showHold(ctx workflow.Context, w upgrade.Wait) {
	if n.input.Plan.Abstract() || workflow.GetVersion(ctx, "node-events", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary: n.status.Node + ": show the hold in an Event", StartToCloseTimeout: 30 * time.Second, ScheduleToCloseTimeout: 2 * time.Minute,
	})
	workflow.ExecuteActivity(ctx, act.ShowHold, activities.HoldInput{Cluster: n.input.Cluster, Node: n.status.Node, At: w.At, Reason: w.Reason})
}
