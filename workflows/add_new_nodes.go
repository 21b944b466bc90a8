package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// addNewNodes replaces a pool's nodes: for each a new one joins, the pods move, and the old one is removed. However that
// ends, the pool's settings are put back as they were.
func (u *clusterUpgrade) addNewNodes(ctx workflow.Context, part upgrade.PoolPart) error {
	in := activities.ReplacementInput{ClusterInput: u.clusterInput(), Replacement: u.replacement(ctx, part)}
	for _, n := range part.Nodes {
		in.Old = append(in.Old, n.Machine)
	}
	begun, err := u.step(ctx, "begin-replacing-"+part.Pool.Name, "Ready pool "+part.Pool.Name+" for new nodes", act.BeginReplacement, in)
	in.Snapshot = begun.Snapshot
	if err == nil {
		err = u.inRounds(ctx, part, "replacement")
	}
	_, end := u.step(ctx, "end-replacing-"+part.Pool.Name, "Put the settings of pool "+part.Pool.Name+" back", act.EndReplacement, in)
	return errors.Join(err, end)
}

// replacement is that of the pool in this hop. Its run is this run's of the upgrade, so that nothing that another one has
// left is taken for its own.
func (u *clusterUpgrade) replacement(ctx workflow.Context, part upgrade.PoolPart) upgrade.Replacement {
	return upgrade.Replacement{
		Cluster: u.plan.Cluster, Pool: part.Pool.Name, Version: u.hop().To, Run: u.runOf(ctx), Surge: part.Pool.AtOnce,
	}
}

// runOf is a hop of this run of the upgrade, and of no other.
func (u *clusterUpgrade) runOf(ctx workflow.Context) string {
	run, _, _ := strings.Cut(workflow.GetInfo(ctx).WorkflowExecution.RunID, "-")
	return fmt.Sprintf("%s-%d", run, u.status.Hop)
}

// successor says what takes a node's place, nil where nothing does.
func (u *clusterUpgrade) successor(ctx workflow.Context, n upgrade.NodePlan) *activities.SuccessorInput {
	if !n.Replaces() {
		return nil
	}
	for _, part := range u.plan.Parts(u.hop()) {
		if part.Pool.Name == n.Pool {
			return &activities.SuccessorInput{Replacement: u.replacement(ctx, part), Old: n.Machine, UID: n.UID, JoinTimeout: part.Pool.JoinTimeout}
		}
	}
	return nil
}

// succeeded keeps what an attempt to add a node told, for the steps that follow and for the next attempt.
func (n *nodeUpgrade) succeeded(out activities.Outcome) {
	if out.GivenUp {
		n.input.Successor.Try++
	}
	if out.Machine != nil {
		n.input.Successor.New, n.status.Successor = out.Machine, out.Successor
	}
}

// keep takes everything back for a node that is not replaced after all, if its machine is still there.
func (n *nodeUpgrade) keep(ctx workflow.Context) {
	if n.begun(upgrade.RemoveNode) {
		n.status.Left = "being removed, with its pods on other nodes; retry what failed, or delete its machine and then kubectl delete node " + n.status.Node
		return
	}
	s := n.input.Settings
	s.Drain.Timeout = upgrade.Duration(s.Verify.Timeout.Or(upgrade.DefaultVerifyTimeout)) // a person waits
	in := n.activityInput(upgrade.AddNode, nil)
	in.Settings = s
	ctx = workflow.WithActivityOptions(ctx, drainOptions("keep-node", n.input.Plan.Node+": keep it, and remove its successor", s))
	err := workflow.ExecuteActivity(ctx, act.KeepNode, in).Get(ctx, nil)
	switch {
	case err != nil && n.status.Successor != "":
		n.status.Left = fmt.Sprintf("in service as before, if it could be; its successor %s is still there: %s", n.status.Successor, reason(err))
	case err != nil:
		n.status.Left = "not wholly taken back: " + reason(err)
	default:
		n.status.Left, n.status.Successor = "in service as it was before", ""
	}
}
