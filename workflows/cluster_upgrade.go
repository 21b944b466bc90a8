package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// ClusterUpgrade brings a cluster to a newer version: the control plane first, one node at a time, then the workers.
// It is the runbook; run is the page to read.
func ClusterUpgrade(ctx workflow.Context, in ClusterUpgradeInput) (*Report, error) {
	u, err := newClusterUpgrade(ctx, in)
	if err != nil {
		return nil, err
	}
	return u.finish(ctx, u.run(ctx))
}

func (u *clusterUpgrade) run(ctx workflow.Context) error {
	if err := u.stage(ctx, "Plan", u.makePlan); err != nil {
		return err
	}
	for i := 0; i < len(u.plan.Hops); i++ {
		hop := u.plan.Hops[i]
		u.status.Hop = i + 1
		stages := []stage{
			{"Check the control plane", u.checkControlPlane},
			{"Back up etcd and the configuration", u.backUp},
			{"Upgrade the control plane to " + hop.To.String(), u.upgradeControlPlane},
			{"Upgrade the control plane's kubelets to " + hop.To.String(), u.upgradeControlPlaneKubelets},
			{"Upgrade the workers to " + hop.To.String(), u.upgradeWorkers},
			{"Verify the cluster", u.verifyCluster},
		}
		if i+1 < len(u.plan.Hops) {
			stages = append(stages, stage{"Check that the rest of the plan still fits", u.checkRest})
		}
		for _, s := range stages {
			if err := u.stage(ctx, s.title, s.run); err != nil {
				return err
			}
		}
	}
	return nil
}

// stage is a titled part of the runbook.
type stage struct {
	title string
	run   func(workflow.Context) error
}

// clusterUpgrade is the state of one upgrade.
type clusterUpgrade struct {
	input    ClusterUpgradeInput
	id       string // of the workflow: the owner of what is cordoned
	plan     upgrade.Plan
	status   upgrade.Status
	holds    *holds
	backups  []string                   // of each hop so far
	watchers int                        // of endpoints, before anything was touched
	prepared map[string]workflow.Future // by node, of the hop under way
}

func (u *clusterUpgrade) hop() upgrade.Hop { return u.plan.Hops[u.status.Hop-1] }

func (u *clusterUpgrade) makePlan(ctx workflow.Context) error {
	plan, err := makePlan(ctx, u.input)
	if err != nil {
		return err
	}
	if plan.Refused() {
		return refused(plan)
	}
	u.plan = plan
	u.planned(ctx)
	return nil
}

func (u *clusterUpgrade) checkControlPlane(ctx workflow.Context) error {
	out, err := u.step(ctx, "check-control-plane", "Check that every API server and etcd member is healthy", act.CheckControlPlane, u.clusterInput())
	u.watchers = out.EndpointWatchers
	return err
}

// backUp keeps what an upgrade cannot bring back by itself, before anything is changed. An upgrade that only finishes
// its workers changes nothing that would have to be restored.
func (u *clusterUpgrade) backUp(ctx workflow.Context) error {
	name := backupName(ctx, u.plan.Cluster, u.hop())
	u.backups = append(u.backups, name)
	return inParallel(ctx, u.hop().ControlPlane, len(u.hop().ControlPlane), func(ctx workflow.Context, i int, n upgrade.NodePlan) error {
		in := activities.BackUpInput{NodeInput: u.nodeInput(n), Backup: name, Snapshot: i == 0}
		_, err := u.step(ctx, "back-up-"+n.Node, "Back up "+n.Node, act.BackUpControlPlane, in)
		return err
	})
}

// upgradeControlPlane upgrades the components of one node after another: two at once could cost the API or etcd's
// quorum. Meanwhile packages and images are fetched for the nodes whose turn is still to come.
func (u *clusterUpgrade) upgradeControlPlane(ctx workflow.Context) error {
	u.prepareNodes(ctx)
	return inParallel(ctx, u.hop().ControlPlane, 1, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
		return u.upgradeNode(ctx, n.Components(), "control plane")
	})
}

// upgradeControlPlaneKubelets follows when every API server is at the version: a kubelet may not be newer than any of
// them.
func (u *clusterUpgrade) upgradeControlPlaneKubelets(ctx workflow.Context) error {
	return inParallel(ctx, u.hop().ControlPlane, 1, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
		return u.upgradeNode(ctx, n.Kubelet(), "kubelet")
	})
}

// upgradeWorkers configures the workers that keep their kubelet in this hop side by side, since no pod notices. Of the
// others it keeps up to maxUnavailable under way: as soon as one is done the next one starts.
func (u *clusterUpgrade) upgradeWorkers(ctx workflow.Context) error {
	keep, move := u.hop().SplitWorkers()
	err := inParallel(ctx, keep, upgrade.WorkersAside, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
		return u.upgradeNode(ctx, n, "configuration")
	})
	if err != nil {
		return err
	}
	return inParallel(ctx, move, u.plan.Settings.MaxUnavailable, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
		return u.upgradeNode(ctx, n, "node")
	})
}

func (u *clusterUpgrade) verifyCluster(ctx workflow.Context) error {
	_, err := u.step(ctx, "verify-cluster", "Verify the control plane, kube-proxy, CoreDNS and the system pods", act.VerifyCluster, u.clusterInput())
	return err
}

// upgradeNode runs a node's own workflow over its plan, or a part of it, to the end. A node that needs a person holds;
// it does not fail. what names the part for people.
func (u *clusterUpgrade) upgradeNode(ctx workflow.Context, n upgrade.NodePlan, what string) error {
	if len(n.Steps) == 0 {
		return nil // this part is done already
	}
	if prepared := u.prepared[n.Node]; prepared != nil {
		_ = prepared.Get(ctx, nil) // a convenience: the node's own steps fetch what is missing
	}
	id := NodeUpgradeID(u.plan.Cluster, n.Node)
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:    id,
		StaticSummary: fmt.Sprintf("%s: %s to %s", n.Node, what, n.Version(n.Steps[0])),
	})
	u.nodeStarted(ctx, n, id)
	var done upgrade.NodeStatus
	err := workflow.ExecuteChildWorkflow(ctx, NodeUpgrade, u.nodeUpgradeInput(n)).Get(ctx, &done)
	if err != nil {
		return err
	}
	u.nodeDone(ctx, n, done)
	return nil
}

// prepareNodes fetches what every node of the hop will need, a few nodes at a time, while others are worked on. Workers
// that keep their kubelet need little, and nobody waits for them.
func (u *clusterUpgrade) prepareNodes(ctx workflow.Context) {
	const atOnce = 8
	turn := workflow.NewSemaphore(ctx, atOnce)
	for _, n := range u.hop().NodePlans() {
		if n.KeepsKubelet() {
			continue
		}
		done, settle := workflow.NewFuture(ctx)
		u.prepared[n.Node] = done
		workflow.Go(ctx, func(ctx workflow.Context) {
			if err := turn.Acquire(ctx, 1); err != nil {
				settle.SetError(err)
				return
			}
			defer turn.Release(1)
			ctx = workflow.WithActivityOptions(ctx, prepareOptions("prepare-"+n.Node, "Fetch packages and images for "+n.Node, u.plan.Settings))
			settle.SetError(workflow.ExecuteActivity(ctx, act.PrepareNode, u.nodeInput(n)).Get(ctx, nil))
		})
	}
}
