package workflows

import (
	"fmt"
	"slices"

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
	err = u.run(ctx)
	ctx = u.beside(ctx)
	u.releaseLock(ctx)
	return u.finish(ctx, err)
}

func (u *clusterUpgrade) run(ctx workflow.Context) error {
	err := u.stage(ctx, "Plan", u.makePlan)
	ctx = u.abortWhenCancelled(u.beside(ctx))
	for err == nil && u.status.Hop < len(u.plan.Hops) {
		u.status.Hop++
		err = u.upgradeHop(ctx)
		for u.retargeted(err) {
			err = u.stage(ctx, "Plan the way to "+u.input.TargetVersion, u.planAgain)
		}
	}
	return err
}

func (u *clusterUpgrade) upgradeHop(ctx workflow.Context) error {
	if err := u.approve(ctx, BeforeHop, "before the hop to "+u.hop().To.String()); err != nil {
		return err
	}
	if left, err := u.awaitHop(ctx); err != nil || !left {
		return err
	}
	to, last := u.hop().To.String(), u.status.Hop == len(u.plan.Hops)
	stages := slices.Concat(u.hooksBefore(), []stage{
		{"Check the control plane", u.checkControlPlane},
		{"Back up etcd and the configuration", u.backUp},
	}, u.upgradeControlPlane(), u.baking(), []stage{{"Upgrade the workers to " + to, u.upgradeWorkers}}, u.lastHealth(), []stage{{"Verify the cluster", u.verifyCluster}}, u.hooksAfter(last))
	if !last {
		stages = append(stages, stage{"Check that the rest of the plan still fits", u.checkRest})
	}
	for _, s := range stages {
		if err := u.stage(ctx, s.title, s.run); err != nil {
			return err
		}
	}
	u.pauseAfter(AfterHop)
	return nil
}

// stage is a titled part of the runbook.
type stage struct {
	title string
	run   func(workflow.Context) error
}

// clusterUpgrade is the state of one upgrade.
type clusterUpgrade struct {
	input     ClusterUpgradeInput // but for a target that was changed on the way
	id        string              // of the workflow: the owner of what is cordoned
	queue     string              // of the workers beside the cluster
	plan      upgrade.Plan
	status    upgrade.Status
	holds     *holds
	steering  steering
	windows   windows
	health    healthGate
	notifying notifying
	approval  *upgrade.Wait // nil while nothing waits for one
	leftOut   []string      // nodes that a person skipped
	canary    bool          // the first worker has been drained and was approved of
	lock      clusterLock
	told      clusterState               // what the fleet's upgrade was told last
	backups   []string                   // of each hop so far
	watchers  int                        // of endpoints, before anything was touched
	prepared  map[string]workflow.Future // by node, of the hop under way
	indexed   indexed
}

func (u *clusterUpgrade) hop() upgrade.Hop { return u.plan.Hops[u.status.Hop-1] }

func (u *clusterUpgrade) makePlan(ctx workflow.Context) error {
	if err := u.input.CheckApprovals(); err != nil {
		return invalid(u.input.Cluster, err)
	}
	var err error
	if u.queue, err = locate(ctx, u.input.Cluster, planOptions); err != nil {
		return err
	}
	ctx = u.beside(ctx)
	plan, err := makePlan(ctx, u.input, nil)
	if err != nil {
		return err
	}
	u.notifyAs(plan.Settings)
	if plan.Refused() {
		return refused(plan)
	}
	u.plan = plan
	u.planned(ctx)
	if len(plan.Hops) > 0 {
		u.notify(ctx, upgrade.EventStart, upgrade.Wait{})
	}
	return u.takeLock(ctx)
}

func (u *clusterUpgrade) checkControlPlane(ctx workflow.Context) error {
	if err := u.gate(ctx); err != nil {
		return err
	}
	out, err := u.step(ctx, "check-control-plane", "Check that every API server and etcd member is healthy", act.CheckControlPlane, u.clusterInput())
	u.watchers = out.EndpointWatchers
	return err
}

// backUp keeps what an upgrade cannot bring back by itself, before anything is changed. An upgrade that only finishes
// its workers changes nothing that would have to be restored.
func (u *clusterUpgrade) backUp(ctx workflow.Context) error {
	nodes := u.plan.BackUps(u.hop())
	if len(nodes) == 0 && len(u.hop().ControlPlane) > 0 {
		return nil
	}
	name := backupName(ctx, u.plan.Cluster, u.hop())
	u.backups = append(u.backups, name)
	return inParallel(ctx, nodes, len(nodes), func(ctx workflow.Context, i int, n upgrade.NodePlan) error {
		in := activities.BackUpInput{NodeInput: u.nodeInput(n), Backup: name, Snapshot: i == u.plan.SnapshotAt()}
		_, err := u.step(ctx, "back-up-"+n.Node, "Back up "+n.Node, act.BackUpControlPlane, in)
		return err
	})
}

// readyControlPlane waits for an approval where one is wanted, and has packages and images fetched for the nodes whose turn is
// still to come.
func (u *clusterUpgrade) readyControlPlane(ctx workflow.Context) error {
	if len(u.hop().ControlPlane) > 0 {
		if err := u.approve(ctx, BeforeControlPlane, "before the control plane goes to "+u.hop().To.String()); err != nil {
			return err
		}
	}
	u.prepareNodes(ctx)
	return nil
}

// upgradeControlPlane are the stages of the control plane, one for each of its phases. One node follows another: two at once
// could cost the API or etcd's quorum.
func (u *clusterUpgrade) upgradeControlPlane() []stage {
	var stages []stage
	for i, phase := range u.hop().Phases() {
		stages = append(stages, stage{phase.Title + " to " + u.hop().To.String(), func(ctx workflow.Context) error {
			if i == 0 {
				if err := u.readyControlPlane(ctx); err != nil {
					return err
				}
			}
			return inParallel(ctx, phase.Nodes, 1, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
				return u.upgradeNode(ctx, n, phase.What)
			})
		}})
	}
	return stages
}

// baking lets some time pass after the control plane, where the definition says so: of all that follows nothing can go back.
func (u *clusterUpgrade) baking() []stage {
	bake := u.plan.Settings.Bake.Std()
	if bake == 0 || len(u.hop().ControlPlane) == 0 || len(u.hop().Workers) == 0 {
		return nil
	}
	return []stage{{"Let the control plane bake", func(ctx workflow.Context) error {
		_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: bake, TimerOptions: workflow.TimerOptions{Summary: "Let the control plane bake"},
		}, func() bool { return u.steering.stop != nil })
		if err != nil {
			return err
		}
		return u.gate(ctx)
	}}}
}

// upgradeWorkers configures the workers that keep their kubelet in this hop side by side, since no pod notices. The others
// follow pool after pool, each by its own strategy.
func (u *clusterUpgrade) upgradeWorkers(ctx workflow.Context) error {
	keep, move := u.hop().SplitWorkers()
	err := inParallel(ctx, keep, upgrade.WorkersAside, func(ctx workflow.Context, _ int, n upgrade.NodePlan) error {
		return u.upgradeNode(ctx, n, "configuration")
	})
	if err != nil {
		return err
	}
	if len(move) == 0 {
		return nil
	}
	if err := u.approve(ctx, BeforeWorkers, fmt.Sprintf("before %d workers are drained", len(move))); err != nil {
		return err
	}
	return u.avoiding(ctx, move, func() error {
		for _, part := range u.plan.Parts(u.hop()) {
			if err := u.upgradePool(ctx, part); err != nil {
				return err
			}
		}
		return nil
	})
}

func (u *clusterUpgrade) verifyCluster(ctx workflow.Context) error {
	_, err := u.step(ctx, "verify-cluster", "Verify the control plane, kube-proxy, CoreDNS and the system pods", act.VerifyCluster, u.clusterInput())
	return err
}

// upgradeNode waits for the node's turn, and then runs it.
func (u *clusterUpgrade) upgradeNode(ctx workflow.Context, n upgrade.NodePlan, what string) error {
	if len(n.Steps) == 0 {
		return nil // this part is done already, or a person wants it left as it is
	}
	if err := u.awaitTurn(ctx, n); err != nil {
		return err
	}
	return u.runNode(ctx, u.nodeUpgradeInput(ctx, n), what)
}

// awaitTurn waits until the work on the node may begin: what it needs is there, the workloads are well, a maintenance
// window is open, nobody has paused.
func (u *clusterUpgrade) awaitTurn(ctx workflow.Context, n upgrade.NodePlan) error {
	if prepared := u.prepared[n.Node]; prepared != nil {
		_ = prepared.Get(ctx, nil) // a convenience: the node's own steps fetch what is missing
	}
	if err := u.awaitHealth(ctx); err != nil {
		return err
	}
	return u.awaitNode(ctx, n)
}

// runNode runs a node's own workflow over its plan, or a part of it, to the end. A node that needs a person holds; it does
// not fail. what names the part for people.
func (u *clusterUpgrade) runNode(ctx workflow.Context, in NodeUpgradeInput, what string) error {
	n := in.Plan
	if err := u.hook(ctx, upgrade.BeforeNode, n); err != nil {
		return err
	}
	if err := u.checkLock(ctx); err != nil {
		return err
	}
	id := NodeUpgradeID(u.plan.Cluster, n.Node)
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          id,
		WaitForCancellation: true,
		StaticSummary:       fmt.Sprintf("%s: %s to %s", n.Node, what, n.Version(n.Steps[0])),
	})
	u.nodeStarted(ctx, n, id)
	child := workflow.ExecuteChildWorkflow(ctx, NodeUpgrade, in)
	if err := child.GetChildWorkflowExecution().Get(ctx, nil); err == nil && u.steering.stop != nil {
		child.SignalChildWorkflow(ctx, signalStop, nil) // which came while it began
	}
	var done upgrade.NodeStatus
	if err := child.Get(ctx, &done); err != nil {
		return err
	}
	u.nodeDone(ctx, n, done)
	if done.State == upgrade.Aborted {
		return errStopped
	}
	u.disturbed(n)
	return u.hook(ctx, upgrade.AfterNode, n)
}

// prepareNodes fetches what every node of the hop will need, a few nodes at a time, while others are worked on. Workers
// that keep their kubelet need little, and nobody waits for them.
func (u *clusterUpgrade) prepareNodes(ctx workflow.Context) {
	const atOnce = 8
	turn := workflow.NewSemaphore(ctx, atOnce)
	for _, n := range u.hop().NodePlans() {
		if n.KeepsKubelet() || n.Replaces() || n.Abstract() || n.Host != "" {
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
