package upgrades

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/schedule"
	"github.com/pawl-dev/pawl/workflows"
)

const (
	runsShown       = 5 // of one schedule; Temporal keeps ten
	schedulesAtOnce = 8 // how many schedules are asked at the same time
)

// NewSchedule says what schedule to make.
type NewSchedule struct {
	Name           string
	Upgrade        workflows.ScheduledUpgradeInput
	Spec           client.ScheduleSpec // without jitter
	Once           bool                // it ends with its first run
	Jitter         time.Duration
	CatchUp        time.Duration
	PauseOnFailure bool
	Paused         bool
	Note           string
}

// CreateSchedule makes a schedule of upgrades. A time that comes while a run is under way is passed over.
func (c *Client) CreateSchedule(ctx context.Context, n NewSchedule) (schedule.Schedule, error) {
	op, id := "schedule create "+n.Name, schedule.ID(n.Name)
	o := client.ScheduleOptions{
		ID: id, Spec: n.Spec, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: n.CatchUp,
		PauseOnFailure: n.PauseOnFailure, Paused: n.Paused, Note: n.Note,
		Action: &client.ScheduleWorkflowAction{
			ID: workflows.ScheduledUpgradeID(n.Name), Workflow: workflows.ScheduledUpgradeName, TaskQueue: workflows.TaskQueue,
			Args: []any{n.Upgrade}, StaticSummary: n.Upgrade.Cluster + " to " + n.Upgrade.Wants(),
		},
	}
	o.Spec.Jitter = n.Jitter
	if n.Once {
		o.RemainingActions = 1
	}
	_, err := c.temporal.ScheduleClient().Create(ctx, o)
	if scheduleExists(err) {
		return schedule.Schedule{}, exit.Errorf(exit.BadInput, `%s: there is a schedule %s already; delete it first, or say --name`, op, id)
	}
	if err != nil {
		return schedule.Schedule{}, c.translateSchedule(op, id, err)
	}
	return c.describe(ctx, op, id, 0)
}

// RefuseIfScheduled fails when there is a schedule of that name.
func (c *Client) RefuseIfScheduled(ctx context.Context, name string) error {
	op, id := "schedule create "+name, schedule.ID(name)
	_, err := c.temporal.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return c.translateSchedule(op, id, err)
	}
	return exit.Errorf(exit.BadInput, `%s: there is a schedule %s already; delete it first, or say --name`, op, id)
}

func scheduleExists(err error) bool {
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	var exists *serviceerror.AlreadyExists
	return errors.Is(err, temporal.ErrScheduleAlreadyRunning) || errors.As(err, &started) || errors.As(err, &exists)
}

// Schedules are all schedules of upgrades, by name, each with its last run.
func (c *Client) Schedules(ctx context.Context) ([]schedule.Schedule, error) {
	const op = "schedule list"
	entries, err := c.temporal.ScheduleClient().List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return nil, c.translate(op, err, exit.Unexpected)
	}
	var ids []string
	for entries.HasNext() {
		e, err := entries.Next()
		if err != nil {
			return nil, c.translate(op, err, exit.Unexpected)
		}
		if e.WorkflowType.Name == workflows.ScheduledUpgradeName {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	found := make([]*schedule.Schedule, len(ids))
	var group errgroup.Group
	group.SetLimit(schedulesAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			s, err := c.describe(ctx, op, id, 1)
			if err == nil {
				found[i] = &s
			}
			if isUnknownSchedule(err) { // deleted meanwhile
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []schedule.Schedule
	for _, s := range found {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all, nil
}

// Schedule is one schedule with its last runs. It is named by its name, or by an id that pawl did not give it.
func (c *Client) Schedule(ctx context.Context, name string) (schedule.Schedule, error) {
	return c.find(ctx, "schedule describe "+name, name)
}

// PauseSchedule keeps a schedule from starting runs. What it has started goes on.
func (c *Client) PauseSchedule(ctx context.Context, name, note string) (schedule.Schedule, error) {
	return c.change(ctx, "schedule pause "+name, name, func(h client.ScheduleHandle) error {
		return h.Pause(ctx, client.SchedulePauseOptions{Note: note})
	})
}

// ResumeSchedule lets a schedule start runs again. Times that have passed are not made up for.
func (c *Client) ResumeSchedule(ctx context.Context, name, note string) (schedule.Schedule, error) {
	return c.change(ctx, "schedule resume "+name, name, func(h client.ScheduleHandle) error {
		return h.Unpause(ctx, client.ScheduleUnpauseOptions{Note: note})
	})
}

// DeleteSchedule removes a schedule, and says what it was. What it has started goes on.
func (c *Client) DeleteSchedule(ctx context.Context, name string) (schedule.Schedule, error) {
	op := "schedule delete " + name
	s, err := c.find(ctx, op, name)
	if err != nil {
		return s, err
	}
	return s, c.translateSchedule(op, s.ID, c.temporal.ScheduleClient().GetHandle(ctx, s.ID).Delete(ctx))
}

// triggerPatience is how long Temporal may take to start the run that was asked for.
const triggerPatience = 10 * time.Second

// TriggerSchedule starts a run now, also of a schedule that is paused or over, and returns it.
func (c *Client) TriggerSchedule(ctx context.Context, name string) (schedule.Run, error) {
	op := "schedule trigger " + name
	before, err := c.find(ctx, op, name)
	if err != nil {
		return schedule.Run{}, err
	}
	if i := slices.IndexFunc(before.Runs, func(r schedule.Run) bool { return r.State == schedule.Running }); i >= 0 {
		return schedule.Run{}, exit.Errorf(exit.AlreadyRunning, "%s: its run %s is under way, so nothing was started", op, before.Runs[i].Workflow)
	}
	h := c.temporal.ScheduleClient().GetHandle(ctx, before.ID)
	if err := h.Trigger(ctx, client.ScheduleTriggerOptions{}); err != nil {
		return schedule.Run{}, c.translateSchedule(op, before.ID, err)
	}
	for deadline := time.Now().Add(triggerPatience); time.Now().Before(deadline); {
		now, err := c.describe(ctx, op, before.ID, 1)
		if err != nil {
			return schedule.Run{}, err
		}
		if len(now.Runs) > 0 && !slices.ContainsFunc(before.Runs, func(r schedule.Run) bool { return r.Run == now.Runs[0].Run }) {
			return now.Runs[0], nil
		}
		select {
		case <-ctx.Done():
			return schedule.Run{}, c.translate(op, ctx.Err(), exit.Unexpected)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return schedule.Run{}, exit.Errorf(exit.Unreachable, `%s: Temporal at %s took it, but has not started a run; see "pawl schedule describe %s"`, op, c.Address, name)
}

// change does something to a schedule, and returns what it is then.
func (c *Client) change(ctx context.Context, op, name string, do func(client.ScheduleHandle) error) (schedule.Schedule, error) {
	s, err := c.find(ctx, op, name)
	if err != nil {
		return s, err
	}
	if err := do(c.temporal.ScheduleClient().GetHandle(ctx, s.ID)); err != nil {
		return s, c.translateSchedule(op, s.ID, err)
	}
	return c.describe(ctx, op, s.ID, 0)
}

// find looks for a schedule by its name, then by its id.
func (c *Client) find(ctx context.Context, op, name string) (schedule.Schedule, error) {
	id := schedule.ID(schedule.Name(name))
	s, err := c.describe(ctx, op, id, runsShown)
	if isUnknownSchedule(err) && name != id {
		if byID, err := c.describe(ctx, op, name, runsShown); !isUnknownSchedule(err) {
			return byID, err
		}
	}
	return s, err
}

// unknownSchedule is the error of a schedule that Temporal does not have.
type unknownSchedule struct{ error }

func (u unknownSchedule) Unwrap() error { return u.error }

func isUnknownSchedule(err error) bool {
	var unknown unknownSchedule
	return errors.As(err, &unknown)
}

// describe asks Temporal for a schedule, with so many of its last runs. A schedule of something else is refused: it is
// none of pawl's business.
func (c *Client) describe(ctx context.Context, op, id string, runs int) (schedule.Schedule, error) {
	s := schedule.Schedule{ID: id, Name: schedule.Name(id)}
	d, err := c.temporal.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	if err != nil {
		return s, c.translateSchedule(op, id, err)
	}
	action, ok := d.Schedule.Action.(*client.ScheduleWorkflowAction)
	if !ok || action.Workflow != workflows.ScheduledUpgradeName {
		return s, exit.Errorf(exit.BadInput, "%s: the schedule %s starts no upgrades of pawl's", op, id)
	}
	if s.Upgrade, err = scheduledInput(action.Args); err != nil {
		s.Note = "its input cannot be read, so its runs will fail: " + oneLine(err)
	}
	spec, policy, state := d.Schedule.Spec, d.Schedule.Policy, d.Schedule.State
	s.When, s.TimeZone, s.Jitter = schedule.Text(*spec), spec.TimeZoneName, upgrade.Duration(spec.Jitter)
	if s.TimeZone == "" {
		s.TimeZone = "UTC"
	}
	s.CatchUp, s.PauseOnFailure = upgrade.Duration(policy.CatchupWindow), policy.PauseOnFailure
	s.Paused = state.Paused
	if s.Note == "" {
		s.Note = state.Note
	}
	s.Overlapped, s.Missed = d.Info.NumActionsSkippedOverlap, d.Info.NumActionsMissedCatchupWindow
	zone := s.Zone()
	if !state.LimitedActions || state.RemainingActions > 0 {
		for _, t := range d.Info.NextActionTimes {
			s.Next = append(s.Next, t.In(zone))
		}
	}
	if state.LimitedActions && len(s.Next) > state.RemainingActions {
		s.Next = s.Next[:state.RemainingActions]
	}
	s.Runs = c.runs(ctx, d.Info.RecentActions, zone, runs)
	return s, nil
}

// scheduledInput reads what a schedule gives to its runs.
func scheduledInput(args []any) (in workflows.ScheduledUpgradeInput, err error) {
	if len(args) != 1 {
		return in, fmt.Errorf("wanted one argument, got %d", len(args))
	}
	payload, ok := args[0].(*commonpb.Payload)
	if !ok {
		return in, errors.New("wanted a payload")
	}
	err = converter.GetDefaultDataConverter().FromPayload(payload, &in)
	return in, err
}

// runs are the last runs, the very last first.
func (c *Client) runs(ctx context.Context, recent []client.ScheduleActionResult, zone *time.Location, most int) []schedule.Run {
	recent = slices.DeleteFunc(slices.Clone(recent), func(r client.ScheduleActionResult) bool { return r.StartWorkflowResult == nil })
	slices.SortStableFunc(recent, func(a, b client.ScheduleActionResult) int { return b.ActualTime.Compare(a.ActualTime) })
	recent = recent[:min(most, len(recent))]
	runs := make([]schedule.Run, len(recent))
	var group errgroup.Group
	group.SetLimit(schedulesAtOnce)
	for i, r := range recent {
		group.Go(func() error {
			runs[i] = c.run(ctx, r, zone)
			return nil
		})
	}
	_ = group.Wait()
	return runs
}

// run is one run, and what became of it.
func (c *Client) run(ctx context.Context, r client.ScheduleActionResult, zone *time.Location) schedule.Run {
	id, first := r.StartWorkflowResult.WorkflowID, r.StartWorkflowResult.FirstExecutionRunID
	run := schedule.Run{Workflow: id, Run: first, Due: r.ScheduleTime.In(zone), Started: r.ActualTime.In(zone), UI: c.Link(id, first), State: schedule.Forgotten}
	d, err := c.temporal.DescribeWorkflowExecution(ctx, id, first)
	if err != nil {
		if !isNotFound(err) {
			run.Message = oneLine(err)
		}
		return run
	}
	switch d.GetWorkflowExecutionInfo().GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		run.State = schedule.Running
		return run
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		run.State = schedule.Completed
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		run.State, run.Message = schedule.Cancelled, "its waiting was ended; an upgrade that it had started went on"
		return run
	default:
		run.State = schedule.Failed
	}
	var report workflows.ScheduledReport
	err = c.temporal.GetWorkflow(ctx, id, first).Get(ctx, &report)
	var failed *temporal.ApplicationError
	switch {
	case err == nil:
		run.Outcome, run.Message = report.Outcome, report.Message
	case errors.As(err, &failed):
		run.Message = failed.Message()
	default:
		run.Message = oneLine(err)
	}
	return run
}

// translateSchedule turns what Temporal says of a schedule into one line.
func (c *Client) translateSchedule(op, id string, err error) error {
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return nil
	case isNotFound(err):
		return unknownSchedule{exit.Errorf(exit.BadInput, `%s: no schedule %s is known to Temporal at %s; "pawl schedule list" shows those there are`, op, id, c.Address)}
	case errors.As(err, &invalid):
		return exit.Errorf(exit.BadInput, "%s: Temporal refused it: %s", op, oneLine(err))
	}
	return c.translate(op, err, exit.Unexpected)
}
