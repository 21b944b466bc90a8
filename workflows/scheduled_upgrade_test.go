package workflows

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// due runs ScheduledUpgrade over a plan, a child and what is running.
type due struct {
	*testsuite.TestWorkflowEnvironment
	t       *testing.T
	plan    upgrade.Plan
	planErr error
	running []activities.RunningUpgrade // what the next looks find; the last one stays
	asked   activities.PlanInput
	started []ClusterUpgradeInput
	queue   string // of the cluster's own workers
	child   func(workflow.Context, ClusterUpgradeInput) (*Report, error)
}

func newDue(t *testing.T, plan upgrade.Plan) *due {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	d := &due{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, plan: plan, running: []activities.RunningUpgrade{{}}}
	d.SetTestTimeout(20 * time.Second)
	d.RegisterWorkflowWithOptions(ScheduledUpgrade, workflow.RegisterOptions{Name: ScheduledUpgradeName})
	d.RegisterWorkflowWithOptions(func(ctx workflow.Context, in ClusterUpgradeInput) (*Report, error) {
		d.started = append(d.started, in)
		return d.child(ctx, in)
	}, workflow.RegisterOptions{Name: ClusterUpgradeName})
	d.RegisterActivity(&activities.Activities{})
	d.OnActivity(act.FindUpgrade, mock.Anything, activities.ObserveInput{Cluster: "lab"}).Return(
		func(context.Context, activities.ObserveInput) (activities.RunningUpgrade, error) {
			now := d.running[0]
			if len(d.running) > 1 {
				d.running = d.running[1:]
			}
			return now, nil
		})
	d.OnActivity(act.LocateCluster, mock.Anything, activities.ObserveInput{Cluster: "lab"}).Return(func(context.Context, activities.ObserveInput) (activities.Location, error) {
		return activities.Location{TaskQueue: d.queue}, nil
	})
	d.OnActivity(act.MakePlan, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PlanInput) (upgrade.Plan, error) {
		d.asked = in
		return d.plan.Brief(), d.planErr
	})
	d.child = func(ctx workflow.Context, in ClusterUpgradeInput) (*Report, error) {
		err := workflow.Sleep(ctx, 20*time.Minute)
		return &Report{Status: upgrade.Status{Cluster: "lab", State: upgrade.Done, Target: upgrade.MustVersion(in.TargetVersion)}}, err
	}
	return d
}

func (d *due) run(input string) (ScheduledReport, error) {
	var in ScheduledUpgradeInput
	require.NoError(d.t, json.Unmarshal([]byte(input), &in))
	d.ExecuteWorkflow(ScheduledUpgradeName, in)
	require.True(d.t, d.IsWorkflowCompleted())
	if err := d.GetWorkflowError(); err != nil {
		return ScheduledReport{}, err
	}
	var r ScheduledReport
	require.NoError(d.t, d.GetWorkflowResult(&r))
	return r, nil
}

func (d *due) fails(input string, kind fault.Kind, message string) {
	d.t.Helper()
	_, err := d.run(input)
	var failed *temporal.ApplicationError
	require.ErrorAs(d.t, err, &failed)
	require.Equal(d.t, message, failed.Message())
	require.Equal(d.t, string(kind), failed.Type())
	require.True(d.t, failed.NonRetryable())
}

const byPatch = `{"cluster":"lab","policy":"newest-patch"}`

func TestScheduledUpgradeToAVersion(t *testing.T) {
	d := newDue(t, planOf(1, 2, 1))
	r, err := d.run(`{"cluster":"lab","targetVersion":"v1.37.2","waive":["disk-space"],"through":["v1.36.9"],"approve":["workers"]}`)
	require.NoError(t, err)
	require.Equal(t, ScheduledReport{Cluster: "lab", Outcome: ScheduledUpgraded, From: from, Target: to, Upgrade: "cluster-upgrade/lab", Run: r.Run,
		Message: "lab was upgraded from v1.36.3 to v1.37.2 in 20m0s"}, r)
	require.NotEmpty(t, r.Run)
	require.Equal(t, []ClusterUpgradeInput{{Cluster: "lab", TargetVersion: "v1.37.2", Waive: []string{"disk-space"}, Through: []string{"v1.36.9"}, Approve: []string{"workers"}}}, d.started,
		"all that was asked of the upgrade reaches it")
	require.Equal(t, activities.PlanInput{Cluster: "lab", Target: "v1.37.2", Waive: []string{"disk-space"}, Through: []string{"v1.36.9"}, Brief: true}, d.asked)
}

func TestScheduledUpgradeByPolicy(t *testing.T) {
	d := newDue(t, planOf(1, 2, 1))
	r, err := d.run(`{"cluster":"lab","policy":"newest-minor-less-1"}`)
	require.NoError(t, err)
	require.Equal(t, ScheduledUpgraded, r.Outcome)
	require.Equal(t, "newest-minor-less-1", d.asked.Policy.String())
	require.Equal(t, []ClusterUpgradeInput{{Cluster: "lab", TargetVersion: "v1.37.2"}}, d.started, "the upgrade itself goes to a version that does not move")
}

func TestScheduledUpgradeWithNothingToDoStartsNothing(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Hops = nil
	plan.Findings = []upgrade.Finding{{ID: upgrade.ChosenByPolicy, Severity: upgrade.SeverityInfo, Message: "newest-patch: v1.37.2 is the newest"}}
	d := newDue(t, plan)
	r, err := d.run(byPatch)
	require.NoError(t, err)
	require.Equal(t, ScheduledReport{Cluster: "lab", Outcome: ScheduledNothingToDo, From: from, Target: to,
		Message: "nothing to do: lab is at v1.37.2 already; newest-patch: v1.37.2 is the newest"}, r)
	require.Empty(t, d.started)
}

func TestScheduledUpgradeThatIsRefusedFailsWithThePlansOwnLine(t *testing.T) {
	plan := planOf(1, 1, 1)
	plan.Findings = []upgrade.Finding{{Severity: upgrade.SeverityError, Target: "w1", Message: "the node is not Ready"}}
	d := newDue(t, plan)
	d.fails(byPatch, fault.PreflightFailed, "plan lab v1.36.3 to v1.37.2: refused: w1: the node is not Ready")
	require.Empty(t, d.started)

	d = newDue(t, plan)
	d.planErr = temporal.NewNonRetryableApplicationError("plan lab: no clusters/lab.yaml", string(fault.NotFound), nil)
	d.fails(byPatch, fault.NotFound, "plan lab: no clusters/lab.yaml")
}

func TestScheduledUpgradeIsPatientWithWhatDoesNotAnswer(t *testing.T) {
	d := newDue(t, planOf(1, 1, 1))
	d.planErr = temporal.NewApplicationError("observe lab: the API server does not answer", string(fault.Unreachable))
	d.RegisterDelayedCallback(func() { d.planErr = nil }, 2*time.Minute) // the test environment tries ten times at most
	r, err := d.run(byPatch)
	require.NoError(t, err)
	require.Equal(t, ScheduledUpgraded, r.Outcome)

	d = newDue(t, planOf(1, 1, 1))
	d.planErr = temporal.NewApplicationError("observe lab: the API server does not answer", string(fault.Unreachable))
	d.fails(byPatch, fault.Unreachable, "observe lab: the API server does not answer")
}

func TestScheduledUpgradeIsSkippedWhileAnotherRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		running activities.RunningUpgrade
		want    string
	}{
		"running":          {activities.RunningUpgrade{Target: to, State: upgrade.Running}, "skipped: an upgrade to v1.37.2 is running"},
		"held":             {activities.RunningUpgrade{Target: to, State: upgrade.Held, Message: "w1: Drain: blocked"}, "skipped: an upgrade to v1.37.2 is running (held: w1: Drain: blocked)"},
		"paused":           {activities.RunningUpgrade{Target: to, State: upgrade.Paused}, "skipped: an upgrade to v1.37.2 is running (paused)"},
		"it does not tell": {activities.RunningUpgrade{}, "skipped: an upgrade is running"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDue(t, planOf(1, 1, 1))
			tc.running.Workflow = ClusterUpgradeID("lab")
			d.running = []activities.RunningUpgrade{tc.running}
			d.plan.Findings = []upgrade.Finding{{Severity: upgrade.SeverityError, Message: "half-upgraded"}}
			r, err := d.run(byPatch)
			require.NoError(t, err)
			require.Equal(t, ScheduledReport{Cluster: "lab", Outcome: ScheduledSkipped, Message: tc.want}, r)
			require.Empty(t, d.asked, "a cluster that is being upgraded is not planned for")
		})
	}
}

// TestScheduledUpgradeThatComesSecondIsSkipped: another upgrade starts between the look and the start.
func TestScheduledUpgradeThatComesSecondIsSkipped(t *testing.T) {
	d := newDue(t, planOf(1, 1, 1))
	d.running = []activities.RunningUpgrade{{}, {Workflow: ClusterUpgradeID("lab"), Target: to, State: upgrade.Running}}
	in := ScheduledUpgradeInput{ClusterUpgradeInput: ClusterUpgradeInput{Cluster: "lab", TargetVersion: to.String()}}
	d.RegisterWorkflowWithOptions(func(ctx workflow.Context) (*ScheduledReport, error) {
		first := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: ClusterUpgradeID("lab")})
		if err := workflow.ExecuteChildWorkflow(first, ClusterUpgrade, in.ClusterUpgradeInput).GetChildWorkflowExecution().Get(ctx, nil); err != nil {
			return nil, err
		}
		var r *ScheduledReport
		ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: "scheduled"})
		err := workflow.ExecuteChildWorkflow(ctx, ScheduledUpgrade, in).Get(ctx, &r)
		return r, err
	}, workflow.RegisterOptions{Name: "both"})
	d.ExecuteWorkflow("both")
	var r ScheduledReport
	require.NoError(t, d.GetWorkflowResult(&r))
	require.Equal(t, ScheduledReport{Cluster: "lab", Outcome: ScheduledSkipped, From: from, Target: to, Message: "skipped: an upgrade to v1.37.2 is running"}, r)
	require.Len(t, d.started, 1)
}

func TestScheduledUpgradeSaysHowTheUpgradeEnded(t *testing.T) {
	d := newDue(t, planOf(1, 1, 1))
	d.child = func(workflow.Context, ClusterUpgradeInput) (*Report, error) {
		return nil, temporal.NewNonRetryableApplicationError("plan lab v1.36.3 to v1.37.2: refused: just now", string(fault.PreflightFailed), nil)
	}
	d.fails(byPatch, fault.PreflightFailed, "plan lab v1.36.3 to v1.37.2: refused: just now")

	d = newDue(t, planOf(1, 1, 1))
	d.child = func(workflow.Context, ClusterUpgradeInput) (*Report, error) {
		return nil, temporal.NewCanceledError()
	}
	d.fails(byPatch, fault.Unexpected, "upgrade lab: the upgrade was cancelled")

	d = newDue(t, planOf(1, 1, 1))
	d.child = func(workflow.Context, ClusterUpgradeInput) (*Report, error) {
		return &Report{Status: upgrade.Status{State: upgrade.Aborted, Target: to, Message: "not tonight"}}, nil
	}
	r, err := d.run(byPatch)
	require.NoError(t, err)
	require.Equal(t, ScheduledAborted, r.Outcome)
	require.Equal(t, "the upgrade to v1.37.2 was aborted: not tonight", r.Message)
}

func TestCancelledScheduledUpgradeLetsTheUpgradeGoOn(t *testing.T) {
	d := newDue(t, planOf(1, 1, 1))
	cancelled := false
	d.child = func(ctx workflow.Context, _ ClusterUpgradeInput) (*Report, error) {
		err := workflow.Sleep(ctx, time.Hour)
		cancelled = temporal.IsCanceledError(err)
		return &Report{}, err
	}
	d.RegisterDelayedCallback(d.CancelWorkflow, 10*time.Minute)
	_, err := d.run(byPatch)
	require.True(t, temporal.IsCanceledError(err), err)
	require.Len(t, d.started, 1)
	require.False(t, cancelled, "nobody cancelled the upgrade")
}

func TestScheduledUpgradeInput(t *testing.T) {
	for input, want := range map[string]string{
		`{"cluster":"lab"}`: "plan lab: wanted either targetVersion or policy: newest-patch, newest-minor or newest-minor-less-1",
		`{"cluster":"lab","targetVersion":"v1.37.2","policy":"newest-patch"}`: "plan lab: wanted either targetVersion or policy: newest-patch, newest-minor or newest-minor-less-1",
		`{"cluster":"lab","policy":"newest-patch","approve":["never"]}`:       `plan lab: approve: "never" is no point to wait for an approval at, wanted some of ["hop" "control-plane" "workers" "pool" "canary"]`,
	} {
		newDue(t, planOf(1, 1, 1)).fails(input, fault.InvalidInput, want)
	}
	var in ScheduledUpgradeInput
	for input, want := range map[string]string{
		`{"cluster":"lab","polcy":"newest-patch"}`: `unknown field "polcy"`,
		`{"cluster":"lab","policy":"latest"}`:      `"latest" is not a policy, wanted newest-patch, newest-minor or newest-minor-less-1`,
		`{"cluster":"lab","policy":7}`:             `wanted {"cluster":"NAME","targetVersion":"v1.37.2"} or {"cluster":"NAME","policy":"newest-patch"}`,
	} {
		require.ErrorContains(t, json.Unmarshal([]byte(input), &in), want)
	}
	require.NoError(t, json.Unmarshal([]byte(byPatch), &in))
	text, err := json.Marshal(in)
	require.NoError(t, err)
	require.JSONEq(t, byPatch, string(text))
	require.Equal(t, "newest-patch", in.Wants())
}
