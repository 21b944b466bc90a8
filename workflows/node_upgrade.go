package workflows

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// NodeUpgradeInput is one node's part of a hop. ClusterUpgrade makes it; people have no reason to.
type NodeUpgradeInput struct {
	Cluster  string           `json:"cluster"`
	Hop      int              `json:"hop"`
	Plan     upgrade.NodePlan `json:"plan"`
	Settings upgrade.Settings `json:"settings"`
	Owner    string           `json:"owner"` // id of the cluster's upgrade
	// EndpointWatchers is how many watched EndpointSlices before anything was touched.
	EndpointWatchers int `json:"endpointWatchers"`
}

// nodeActivity is what a step of a node's runbook does.
type nodeActivity = func(context.Context, activities.NodeInput) (activities.Outcome, error)

// nodeActivities says what does each step. Which steps a node needs, and in which order, is the plan's business.
var nodeActivities = map[upgrade.Step]nodeActivity{
	upgrade.InstallKubeadm:      act.InstallKubeadm,
	upgrade.UpgradeControlPlane: act.UpgradeControlPlane,
	upgrade.VerifyControlPlane:  act.VerifyControlPlane,
	upgrade.UpgradeNodeConfig:   act.UpgradeNodeConfig,
	upgrade.DrainNode:           act.DrainNode,
	upgrade.InstallKubelet:      act.InstallKubelet,
	upgrade.RestartKubelet:      act.RestartKubelet,
	upgrade.VerifyNode:          act.VerifyNode,
	upgrade.UncordonNode:        act.UncordonNode,
}

// NodeUpgrade walks one node through the steps of its plan. A step that fails past its retries is held for a person;
// the node then stays as it is: once it was drained, cordoned.
func NodeUpgrade(ctx workflow.Context, in NodeUpgradeInput) (upgrade.NodeStatus, error) {
	n, err := newNodeUpgrade(ctx, in)
	if err != nil {
		return upgrade.NodeStatus{}, err
	}
	for i := range n.status.Steps {
		if err := n.step(ctx, &n.status.Steps[i]); err != nil {
			return n.status, err
		}
	}
	n.status.State = upgrade.Done
	return n.status, workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// nodeUpgrade is the state of one node's upgrade.
type nodeUpgrade struct {
	input          NodeUpgradeInput
	status         upgrade.NodeStatus
	holds          *holds
	kubeletStarted time.Time
}

// newNodeUpgrade sets up what people see and may say.
func newNodeUpgrade(ctx workflow.Context, in NodeUpgradeInput) (*nodeUpgrade, error) {
	n := &nodeUpgrade{input: in, status: in.Plan.NewStatus(in.Hop)}
	n.status.State, n.status.Workflow = upgrade.Running, workflow.GetInfo(ctx).WorkflowExecution.ID
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (upgrade.NodeStatus, error) { return n.status, nil }); err != nil {
		return nil, err
	}
	var err error
	n.holds, err = newHolds(ctx, in.Plan.Node, n.heldOrNot, func(a upgrade.Action) { n.status.Actions = append(n.status.Actions, a) })
	return n, err
}

func (n *nodeUpgrade) step(ctx workflow.Context, s *upgrade.StepStatus) error {
	s.State, s.Started = upgrade.Running, workflow.Now(ctx)
	workflow.SetCurrentDetails(ctx, nodeDetails(n.status))
	kept := func() *[]upgrade.Hold { return &s.Holds }
	err := n.holds.attempt(ctx, s.Step.Title(), kept, func() error {
		ctx := workflow.WithActivityOptions(ctx, n.options(s.Step))
		var out activities.Outcome
		err := workflow.ExecuteActivity(ctx, nodeActivities[s.Step], n.activityInput(s.Step)).Get(ctx, &out)
		record(s, outcomeOf(out, err))
		if err != nil {
			return err
		}
		s.Worked = out.Worked
		if !out.KubeletStarted.IsZero() {
			n.kubeletStarted = out.KubeletStarted
		}
		return nil
	})
	if err != nil {
		s.State = upgrade.Failed
		return err
	}
	s.State, s.Ended = upgrade.Done, workflow.Now(ctx)
	return nil
}

// record keeps what a try of the step, with all its attempts, is to be remembered for.
func record(s *upgrade.StepStatus, out activities.Outcome) {
	s.Attempts += out.Attempt
	s.Waits = upgrade.MergeWaits(s.Waits, out.Waits)
	if len(s.Holds) == 0 {
		s.APIServer = out.APIServer
	} else {
		s.APIServer = upgrade.MergeDowntime(s.APIServer, out.APIServer)
	}
}

func (n *nodeUpgrade) options(step upgrade.Step) workflow.ActivityOptions {
	summary := fmt.Sprintf("%s: %s %s", n.input.Plan.Node, step.Title(), n.input.Plan.Version(step))
	if step == upgrade.DrainNode {
		return drainOptions(string(step), summary, n.input.Settings)
	}
	return stepOptions(string(step), summary, n.input.Settings)
}

func (n *nodeUpgrade) activityInput(step upgrade.Step) activities.NodeInput {
	p := n.input.Plan
	return activities.NodeInput{
		Cluster: n.input.Cluster, Node: p.Node, Address: p.Address, Role: p.Role, Version: p.Version(step),
		KeepsKubelet: p.KeepsKubelet(), Settings: n.input.Settings, Owner: n.input.Owner, KubeletStarted: n.kubeletStarted,
		EndpointWatchers: n.input.EndpointWatchers,
	}
}

// heldOrNot shows a hold, or its end, on the node's page and tells the cluster's upgrade.
func (n *nodeUpgrade) heldOrNot(ctx workflow.Context) {
	n.status.Held, n.status.State = n.holds.reason(), upgrade.Running
	if n.status.Held != "" {
		n.status.State = upgrade.Held
	}
	workflow.SetCurrentDetails(ctx, nodeDetails(n.status))
	if parent := workflow.GetInfo(ctx).ParentWorkflowExecution; parent != nil {
		told := nodeHeld{Node: n.status.Node, Reason: n.status.Held}
		if err := workflow.SignalExternalWorkflow(ctx, parent.ID, parent.RunID, signalNodeHeld, told).Get(ctx, nil); err != nil {
			workflow.GetLogger(ctx).Warn("the cluster's upgrade could not be told of the hold", "error", err)
		}
	}
}
