package activities

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Events shows people at a node's object what is done to it.
type Events interface {
	// Show tells of an event once, however often it is told of the same. It never fails: what cannot be shown is not worth
	// an upgrade.
	Show(ctx context.Context, cluster, node string, e upgrade.NodeEvent)
}

// eventPatience bounds how long an event may hold up a step. An API server that is being upgraded may not answer.
const eventPatience = 3 * time.Second

// said is what is shown before a step and after it; an empty reason is nothing. %s is the version.
type said struct{ before, beforeText, after, afterText string }

var saidOf = map[upgrade.Step]said{
	upgrade.UpgradeControlPlane: {before: "UpgradingControlPlane", beforeText: "the control plane's components go to %s"},
	upgrade.VerifyControlPlane:  {after: "ControlPlaneUpgraded", afterText: "the control plane's components are healthy at %s"},
	upgrade.DrainNode:           {"Draining", "cordoned, and pods are evicted, for the upgrade to %s", "Drained", "no pod is left that has to go, for the upgrade to %s"},
	upgrade.StopPods:            {"StoppingPods", "cordoned, and pods are deleted, for the upgrade to %s", "PodsStopped", "no pod is left that has to go, for the upgrade to %s"},
	upgrade.InstallKubelet:      {before: "UpgradingKubelet", beforeText: "the kubelet goes to %s"},
	upgrade.SwapBinaries:        {"SwappingBinaries", "binaries go to %s", "BinariesSwapped", "binaries are at %s"},
	upgrade.VerifyNode:          {after: "NodeUpgraded", afterText: "the node is Ready at %s"},
	upgrade.UncordonNode:        {after: "Uncordoned", afterText: "takes pods again at %s, unless somebody else has cordoned it"},
	upgrade.AddNode:             {before: "AddingSuccessor", beforeText: "a new node at %s is to take this one's place", after: "SuccessorReady", afterText: "a new node at %s is Ready to take this one's place"},
	upgrade.WithdrawNode:        {after: "Withdrawn", afterText: "cordoned, and load balancers send it nothing more, since a node at %s takes its place"},
	upgrade.RemoveNode:          {before: "RemovingNode", beforeText: "the machine is ended, since a node at %s has taken its place"},
}

// showing runs a step and shows what it does to its node. Before the step nobody waits for that.
func showing(ctx context.Context, events Events, in *interceptor.ExecuteActivityInput, step func() (any, error)) (any, error) {
	node, ok := nodeOf(in.Args)
	what, told := saidOf[upgrade.Step(StepOf(activity.GetInfo(ctx).ActivityType.Name))]
	if events == nil || !ok || !told {
		return step()
	}
	show := func(reason, text string) {
		if reason == "" {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, eventPatience)
		defer cancel()
		events.Show(ctx, node.Cluster, node.Node, upgrade.NodeEvent{
			Reason: reason, Message: fmt.Sprintf(text, node.Version), Key: activity.GetInfo(ctx).WorkflowExecution.RunID + "/" + reason,
		})
	}
	var before sync.WaitGroup
	before.Go(func() { show(what.before, what.beforeText) })
	result, err := step()
	before.Wait() // in the order in which things were done
	if err == nil {
		show(what.after, what.afterText)
	}
	return result, err
}

func nodeOf(args []any) (NodeInput, bool) {
	if len(args) != 1 {
		return NodeInput{}, false
	}
	in, ok := args[0].(NodeInput)
	return in, ok
}

// HoldInput names a node that is held, and why.
type HoldInput struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	At      string `json:"at"`     // the step
	Reason  string `json:"reason"` // one line
}

// ShowHold shows at the node's object that a person is waited for.
func (a *Activities) ShowHold(ctx context.Context, in HoldInput) error {
	if a.Events == nil {
		return nil
	}
	info := activity.GetInfo(ctx)
	a.Events.Show(ctx, in.Cluster, in.Node, upgrade.NodeEvent{
		Reason: "UpgradeHeld", Warning: true, Message: in.At + ": " + cmp.Or(in.Reason, "unknown"),
		Key: info.WorkflowExecution.RunID + "/UpgradeHeld/" + info.ActivityID, // of each hold of its own
	})
	return nil
}
