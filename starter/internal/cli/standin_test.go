package cli

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// The stand-ins have the names, inputs, queries and updates of pawl's workflows, and do what a test tells them.

func standInWorker(c client.Client) worker.Worker {
	w := worker.New(c, workflows.TaskQueue, worker.Options{WorkerStopTimeout: time.Second})
	w.RegisterWorkflowWithOptions(standInPlan, workflow.RegisterOptions{Name: workflows.ClusterPlanName})
	w.RegisterWorkflowWithOptions(standInInventory, workflow.RegisterOptions{Name: workflows.ClusterInventoryName})
	w.RegisterWorkflowWithOptions(standInUpgrade, workflow.RegisterOptions{Name: workflows.ClusterUpgradeName})
	w.RegisterWorkflowWithOptions(standInScheduled, workflow.RegisterOptions{Name: workflows.ScheduledUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.FleetUpgrade, workflow.RegisterOptions{Name: workflows.FleetUpgradeName}) // the real one, over stand-ins
	w.RegisterWorkflowWithOptions(standInNode, workflow.RegisterOptions{Name: workflows.NodeUpgradeName})
	w.RegisterActivityWithOptions(standInDrain, activity.RegisterOptions{Name: "drain"})
	return w
}

// standInPlan answers by the cluster's name.
func standInPlan(_ workflow.Context, in workflows.ScheduledUpgradeInput) (upgrade.Plan, error) {
	target := upgrade.MustVersion("v1.36.5") // to which policies lead
	if in.Policy.IsZero() {
		target = upgrade.MustVersion(in.TargetVersion)
	}
	switch in.Cluster {
	case "ghost":
		return upgrade.Plan{}, fail(fault.NotFound, "plan ghost: no clusters/ghost.yaml; describe the cluster there")
	case "dark":
		return upgrade.Plan{}, fail(fault.Unreachable, "observe dark: the API server at 10.0.0.1:6443 does not answer")
	}
	c := upgrade.Cluster{Name: in.Cluster, Version: upgrade.MustVersion("v1.36.3"), Nodes: []upgrade.Node{
		standInClusterNode("cp1", true, target), standInClusterNode("w1", false, target)}}
	switch in.Cluster {
	case "unready":
		c.Nodes[1].Ready = false
	case "current":
		c.Version = target
		for i := range c.Nodes {
			c.Nodes[i].Kubelet, c.Nodes[i].Host.Kubeadm = target, target
			for name := range c.Nodes[i].Components {
				c.Nodes[i].Components[name] = target
			}
		}
	}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: target, Policy: in.Policy}, upgrade.Settings{MaxUnavailable: upgrade.AtMost(1)}), nil
}

// standInScheduled ends as the cluster's name says.
func standInScheduled(ctx workflow.Context, in workflows.ScheduledUpgradeInput) (*workflows.ScheduledReport, error) {
	switch in.Cluster {
	case "unready":
		return nil, fail(fault.PreflightFailed, "plan unready v1.36.3 to v1.36.5: refused: w1: the node is not Ready")
	case "slow":
		workflow.GetSignalChannel(ctx, "status").Receive(ctx, nil)
	}
	return &workflows.ScheduledReport{Cluster: in.Cluster, Outcome: workflows.ScheduledNothingToDo, Message: "nothing to do: it wants " + in.Wants()}, nil
}

// standInInventory answers by the cluster's name.
func standInInventory(_ workflow.Context, in workflows.ClusterInventoryInput) (inventory.Packed, error) {
	if in.Cluster == "ghost" {
		return inventory.Packed{}, fail(fault.NotFound, "find cluster ghost: no clusters/ghost.yaml; describe the cluster there")
	}
	to := upgrade.MustVersion("v1.37.2")
	return inventory.Packed{Inventory: inventory.Inventory{Cluster: upgrade.Cluster{Name: in.Cluster, Version: upgrade.MustVersion("v1.36.3"),
		Nodes: []upgrade.Node{standInClusterNode("cp1", true, to), standInClusterNode("w1", false, to)}}}}, nil
}

func fail(kind fault.Kind, text string) error {
	return temporal.NewNonRetryableApplicationError(text, string(kind), errors.New("a cause that is not to be shown"))
}

func standInClusterNode(name string, controlPlane bool, target upgrade.Version) upgrade.Node {
	now := upgrade.MustVersion("v1.36.3")
	n := upgrade.Node{Name: name, ControlPlane: controlPlane, Kubelet: now, Ready: true, Host: upgrade.Host{
		OS: "debian", PackageManager: "apt", Kubeadm: now, Available: []upgrade.Version{target}, FreeBytes: 1 << 40}}
	if controlPlane {
		n.Components = map[string]upgrade.Version{}
		for _, c := range upgrade.ControlPlaneComponents {
			n.Components[c] = now
		}
	}
	return n
}

// standInUpgrade has the status that it is signalled, until that has ended.
func standInUpgrade(ctx workflow.Context, in workflows.ClusterUpgradeInput) (*workflows.Report, error) {
	status := upgrade.Status{Cluster: in.Cluster, State: upgrade.Running, Started: workflow.Now(ctx),
		From: upgrade.MustVersion("v1.36.3"), Target: upgrade.MustVersion(in.TargetVersion)}
	err := workflow.SetQueryHandler(ctx, workflows.QueryStatus, func() (upgrade.Status, error) { return status, nil })
	if err != nil {
		return nil, err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, workflows.UpdateRetry,
		func(workflow.Context, workflows.Decision) (string, error) { return "trying again", nil },
		workflow.UpdateHandlerOptions{Validator: func(d workflows.Decision) error {
			if d.Reason == "" {
				return errors.New("nothing is held without a reason")
			}
			return nil
		}})
	if err != nil {
		return nil, err
	}
	signals := workflow.GetSignalChannel(ctx, "status")
	for {
		began := status.Started
		signals.Receive(ctx, &status)
		status.Started = began
		switch status.State {
		case upgrade.Done:
			status.Ended = workflow.Now(ctx)
			return &workflows.Report{Status: status, Backup: "/var/lib/pawl/backup"}, nil
		case upgrade.Failed:
			status.Ended = workflow.Now(ctx)
			return nil, fail(fault.CommandFailed, status.Message)
		}
	}
}

// standInNode drains until it is told its status.
func standInNode(ctx workflow.Context, status upgrade.NodeStatus) error {
	err := workflow.SetQueryHandler(ctx, workflows.QueryStatus, func() (upgrade.NodeStatus, error) { return status, nil })
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, workflows.UpdateRetry,
		func(workflow.Context, workflows.Decision) (string, error) {
			status.State, status.Held, status.Wait = upgrade.Running, "", nil
			return "trying again", nil
		},
		workflow.UpdateHandlerOptions{Validator: func(workflows.Decision) error {
			if status.State != upgrade.Held {
				return errors.New("nothing is held here, so there is nothing to retry")
			}
			return nil
		}})
	if err != nil {
		return err
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ActivityID: "drainNode", StartToCloseTimeout: time.Hour, HeartbeatTimeout: 10 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond},
	})
	drain := workflow.ExecuteActivity(ctx, "drain")
	signals := workflow.GetSignalChannel(ctx, "status")
	for !status.State.Ended() {
		workflow.NewSelector(ctx).AddFuture(drain, func(workflow.Future) {}).
			AddReceive(signals, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, &status) }).Select(ctx)
	}
	return nil
}

// standInDrain fails once, then reports a blocked pod for as long as it is let.
func standInDrain(ctx context.Context) error {
	if activity.GetInfo(ctx).Attempt == 1 {
		return temporal.NewApplicationError("evict: the API server does not answer", string(fault.Unreachable))
	}
	for ctx.Err() == nil {
		activity.RecordHeartbeat(ctx, upgrade.DrainPass{Terminating: 1, Blocked: []upgrade.BlockedPod{
			{Pod: "payments/api-2", Reason: "blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)"}}})
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return ctx.Err()
}
