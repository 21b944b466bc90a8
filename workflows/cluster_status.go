package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// signalNodeHeld is how a node's workflow tells the cluster's that it is held, and that it goes on.
const signalNodeHeld = "node-held"

// nodeHeld is the signal's payload; an empty reason means that the node goes on.
type nodeHeld struct {
	Node   string        `json:"node"`
	Reason string        `json:"reason"`
	Wait   *upgrade.Wait `json:"wait,omitempty"`
}

// newClusterUpgrade sets up what people see and may say, before anything is done.
func newClusterUpgrade(ctx workflow.Context, in ClusterUpgradeInput) (*clusterUpgrade, error) {
	u := &clusterUpgrade{
		input:    in,
		id:       workflow.GetInfo(ctx).WorkflowExecution.ID,
		status:   upgrade.Status{Cluster: in.Cluster, State: upgrade.Running, Started: workflow.Now(ctx)},
		prepared: map[string]workflow.Future{},
	}
	// A target that does not parse is refused by the planner, with a message of its own.
	u.status.Target, _ = upgrade.ParseTarget(in.TargetVersion)
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (upgrade.Status, error) { return u.status, nil }); err != nil {
		return nil, err
	}
	if err := workflow.SetQueryHandler(ctx, QueryPlan, func() (upgrade.Plan, error) { return u.plan, nil }); err != nil {
		return nil, err
	}
	u.holds = &holds{cluster: in.Cluster, changed: u.changed, did: func(a upgrade.Action) { u.status.Record(a) }}
	u.health.turn = workflow.NewMutex(ctx)
	workflow.Go(ctx, u.listenToNodes)
	return u, errors.Join(u.holds.offerRetry(ctx), u.holds.offerPass(ctx), u.offerSteering(ctx), u.offerWindow(ctx))
}

func (u *clusterUpgrade) listenToNodes(ctx workflow.Context) {
	signals := workflow.GetSignalChannel(ctx, signalNodeHeld)
	for {
		var s nodeHeld
		signals.Receive(ctx, &s)
		n := u.node(s.Node)
		if n == nil || n.State.Ended() {
			continue
		}
		n.Held, n.Wait, n.State = s.Reason, s.Wait, upgrade.Running
		if s.Reason != "" {
			n.State = upgrade.Held
		}
		u.changed(ctx)
	}
}

// stage runs a titled part of the runbook and keeps its times.
func (u *clusterUpgrade) stage(ctx workflow.Context, title string, run func(workflow.Context) error) error {
	u.status.Stages = append(u.status.Stages, upgrade.Progress{
		Title: title, Hop: u.status.Hop, State: upgrade.Running, Started: workflow.Now(ctx),
	})
	i := len(u.status.Stages) - 1
	u.changed(ctx)
	err := run(ctx)
	s := &u.status.Stages[i]
	s.Ended, s.State = workflow.Now(ctx), upgrade.Done
	switch {
	case errors.Is(err, errStopped):
		s.State = upgrade.Aborted
	case err != nil:
		s.State = upgrade.Failed
	}
	u.changed(ctx)
	return err
}

// step runs one activity of the whole cluster, and holds until it succeeds.
func (u *clusterUpgrade) step(ctx workflow.Context, id, summary string, activity, in any) (activities.Outcome, error) {
	return u.stepWith(ctx, []upgrade.Choice{choiceRetry}, id, summary, activity, in)
}

// optionalStep is the same for something that a person may go on without.
func (u *clusterUpgrade) optionalStep(ctx workflow.Context, id, summary string, activity, in any) (activities.Outcome, error) {
	out, err := u.stepWith(ctx, []upgrade.Choice{choiceRetry, choicePass}, id, summary, activity, in)
	if errors.Is(err, errPassed) {
		u.note(ctx, summary+": gone on without it, as a person said")
		err = nil
	}
	return out, err
}

func (u *clusterUpgrade) stepWith(ctx workflow.Context, choices []upgrade.Choice, id, summary string, activity, in any) (activities.Outcome, error) {
	ctx = workflow.WithActivityOptions(ctx, stepOptions(id, summary, u.plan.Settings))
	var out activities.Outcome
	tried := 0
	err := u.holds.attempt(ctx, summary, choices, u.keptByStage, func(*decided) error {
		err := workflow.ExecuteActivity(ctx, activity, in).Get(ctx, &out)
		told, stage := outcomeOf(out, err), u.stageNow()
		tried += told.Attempt
		// The backups of several nodes run side by side.
		stage.Worked, stage.Attempts = max(stage.Worked, out.Worked), max(stage.Attempts, tried)
		if out.Note != "" {
			stage.Note = out.Note
		}
		return err
	})
	return out, err
}

func (u *clusterUpgrade) stageNow() *upgrade.Progress {
	return &u.status.Stages[len(u.status.Stages)-1]
}

// keptByStage is where holds of the stage under way are kept.
func (u *clusterUpgrade) keptByStage() *[]upgrade.Hold { return &u.stageNow().Holds }

func (u *clusterUpgrade) clusterInput() activities.ClusterInput {
	return activities.ClusterInput{Cluster: u.plan.Cluster, Version: u.hop().To, Settings: u.plan.Settings.OfSteps()}
}

func (u *clusterUpgrade) nodeInput(n upgrade.NodePlan) activities.NodeInput {
	return activities.NodeInput{
		Cluster: u.plan.Cluster, Node: n.Node, Address: n.Address, Role: n.Role, Version: n.To, Host: n.Host,
		Settings: u.plan.Settings.OfSteps(), Owner: u.id,
	}
}

func (u *clusterUpgrade) nodeUpgradeInput(ctx workflow.Context, n upgrade.NodePlan) NodeUpgradeInput {
	run := ""
	if n.Managed() {
		run = u.runOf(ctx)
	}
	return NodeUpgradeInput{
		Force: n.Managed() && slices.Contains(u.input.Waive, upgrade.ManagedInsights), Run: run, Successor: u.successor(ctx, n), Cluster: u.plan.Cluster, Hop: u.status.Hop, Plan: n, Settings: u.plan.Settings.OfSteps(), Owner: u.id, EndpointWatchers: u.watchers,
		TaskQueue:   u.queue,
		Unskippable: u.plan.Unskippable(u.status.Hop, n),
	}
}

// planned takes the plan into the status.
func (u *clusterUpgrade) planned(ctx workflow.Context) {
	s := u.plan.NewStatus()
	s.Stages, s.Actions, s.Notices, s.Started, s.State = u.status.Stages, u.status.Actions, u.status.Notices, u.status.Started, upgrade.Running
	u.status = s
	u.changed(ctx)
}

func (u *clusterUpgrade) node(name string) *upgrade.NodeStatus {
	for i := range u.status.Nodes {
		if n := &u.status.Nodes[i]; n.Node == name && n.Hop == u.status.Hop {
			return n
		}
	}
	return nil
}

func (u *clusterUpgrade) nodeStarted(ctx workflow.Context, n upgrade.NodePlan, workflowID string) {
	s := u.node(n.Node)
	s.State, s.Workflow = upgrade.Running, workflowID
	u.changed(ctx)
}

func (u *clusterUpgrade) nodeDone(ctx workflow.Context, n upgrade.NodePlan, done upgrade.NodeStatus) {
	u.node(n.Node).Merge(done)
	countNode(ctx, u.status.Cluster, *u.node(n.Node))
	u.status.Record(done.Actions...)
	if done.State == upgrade.Skipped {
		u.leaveOut(n.Node)
	}
	if u.node(n.Node).State.Ended() {
		u.pauseAfter(n.Node)
	}
	u.changed(ctx)
}

// leaveOut takes a node that a person skipped out of the hops that follow.
func (u *clusterUpgrade) leaveOut(node string) {
	u.leftOut = append(u.leftOut, node)
	u.plan = u.plan.LeaveOut(u.status.Hop, node)
	for i := range u.status.Nodes {
		if n := &u.status.Nodes[i]; n.Node == node && n.Hop > u.status.Hop && !n.Role.IsControlPlane() {
			n.State, n.Left = upgrade.Skipped, "as an earlier hop left it"
		}
	}
}

// changed brings what people see up to date: what it waits for, the state, and the page that Temporal's UI shows of the
// workflow.
func (u *clusterUpgrade) changed(ctx workflow.Context) {
	s := &u.status
	s.Waits = u.waits()
	s.State, s.Message = upgrade.Running, ""
	busy := slices.ContainsFunc(s.Nodes, func(n upgrade.NodeStatus) bool { return n.State == upgrade.Running })
	for _, w := range s.Waits {
		switch {
		case w.ForPerson():
			s.State = upgrade.Held
		case s.State == upgrade.Held || busy:
			continue
		case w.For == upgrade.ForResume:
			s.State = upgrade.Paused
		default:
			s.State = upgrade.Waiting
		}
		s.Message = w.String()
	}
	u.show(ctx)
	u.tellFleet(ctx)
	u.notifyOfWaits(ctx)
}

// show hands out the page that Temporal's UI shows of the workflow, and what its list is filtered by.
func (u *clusterUpgrade) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, clusterDetails(u.status))
	u.index(ctx)
}

// waits are what it waits for now: people first.
func (u *clusterUpgrade) waits() []upgrade.Wait {
	waits := u.holds.waits()
	for _, n := range u.status.Nodes {
		if n.State == upgrade.Held && n.Wait != nil {
			waits = append(waits, *n.Wait)
		}
	}
	if u.approval != nil {
		waits = append(waits, *u.approval)
	}
	if u.windows.wait != nil {
		waits = append(waits, *u.windows.wait)
	}
	if u.health.wait != nil {
		waits = append(waits, *u.health.wait)
	}
	if u.paused() {
		waits = append(waits, u.steering.pause.Wait)
	}
	return waits
}

// finish makes the result. A refused plan is a failure, and a cancellation before there was a plan; nothing else is.
func (u *clusterUpgrade) finish(ctx workflow.Context, err error) (*Report, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	end, left := upgrade.Done, ""
	if errors.Is(err, errStopped) {
		end, err = upgrade.Aborted, u.stage(ctx, "Look at what was left", func(ctx workflow.Context) error {
			left = u.lookAtRest(ctx)
			return nil
		})
	}
	u.status.Ended, u.status.State, u.status.Message = workflow.Now(ctx), end, left
	if err != nil {
		u.status.State, u.status.Message = upgrade.Failed, reason(err)
		countUpgrade(ctx, u.status)
		u.show(ctx)
		u.notifyOfEnd(ctx)
		return nil, err
	}
	if len(u.plan.Hops) == 0 && end == upgrade.Done {
		u.status.Message = fmt.Sprintf("%s is at %s already", u.plan.Cluster, u.plan.Target)
	}
	countUpgrade(ctx, u.status)
	u.show(ctx)
	u.notifyOfEnd(ctx)
	err = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	return &Report{Status: u.status, Backup: strings.Join(u.backups, ", ")}, err
}

// lookAtRest says in which state the cluster is that was not upgraded to the end.
func (u *clusterUpgrade) lookAtRest(ctx workflow.Context) string {
	for i := range u.status.Nodes {
		if n := &u.status.Nodes[i]; !n.State.Ended() {
			n.State = upgrade.Aborted
		}
	}
	left := "stopped"
	if s := u.steering.stop; s != nil { // else it was a node's own workflow that was cancelled
		left += by(s.Action)
	}
	now, err := makePlan(ctx, u.input, nil)
	if err != nil {
		return left + "; what is where could not be looked at: " + reason(err)
	}
	return left + "; " + now.Where()
}

// invalid is the error of an input that cannot be followed.
func invalid(cluster string, err error) error {
	f := fault.Wrap(fault.InvalidInput, "upgrade", cluster, err, "")
	return temporal.NewNonRetryableApplicationError(f.Error(), string(fault.InvalidInput), nil)
}

// refused is the error of a plan that must not be walked.
func refused(p upgrade.Plan) error {
	var why []string
	for _, f := range p.Errors() {
		why = append(why, f.String())
	}
	f := fault.New(fault.PreflightFailed, "plan", fmt.Sprintf("%s %s to %s", p.Cluster, p.Current, p.Target),
		"refused: "+strings.Join(why, "; "), "")
	return temporal.NewNonRetryableApplicationError(f.Error(), string(f.Kind), nil)
}

// backupName names the folder of the backup: the same for every attempt of this run, different from other runs'.
func backupName(ctx workflow.Context, cluster string, hop upgrade.Hop) string {
	run, _, _ := strings.Cut(workflow.GetInfo(ctx).WorkflowExecution.RunID, "-")
	return fmt.Sprintf("%s-%s-to-%s-%s", cluster, hop.From, hop.To, run)
}
