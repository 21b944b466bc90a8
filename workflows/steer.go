package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// signalStop tells a node's workflow not to hold any more: what fails is given up.
const signalStop = "stop"

// steering is what people want of an upgrade as a whole.
type steering struct {
	pause *pause // nil while nobody wants one
	stop  *stop  // nil while nobody wants one
}

// pause is a person's wish that nothing more begins.
type pause struct {
	upgrade.Wait
	after string // what must be over before it takes effect; "" when it has
}

// stop is a person's wish that the upgrade ends at a safe point, or, with a retarget, goes on from there to another
// version.
type stop struct {
	upgrade.Action
	retarget *Retarget
}

// offerSteering registers what people may say at any time.
func (u *clusterUpgrade) offerSteering(ctx workflow.Context) error {
	return errors.Join(
		steer(ctx, u, UpdatePause, `Begin nothing more: at once, or after "hop" or a node's name; what is under way is finished: {"after":"hop","reason":"freeze"}`, u.checkPause, u.pauseNow),
		steer(ctx, u, UpdateResume, "Go on after a pause: "+choiceResume.Example, func(Decision) error {
			if u.steering.pause == nil {
				return reject("it is not paused")
			}
			return nil
		}, func(workflow.Context, Decision, upgrade.Action) (string, error) {
			u.steering.pause = nil
			return "going on", nil
		}),
		steer(ctx, u, UpdateApprove, "Let happen what the approval shows: "+choiceApprove.Example, func(Decision) error {
			if u.approval == nil {
				return reject("nothing waits for an approval")
			}
			return nil
		}, func(workflow.Context, Decision, upgrade.Action) (string, error) {
			approved := u.approval.At
			u.approval = nil
			return "approved: " + approved, nil
		}),
		steer(ctx, u, UpdateAbort, "Stop at a safe point: what is under way is finished, what is held is given up: "+choiceAbort.Example, func(d Decision) error {
			if u.steering.stop != nil {
				return reject("it is being stopped already")
			}
			return needsReason(d)
		}, func(ctx workflow.Context, _ Decision, a upgrade.Action) (string, error) {
			u.stopAll(ctx, &stop{Action: a})
			return "stopping: " + u.underWay(), nil
		}),
		steer(ctx, u, UpdateRetarget, `Stop at a safe point, plan again, and go on to another version: {"targetVersion":"v1.37.3","reason":"a fix came out"}`, u.checkRetarget, u.retarget),
	)
}

// steer registers an update of the upgrade as a whole.
func steer[D decision](ctx workflow.Context, u *clusterUpgrade, update, description string, check func(D) error, do func(workflow.Context, D, upgrade.Action) (string, error)) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, update,
		func(ctx workflow.Context, d strict[D]) (string, error) {
			ctx = u.beside(ctx)
			said := d.said.said()
			a := upgrade.Action{At: workflow.Now(ctx), What: update, By: said.By, Reason: said.Reason}
			answer, err := do(ctx, d.said, a)
			if err != nil {
				return "", err
			}
			u.status.Record(a)
			u.changed(ctx)
			return answer, nil
		},
		workflow.UpdateHandlerOptions{Description: description, Validator: func(d strict[D]) error {
			if u.status.State.Ended() {
				return reject("the upgrade is over")
			}
			return check(d.said)
		}})
}

func (u *clusterUpgrade) checkPause(p Pause) error {
	switch {
	case u.steering.pause != nil:
		return reject("it is paused already, or will be: %s", u.steering.pause.Reason)
	case p.After == AfterHop && u.status.Hop == u.status.Hops:
		return reject("no hop follows, after which it could pause; wanted no \"after\", or the name of a node")
	case p.After != "" && p.After != AfterHop && !slices.ContainsFunc(u.status.Nodes, func(n upgrade.NodeStatus) bool { return n.Node == p.After && !n.State.Ended() }):
		return reject("%q is no node that is still to be done; wanted %q or one of: %s", p.After, AfterHop, strings.Join(u.toBeDone(), ", "))
	}
	return nil
}

func (u *clusterUpgrade) pauseNow(ctx workflow.Context, p Pause, a upgrade.Action) (string, error) {
	u.steering.pause = &pause{after: p.After, Wait: upgrade.Wait{
		For: upgrade.ForResume, At: "pause", Reason: "paused" + by(a), Since: workflow.Now(ctx), Choices: []upgrade.Choice{choiceResume, choiceAbort}}}
	if p.After != "" {
		return "it will pause after " + p.After, nil
	}
	return "paused: " + u.underWay(), nil
}

// pauseAfter lets a pause that was to come after something take effect.
func (u *clusterUpgrade) pauseAfter(what string) {
	if p := u.steering.pause; p != nil && p.after == what {
		p.after = ""
	}
}

// paused reports whether nothing may begin.
func (u *clusterUpgrade) paused() bool {
	return u.steering.pause != nil && u.steering.pause.after == ""
}

// stopAll lets what is under way come to its end, and gives up what waits or would be held.
func (u *clusterUpgrade) stopAll(ctx workflow.Context, s *stop) {
	u.steering = steering{stop: s}
	u.holds.stopped = true
	for _, n := range u.status.Nodes {
		if n.Workflow != "" && !n.State.Ended() && n.Hop == u.status.Hop {
			// One that has just ended has nothing to be told.
			_ = workflow.SignalExternalWorkflow(ctx, n.Workflow, "", signalStop, nil).Get(ctx, nil)
		}
	}
}

// abortWhenCancelled makes of Temporal's own cancellation what a person means by it: abort. What is returned is not cut off
// by it. Before, while nothing has been touched, it may be.
func (u *clusterUpgrade) abortWhenCancelled(ctx workflow.Context) workflow.Context {
	kept, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(kept, func(kept workflow.Context) {
		ctx.Done().Receive(kept, nil)
		if u.steering.stop == nil {
			a := upgrade.Action{At: workflow.Now(kept), What: UpdateAbort, Reason: "cancelled from Temporal"}
			u.status.Record(a)
			u.stopAll(kept, &stop{Action: a})
			u.changed(kept)
		}
	})
	return kept
}

func (u *clusterUpgrade) checkRetarget(r Retarget) error {
	target, err := upgrade.ParseTarget(r.TargetVersion)
	switch {
	case err != nil:
		return reject("targetVersion: %v", err)
	case u.status.Hop == 0:
		return reject("there is no plan yet to change")
	case u.steering.stop != nil:
		return reject("it is being stopped already")
	case target.Reaches(u.plan.Target):
		return reject("%s is the target already", target)
	}
	return needsReason(r.Decision)
}

// retarget plans the way to the new target from where the cluster is, and stops for it only if there is one.
func (u *clusterUpgrade) retarget(ctx workflow.Context, r Retarget, a upgrade.Action) (string, error) {
	plan, err := makePlan(ctx, u.inputOf(r), u.leftOut)
	switch {
	case err != nil:
		return "", reject("the way to %s could not be planned: %s", r.TargetVersion, reason(err))
	case plan.Refused():
		return "", reject("%s", reason(refused(plan)))
	case u.steering.stop != nil || u.status.State.Ended():
		return "", reject("it was stopped meanwhile")
	}
	u.stopAll(ctx, &stop{Action: a, retarget: &r})
	return "retargeting to " + r.TargetVersion + ": " + u.underWay(), nil
}

// inputOf is the upgrade's input with another target.
func (u *clusterUpgrade) inputOf(r Retarget) ClusterUpgradeInput {
	in := u.input
	in.TargetVersion, in.Through = r.TargetVersion, r.Through
	in.Waive = append(slices.Clone(in.Waive), r.Waive...)
	return in
}

// retargeted reports whether it was stopped only to go on to another version, and takes that for the target.
func (u *clusterUpgrade) retargeted(err error) bool {
	s := u.steering.stop
	if !errors.Is(err, errStopped) || s == nil || s.retarget == nil {
		return false
	}
	u.input, u.steering.stop, u.holds.stopped = u.inputOf(*s.retarget), nil, false
	return true
}

// planAgain plans the way to a new target from where the cluster was stopped. What was left of the hop under way is part
// of it.
func (u *clusterUpgrade) planAgain(ctx workflow.Context) error {
	choices := []upgrade.Choice{choiceRetry, choiceAbort}
	return u.holds.attempt(ctx, u.stageNow().Title, choices, u.keptByStage, func(*decided) error {
		now, err := makePlan(ctx, u.input, u.leftOut)
		if err != nil {
			return err
		}
		if now.Refused() {
			return refused(now)
		}
		for i := range u.status.Nodes {
			if n := &u.status.Nodes[i]; n.Hop == u.status.Hop && !n.State.Ended() {
				n.State, n.Left = upgrade.Aborted, "planned again"
			}
		}
		u.replan(u.status.Hop, now)
		u.status.Target = now.Target
		return nil
	})
}

// underWay says what is to come to its end before nothing goes on any more.
func (u *clusterUpgrade) underWay() string {
	var nodes []string
	for _, n := range u.status.Nodes {
		if n.State == upgrade.Running {
			nodes = append(nodes, n.Node)
		}
	}
	if len(nodes) == 0 {
		return "nothing is under way on any node"
	}
	return strings.Join(nodes, ", ") + " will be finished"
}

// toBeDone are the nodes that are not.
func (u *clusterUpgrade) toBeDone() []string {
	var nodes []string
	for _, n := range u.status.Nodes {
		if !n.State.Ended() && !slices.Contains(nodes, n.Node) {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// by is who did it and why, as far as that is known.
func by(a upgrade.Action) string {
	text := ""
	if a.By != "" {
		text = " by " + a.By
	}
	if a.Reason != "" {
		text += fmt.Sprintf(": %s", a.Reason)
	}
	return text
}
