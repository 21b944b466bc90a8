package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Cordoned: the node was cordoned with its whole pool, before its own turn.
	Cordoned bool `json:"cordoned,omitempty"`
	// Successor says what takes the node's place, where it is replaced.
	Successor *activities.SuccessorInput `json:"successor,omitempty"`
	// Run is that of the upgrade's hop, where a provider changes something.
	Run string `json:"run,omitempty"`
	// Force overrules the provider's own checks, but no budgets.
	Force bool `json:"force,omitempty"`
	// TaskQueue is that of the workers beside the cluster; "" is that of the workflow.
	TaskQueue string `json:"taskQueue,omitempty"`
	// Unskippable is why the node must not be left as it is, or "".
	Unskippable string `json:"unskippable,omitempty"`
}

// nodeActivity is what a step of a node's runbook does.
type nodeActivity = func(context.Context, activities.NodeInput) (activities.Outcome, error)

// nodeActivities says what does each step. Which steps a node needs, and in which order, is the plan's business.
var nodeActivities = map[upgrade.Step]nodeActivity{
	upgrade.InstallKubeadm:       act.InstallKubeadm,
	upgrade.UpgradeControlPlane:  act.UpgradeControlPlane,
	upgrade.VerifyControlPlane:   act.VerifyControlPlane,
	upgrade.UpgradeNodeConfig:    act.UpgradeNodeConfig,
	upgrade.DrainNode:            act.DrainNode,
	upgrade.InstallKubelet:       act.InstallKubelet,
	upgrade.RestartKubelet:       act.RestartKubelet,
	upgrade.VerifyNode:           act.VerifyNode,
	upgrade.UncordonNode:         act.UncordonNode,
	upgrade.FetchBinaries:        act.FetchBinaries,
	upgrade.SwapBinaries:         act.SwapBinaries,
	upgrade.UpdateControlPlane:   act.UpdateControlPlane,
	upgrade.RollBackControlPlane: act.RollBackControlPlane,
	upgrade.UpdateAddon:          act.UpdateAddon,
	upgrade.UpdateNodeGroup:      act.UpdateNodeGroup,
	upgrade.AwaitNodes:           act.AwaitNodes,
	upgrade.RestartFargate:       act.RestartFargate,
	upgrade.StopPods:             act.StopPods,
	upgrade.AddNode:              act.AddNode,
	upgrade.WithdrawNode:         act.WithdrawNode,
	upgrade.ReleaseVolumes:       act.ReleaseVolumes,
	upgrade.RemoveNode:           act.RemoveNode,
}

// NodeUpgrade walks one node through the steps of its plan. A step that fails past its retries is held for a person;
// the node then stays as it is: once it was drained, cordoned.
func NodeUpgrade(ctx workflow.Context, in NodeUpgradeInput) (upgrade.NodeStatus, error) {
	n, err := newNodeUpgrade(ctx, in)
	if err != nil {
		return upgrade.NodeStatus{}, err
	}
	ctx = n.giveUpWhenCancelled(beside(ctx, in.TaskQueue))
	for i := range n.status.Steps {
		if err = n.step(ctx, &n.status.Steps[i]); err != nil {
			break
		}
	}
	return n.finish(ctx, err)
}

// nodeUpgrade is the state of one node's upgrade.
type nodeUpgrade struct {
	input          NodeUpgradeInput
	status         upgrade.NodeStatus
	holds          *holds
	uncordon       bool // when it is left as it is
	kubeletStarted time.Time
}

func (n *nodeUpgrade) step(ctx workflow.Context, s *upgrade.StepStatus) error {
	s.State, s.Started = upgrade.Running, workflow.Now(ctx)
	workflow.SetCurrentDetails(ctx, nodeDetails(n.status))
	kept := func() *[]upgrade.Hold { return &s.Holds }
	err := n.holds.attempt(ctx, s.Step.Title(), n.choices(s.Step), kept, func(d *decided) error {
		if d != nil && d.What == UpdateSkipDrain && s.Step != upgrade.UpdateNodeGroup {
			return errPassed // a drain of the provider's is not skipped, but forced
		}
		if err := n.carryOut(ctx, d); err != nil {
			return err
		}
		ctx := workflow.WithActivityOptions(ctx, n.options(s.Step, d))
		var out activities.Outcome
		err := workflow.ExecuteActivity(ctx, nodeActivities[s.Step], n.activityInput(s.Step, d)).Get(ctx, &out)
		told := outcomeOf(out, err)
		record(s, told)
		n.succeeded(told)
		if err != nil {
			return err
		}
		s.Worked = out.Worked
		if out.Left != "" {
			n.status.Left = out.Left
		}
		if !out.KubeletStarted.IsZero() {
			n.kubeletStarted = out.KubeletStarted
		}
		return nil
	})
	s.Ended = workflow.Now(ctx)
	switch {
	case err == nil:
		s.State = upgrade.Done
	case errors.Is(err, errPassed):
		s.State, err = upgrade.Skipped, nil
	case errors.Is(err, errSkipped):
		s.State = upgrade.Skipped
	case errors.Is(err, errStopped):
		s.State = upgrade.Aborted
	default:
		s.State, s.Ended = upgrade.Failed, time.Time{}
	}
	return err
}

// carryOut does what a person decided before the step is tried again.
func (n *nodeUpgrade) carryOut(ctx workflow.Context, d *decided) error {
	if d == nil || d.What != UpdateDeletePods {
		return nil
	}
	o := stepOptions("delete-pods-"+d.At.UTC().Format("150405"), n.input.Plan.Node+": delete the pods that were named", n.input.Settings)
	in := activities.DeletePodsInput{Cluster: n.input.Cluster, Node: n.input.Plan.Node, Pods: d.pods}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), act.DeletePods, in).Get(ctx, nil)
}

// finish makes the result. A node that is left as it is, since a person skipped it or stopped the upgrade, is no failure.
func (n *nodeUpgrade) finish(ctx workflow.Context, err error) (upgrade.NodeStatus, error) {
	n.status.State, n.status.Held, n.status.Wait = upgrade.Done, "", nil
	switch {
	case errors.Is(err, errSkipped):
		n.status.State = upgrade.Skipped
		n.leave(ctx, n.uncordon)
	case errors.Is(err, errStopped):
		n.status.State = upgrade.Aborted
		n.leave(ctx, !n.begun(upgrade.InstallKubelet))
	case err != nil:
		return n.status, err
	}
	workflow.SetCurrentDetails(ctx, nodeDetails(n.status))
	return n.status, workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// leave says how the node is left. A cordon of pawl's is taken back, if it may be: not where the kubelet was being
// replaced, unless a person says so.
func (n *nodeUpgrade) leave(ctx workflow.Context, uncordon bool) {
	if n.input.Plan.Role == upgrade.ComponentPart {
		n.status.Left = "as the last swap left it: what did not pass its gate was swapped back"
		return
	}
	if n.input.Plan.Managed() {
		n.status.Left = "as the provider has it: what it began it carries on by itself"
		return
	}
	if n.begun(upgrade.AddNode) {
		n.keep(ctx)
		return
	}
	if !n.begun(upgrade.DrainNode) && !n.begun(upgrade.StopPods) && !n.input.Cordoned {
		n.status.Left = "as it was: nothing that moves pods had begun"
		return
	}
	if !uncordon {
		n.status.Left = fmt.Sprintf("cordoned; when it is in order: kubectl uncordon %s", n.input.Plan.Node)
		return
	}
	o := stepOptions("take-back-cordon", n.input.Plan.Node+": take back the cordon", n.input.Settings)
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), act.UncordonNode, n.activityInput(upgrade.UncordonNode, nil)).Get(ctx, nil)
	if n.status.Left = "schedulable again, if it was pawl that cordoned it"; err != nil {
		n.status.Left = "cordoned, since it could not be uncordoned: " + reason(err)
	}
}

// begun reports whether a step of the node's plan was begun.
func (n *nodeUpgrade) begun(step upgrade.Step) bool {
	return slices.ContainsFunc(n.status.Steps, func(s upgrade.StepStatus) bool { return s.Step == step && !s.Started.IsZero() })
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

func (n *nodeUpgrade) options(step upgrade.Step, d *decided) workflow.ActivityOptions {
	summary := fmt.Sprintf("%s: %s %s", n.input.Plan.Node, step.Title(), n.input.Plan.Version(step))
	switch step {
	case upgrade.DrainNode, upgrade.StopPods:
		return drainOptions(string(step), summary, n.settings(d))
	case upgrade.UpdateControlPlane, upgrade.RollBackControlPlane, upgrade.UpdateAddon, upgrade.UpdateNodeGroup, upgrade.AwaitNodes, upgrade.RestartFargate:
		return updateOptions(string(step), summary, n.input.Settings)
	case upgrade.AddNode:
		return addOptions(string(step), summary, n.input.Settings, n.input.Successor)
	}
	return stepOptions(string(step), summary, n.input.Settings)
}

// settings are the plan's, but for what a person decided.
func (n *nodeUpgrade) settings(d *decided) upgrade.Settings {
	s := n.input.Settings
	if d != nil && d.What == UpdateWait {
		s.Drain.Timeout = d.longer
	}
	return s
}

// forces reports whether the step overrules what would stop it: the provider's own checks, where the input says so, and the
// budgets of a node group's pods only where a person has just decided that at its hold.
func (n *nodeUpgrade) forces(step upgrade.Step, d *decided) bool {
	if step == upgrade.UpdateNodeGroup {
		return d != nil && d.What == UpdateSkipDrain
	}
	return n.input.Force
}

// began is when the step first began, of one that needs to know it: it is the same for all its attempts.
func (n *nodeUpgrade) began(step upgrade.Step) time.Time {
	for _, s := range n.status.Steps {
		if s.Step == step && step == upgrade.RestartFargate {
			return s.Started
		}
	}
	return time.Time{}
}

func (n *nodeUpgrade) activityInput(step upgrade.Step, d *decided) activities.NodeInput {
	p := n.input.Plan
	tries := 0
	for _, s := range n.status.Steps {
		if p.Managed() {
			tries += len(s.Holds)
		}
	}
	return activities.NodeInput{
		Host: p.Host, Changes: p.Changes, Addon: p.Addon, Run: n.input.Run, Try: tries, Force: n.forces(step, d), Since: n.began(step),
		Cluster: n.input.Cluster, Node: p.Node, Address: p.Address, Role: p.Role, Version: p.Version(step),
		KeepsKubelet: p.KeepsKubelet(), Settings: n.settings(d), Owner: n.input.Owner, KubeletStarted: n.kubeletStarted,
		EndpointWatchers: n.input.EndpointWatchers, Successor: n.input.Successor,
	}
}
