package workflows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// ScheduledUpgradeID is the id under which a schedule starts its runs. Temporal adds the time, so it is no lock.
func ScheduledUpgradeID(schedule string) string { return "scheduled-upgrade/" + schedule }

// ScheduledUpgradeInput is what a person gives to a schedule: {"cluster":"lab","policy":"newest-patch"}, or what
// ClusterUpgrade takes.
type ScheduledUpgradeInput struct {
	ClusterUpgradeInput
	// Policy names the target by a rule, instead of targetVersion: newest-patch, newest-minor or newest-minor-less-1.
	Policy upgrade.Policy `json:"policy,omitzero"`
}

// UnmarshalJSON refuses fields it does not know. Without it the embedded input's own would read this one.
func (in *ScheduledUpgradeInput) UnmarshalJSON(b []byte) error {
	var own struct {
		clusterUpgradeFields
		Policy upgrade.Policy `json:"policy"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&own); err != nil {
		return fmt.Errorf(`input of %s: %w; wanted {"cluster":"NAME","targetVersion":"v1.37.2"} or {"cluster":"NAME","policy":"newest-patch"}`,
			ScheduledUpgradeName, err)
	}
	in.ClusterUpgradeInput, in.Policy = ClusterUpgradeInput(own.clusterUpgradeFields), own.Policy
	return nil
}

// Wants is the target for people: a version, or a policy's name.
func (in ScheduledUpgradeInput) Wants() string {
	if in.Policy.IsZero() {
		return in.TargetVersion
	}
	return in.Policy.String()
}

// check refuses an input that names no target, or two, or what would be ignored.
func (in ScheduledUpgradeInput) check() error {
	if in.RollBack && in.Policy.IsZero() && in.TargetVersion == "" {
		return nil
	}
	if in.RollBack || in.Policy.IsZero() == (in.TargetVersion == "") {
		return refusedInput(in.Cluster, "wanted either targetVersion or policy: "+upgrade.Policies)
	}
	if err := in.CheckApprovals(); err != nil {
		return refusedInput(in.Cluster, err.Error())
	}
	return nil
}

func refusedInput(cluster, fact string) error {
	f := fault.New(fault.InvalidInput, "plan", cluster, fact, "")
	return temporal.NewNonRetryableApplicationError(f.Error(), string(f.Kind), nil)
}

func (in ScheduledUpgradeInput) planInput() activities.PlanInput {
	return activities.PlanInput{Cluster: in.Cluster, Target: in.TargetVersion, Through: in.Through, Waive: in.Waive, Policy: in.Policy, RollBack: in.RollBack}
}

func (in ScheduledUpgradeInput) planSummary() string {
	if in.RollBack {
		return "Observe " + in.Cluster + " and plan the way back"
	}
	return "Observe " + in.Cluster + " and plan the way to " + in.Wants()
}

// ScheduledOutcome is what became of a scheduled upgrade.
type ScheduledOutcome string

// The outcomes. A refused plan and an upgrade that failed are no outcomes but failures of the workflow.
const (
	ScheduledUpgraded    ScheduledOutcome = "upgraded"
	ScheduledNothingToDo ScheduledOutcome = "nothingToDo"
	ScheduledSkipped     ScheduledOutcome = "skipped" // another upgrade was running
	ScheduledAborted     ScheduledOutcome = "aborted" // by a person
)

// ScheduledReport is the result of ScheduledUpgrade.
type ScheduledReport struct {
	Cluster string           `json:"cluster"`
	Outcome ScheduledOutcome `json:"outcome"`
	Message string           `json:"message"` // one line
	From    upgrade.Version  `json:"from,omitzero"`
	Target  upgrade.Version  `json:"target,omitzero"`
	// Upgrade and Run are the upgrade that was started.
	Upgrade string `json:"upgrade,omitempty"`
	Run     string `json:"run,omitempty"`
}

// ScheduledUpgrade is what a schedule starts when it is due. It plans; where there is something to do it starts the
// cluster's own upgrade, under the id that is the lock, and waits for its end, so that a schedule that skips overlapping
// runs knows what is under way. The upgrade does not depend on it.
func ScheduledUpgrade(ctx workflow.Context, in ScheduledUpgradeInput) (*ScheduledReport, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r := &ScheduledReport{Cluster: in.Cluster}
	err := r.run(ctx, in)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		err = asOneLine(in.Cluster, err)
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("## %s to %s: failed\n\n**%s**\n", in.Cluster, in.Wants(), reason(err)))
		return nil, err
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("## %s to %s: %s\n\n%s\n", in.Cluster, in.Wants(), r.Outcome, r.Message))
	return r, nil
}

func (r *ScheduledReport) run(ctx workflow.Context, in ScheduledUpgradeInput) error {
	// A cluster that is being upgraded would be found half-done, and not well.
	running, err := findUpgrade(ctx, in.Cluster)
	if err != nil {
		return err
	}
	if running.Workflow != "" {
		r.skipped(running)
		return nil
	}

	var plan upgrade.Plan
	brief := in.planInput()
	brief.Brief = true
	queue, err := locate(ctx, in.Cluster, dueOptions)
	if err != nil {
		return err
	}
	planning := workflow.WithActivityOptions(beside(ctx, queue), dueOptions(in.planSummary()))
	if err := workflow.ExecuteActivity(planning, act.MakePlan, brief).Get(ctx, &plan); err != nil {
		return err
	}
	r.From, r.Target = plan.Current, plan.Target
	if plan.Refused() {
		return refused(plan)
	}
	if len(plan.Hops) == 0 {
		r.Outcome, r.Message = ScheduledNothingToDo, fmt.Sprintf("nothing to do: %s is at %s already", in.Cluster, plan.Target)
		for _, f := range plan.Findings {
			if f.ID == upgrade.ChosenByPolicy {
				r.Message += "; " + f.Message
			}
		}
		return nil
	}

	upgraded := in.ClusterUpgradeInput
	upgraded.TargetVersion = plan.Target.String()
	// Whoever cancels this workflow ends the waiting only.
	detached, _ := workflow.NewDisconnectedContext(ctx)
	detached = workflow.WithChildOptions(detached, workflow.ChildWorkflowOptions{
		WorkflowID:        ClusterUpgradeID(in.Cluster),
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     fmt.Sprintf("%s %s -> %s", in.Cluster, plan.Current, plan.Target),
	})
	child := workflow.ExecuteChildWorkflow(detached, ClusterUpgrade, upgraded)
	var started workflow.Execution
	if err := child.GetChildWorkflowExecution().Get(detached, &started); temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		running, err := findUpgrade(ctx, in.Cluster)
		if err != nil {
			return err
		}
		r.skipped(running)
		return nil
	} else if err != nil {
		return err
	}
	r.Upgrade, r.Run = started.ID, started.RunID
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("## %s to %s: started\n\nIt waits for the end of `%s`, %s → %s. That upgrade is steered by itself, and goes on when this ends.\n",
		in.Cluster, in.Wants(), started.ID, plan.Current, plan.Target))
	began := workflow.Now(ctx)
	var report Report
	workflow.NewSelector(ctx).AddFuture(child, func(workflow.Future) {}).AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).Select(ctx)
	if !child.IsReady() {
		return ctx.Err()
	}
	if err := child.Get(detached, &report); err != nil {
		return err
	}
	if s := report.Status; s.State != upgrade.Done {
		r.Outcome, r.Message = ScheduledAborted, fmt.Sprintf("the upgrade to %s was %s: %s", s.Target, s.State, s.Message)
		return nil
	}
	r.Outcome, r.Target = ScheduledUpgraded, report.Status.Target // a person may have changed it
	r.Message = fmt.Sprintf("%s was upgraded from %s to %s in %s", in.Cluster, r.From, r.Target, workflow.Now(ctx).Sub(began).Round(time.Second))
	return nil
}

// skipped says which upgrade is in the way. It may have ended meanwhile.
func (r *ScheduledReport) skipped(by activities.RunningUpgrade) {
	what := "an upgrade"
	if !by.Target.IsZero() {
		what += " to " + by.Target.String()
	}
	r.Outcome, r.Message = ScheduledSkipped, "skipped: "+what+" is running"
	switch {
	case by.Message != "":
		r.Message += fmt.Sprintf(" (%s: %s)", by.State, by.Message)
	case by.State != "" && by.State != upgrade.Running:
		r.Message += fmt.Sprintf(" (%s)", by.State)
	}
}

func findUpgrade(ctx workflow.Context, cluster string) (activities.RunningUpgrade, error) {
	var running activities.RunningUpgrade
	ctx = workflow.WithActivityOptions(ctx, dueOptions("Look for an upgrade of "+cluster+" that is running"))
	err := workflow.ExecuteActivity(ctx, act.FindUpgrade, activities.ObserveInput{Cluster: cluster}).Get(ctx, &running)
	return running, err
}

// asOneLine is what a failure says to people, without Temporal's names around it. It is final: the schedule's next run
// is the next attempt.
func asOneLine(cluster string, err error) error {
	kind, text := string(fault.Unexpected), reason(err)
	var failed *temporal.ApplicationError
	var terminated *temporal.TerminatedError
	var canceled *temporal.CanceledError
	switch {
	case errors.As(err, &failed):
		kind = failed.Type()
	case errors.As(err, &terminated):
		text = "upgrade " + cluster + ": the upgrade was terminated"
	case errors.As(err, &canceled):
		text = "upgrade " + cluster + ": the upgrade was cancelled"
	}
	return temporal.NewNonRetryableApplicationError(text, kind, nil)
}
