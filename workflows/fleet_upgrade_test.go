package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// took is how long the upgrade of a cluster takes here.
const took = 10 * time.Minute

// fleetBench runs FleetUpgrade over stand-ins for the upgrades of clusters.
type fleetBench struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	began time.Time
	log   []string                                        // "0m start canary", "10m end canary"
	most  int                                             // upgrades that ran at a time
	does  map[string][]func(workflow.Context) (end error) // by cluster: what its next upgrades do before they end; else they take their time
	mu    sync.Mutex
	told  []activities.TellInput // in any order
	runs  int
}

func newFleetBench(t *testing.T) *fleetBench {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	b := &fleetBench{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, does: map[string][]func(workflow.Context) error{}}
	b.SetTestTimeout(20 * time.Second)
	b.SetDetachedChildWait(false) // they may go on for ever
	b.began = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	b.SetStartTime(b.began)
	b.RegisterWorkflowWithOptions(FleetUpgrade, workflow.RegisterOptions{Name: FleetUpgradeName})
	b.RegisterWorkflowWithOptions(b.upgrade, workflow.RegisterOptions{Name: ClusterUpgradeName})
	b.RegisterActivity(&activities.Activities{})
	b.OnActivity(act.TellUpgrade, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.TellInput) (string, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = append(b.told, in)
		if strings.HasSuffix(in.Workflow, "deaf") {
			return "", temporal.NewNonRetryableApplicationError("pause: it is paused already", string(fault.InvalidInput), nil)
		}
		return "paused", nil
	})
	return b
}

// upgrade stands in for ClusterUpgrade.
func (b *fleetBench) upgrade(ctx workflow.Context, in ClusterUpgradeInput) (*Report, error) {
	note := func(what string) {
		b.log = append(b.log, fmt.Sprintf("%s %s %s", b.Now().Sub(b.began).Round(time.Minute), what, in.Cluster))
	}
	note("start")
	b.runs++
	b.most = max(b.most, b.runs)
	defer func() { b.runs-- }()
	s := upgrade.Status{Cluster: in.Cluster, State: upgrade.Done, From: from, Target: upgrade.MustVersion(in.TargetVersion), Hops: 1}
	var err error
	if does := b.does[in.Cluster]; len(does) > 0 {
		b.does[in.Cluster] = does[1:]
		err = does[0](ctx)
	} else {
		err = workflow.Sleep(ctx, took)
	}
	switch {
	case errors.Is(err, errAlready):
		s.Hops, s.Message = 0, in.Cluster+" is at "+in.TargetVersion+" already"
	case errors.Is(err, errStopped):
		s.State, s.Message = upgrade.Aborted, "stopped by ann"
	case err != nil:
		note("fail")
		return nil, err
	}
	note("end")
	return &Report{Status: s}, nil
}

var errAlready = fmt.Errorf("at the target already")

// heldUntilTold is an upgrade that is held until it gets the signal "go".
func heldUntilTold(cluster string) func(workflow.Context) error {
	return func(ctx workflow.Context) error {
		says(ctx, cluster, upgrade.Held, "w1: Drain: blocked by a budget")
		workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
		says(ctx, cluster, upgrade.Running, "")
		return workflow.Sleep(ctx, took)
	}
}

// says tells the fleet's upgrade, as tellFleet does.
func says(ctx workflow.Context, cluster string, state upgrade.State, why string) {
	info := workflow.GetInfo(ctx)
	p := info.ParentWorkflowExecution
	_ = workflow.SignalExternalWorkflow(ctx, p.ID, "", signalClusterState, clusterState{
		Cluster: cluster, Run: info.WorkflowExecution.RunID, State: state, Reason: why, From: from, To: to}).Get(ctx, nil)
}

func fails(text string) func(workflow.Context) error {
	return func(workflow.Context) error {
		return temporal.NewNonRetryableApplicationError(text, string(fault.PreflightFailed), nil)
	}
}

func ends(err error) func(workflow.Context) error { return func(workflow.Context) error { return err } }

func (b *fleetBench) goOn(after time.Duration, cluster string) {
	b.RegisterDelayedCallback(func() { require.NoError(b.t, b.SignalWorkflowByID(ClusterUpgradeID(cluster), "go", nil)) }, after)
}

// tells sends an update to the fleet once so much time has passed.
func (b *fleetBench) tells(after time.Duration, update string, with any) *told {
	a := &told{t: b.t}
	b.RegisterDelayedCallback(func() { b.UpdateWorkflow(update, fmt.Sprint(update, after), a, with) }, after)
	return a
}

func (b *fleetBench) statusAt(after time.Duration) *upgrade.FleetStatus {
	s := &upgrade.FleetStatus{}
	b.RegisterDelayedCallback(func() {
		v, err := b.QueryWorkflow(QueryStatus)
		require.NoError(b.t, err)
		require.NoError(b.t, v.Get(s))
		s.Clusters = slices.Clone(s.Clusters)
	}, after)
	return s
}

// run runs it to its end.
func (b *fleetBench) run(in FleetUpgradeInput) upgrade.FleetStatus {
	b.t.Helper()
	in.Fleet, in.TargetVersion = "prod", to.String()
	b.ExecuteWorkflow(FleetUpgrade, in)
	require.True(b.t, b.IsWorkflowCompleted())
	require.NoError(b.t, b.GetWorkflowError())
	var s upgrade.FleetStatus
	require.NoError(b.t, b.GetWorkflowResult(&s))
	return s
}

// answers are what updates were answered, without Temporal's words around a rejection.
func (a *told) answers() []string {
	var all []string
	for _, answer := range a.all {
		all = append(all, strings.TrimSuffix(answer, " (type: Rejected, retryable: true)"))
	}
	return all
}

// stateOf is "eu1=done eu2=held".
func stateOf(s upgrade.FleetStatus) string {
	var all []string
	for _, c := range s.Clusters {
		all = append(all, fmt.Sprintf("%s=%s", c.Cluster, c.State))
	}
	return strings.Join(all, " ")
}

func waves(all ...string) [][]string {
	var w [][]string
	for _, names := range all {
		w = append(w, strings.Fields(names))
	}
	return w
}

func TestFleetGoesThroughItsWaves(t *testing.T) {
	b := newFleetBench(t)
	soaking := b.statusAt(15 * time.Minute)
	s := b.run(FleetUpgradeInput{Waves: waves("canary", "eu1 eu2 eu3"), MaxConcurrent: 2, Soak: upgrade.Duration(30 * time.Minute)})
	require.Equal(t, []string{"0s start canary", "10m0s end canary", "40m0s start eu1", "40m0s start eu2", "50m0s end eu1", "50m0s end eu2", "50m0s start eu3", "1h0m0s end eu3"}, b.log)
	require.Equal(t, 2, b.most)
	require.Equal(t, upgrade.Done, s.State)
	require.Equal(t, "4 clusters at v1.37.2", s.Message)
	for _, c := range s.Clusters {
		require.Equal(t, upgrade.Done, c.State)
		require.Equal(t, from, c.From)
		require.Equal(t, to, c.To)
		require.Equal(t, took, c.Ended.Sub(c.Started))
	}
	require.Equal(t, upgrade.Waiting, soaking.State)
	require.Equal(t, "wave 1 soaks until 2026-01-02T12:40:00Z, then wave 2 begins", soaking.Message)
	require.True(t, soaking.Waits[0].Until.Equal(b.began.Add(40*time.Minute)))
}

func TestCanaryThatIsHeldLetsNothingElseBegin(t *testing.T) {
	b := newFleetBench(t)
	b.does["canary"] = []func(workflow.Context) error{heldUntilTold("canary")}
	held := b.statusAt(5 * time.Hour)
	b.goOn(6*time.Hour, "canary")
	going := b.statusAt(6*time.Hour + time.Minute)
	s := b.run(FleetUpgradeInput{Waves: waves("canary", "eu1"), MaxHeld: 1, MaxConcurrent: 2})
	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, "canary=held eu1=pending", stateOf(*held))
	require.Equal(t, "wave 2 does not begin: no cluster of wave 1 has reached v1.37.2: canary held: w1: Drain: blocked by a budget", held.Message)
	require.Equal(t, []string{UpdateRetry, UpdateSkip, UpdateAbort}, names(held.Waits[0].Choices))
	require.Less(t, held.Waits[0].Since.Sub(b.began), time.Minute)
	require.Equal(t, "canary=running eu1=pending", stateOf(*going))
	require.Equal(t, upgrade.Running, going.State)
	require.Empty(t, going.Waits)
	require.Equal(t, upgrade.Done, s.State)
	require.Equal(t, "6h10m0s start eu1", b.log[2])
}

// TestFleetStopsWhenTooManyAreInTrouble: one may be, and the others go on; a second stops them until one is retried.
func TestFleetStopsWhenTooManyAreInTrouble(t *testing.T) {
	b := newFleetBench(t)
	b.does["a"] = []func(workflow.Context) error{heldUntilTold("a")}
	b.does["c"] = []func(workflow.Context) error{fails("plan c: refused: w1: the node is not Ready")}
	one, two := b.statusAt(5*time.Minute), b.statusAt(time.Hour)
	no := b.tells(time.Hour, UpdateRetry, ClusterDecision{Cluster: "a"})
	yes := b.tells(2*time.Hour, UpdateRetry, ClusterDecision{Cluster: "c", Decision: because})
	b.goOn(3*time.Hour, "a")
	s := b.run(FleetUpgradeInput{Waves: waves("a b c d e f"), MaxConcurrent: 2, MaxHeld: 1})
	require.Equal(t, "a=held b=running c=pending d=pending e=pending f=pending", stateOf(*one))
	require.Equal(t, upgrade.Running, one.State)
	require.Equal(t, upgrade.Held, two.State)
	require.Equal(t, "a=held b=done c=failed d=pending e=pending f=pending", stateOf(*two))
	require.Equal(t, "nothing new begins: 2 clusters held or failed, 1 allowed: a held: w1: Drain: blocked by a budget; c failed: plan c: refused: w1: the node is not Ready", two.Message)
	require.Equal(t, []string{"no: a is held and has not failed; decide at its own upgrade: pawl status a"}, no.answers())
	require.Equal(t, []string{"to be started again: c"}, yes.answers())
	require.Equal(t, upgrade.Done, s.State)
	require.Equal(t, 2, s.Find("c").Tries)
	require.Equal(t, 2, b.most, "what is held keeps its place")
	require.Equal(t, []upgrade.Action{{At: s.Actions[0].At, What: UpdateRetry, Cluster: "c", By: "me", Reason: "because"}}, s.Actions)
	require.Contains(t, b.log, "2h0m0s start c")
}

func TestHeldClustersKeepTheirPlaces(t *testing.T) {
	b := newFleetBench(t)
	b.does["a"] = []func(workflow.Context) error{heldUntilTold("a")}
	held := b.statusAt(time.Hour)
	skip := b.tells(2*time.Hour, UpdateSkip, ClusterDecision{Cluster: "a", Decision: because})
	s := b.run(FleetUpgradeInput{Waves: waves("a b"), MaxHeld: 1})
	require.Equal(t, "nothing new begins: held clusters keep all places (maxConcurrent 1): a held: w1: Drain: blocked by a budget", held.Message)
	require.Equal(t, []string{"skipped a; its own upgrade is held still"}, skip.answers())
	require.Equal(t, "a=skipped b=done", stateOf(s))
	require.Equal(t, "1 cluster at v1.37.2, 1 cluster skipped", s.Message)
}

func TestClusterAtTheTargetIsDoneAndNeedsNoSoak(t *testing.T) {
	b := newFleetBench(t)
	b.does["canary"] = []func(workflow.Context) error{ends(errAlready)}
	s := b.run(FleetUpgradeInput{Waves: waves("canary", "eu1"), Soak: upgrade.Duration(time.Hour)})
	require.Equal(t, "canary=done eu1=done", stateOf(s))
	require.True(t, s.Clusters[0].Already)
	require.Equal(t, "canary is at v1.37.2 already", s.Clusters[0].Reason)
	require.Equal(t, "0s start eu1", b.log[2])
}

// TestFailedClustersWaitForAPersonAtTheEnd: the fleet does not pass them over in silence.
func TestFailedClustersWaitForAPersonAtTheEnd(t *testing.T) {
	b := newFleetBench(t)
	b.does["a"] = []func(workflow.Context) error{fails("plan a: refused"), fails("plan a: refused again")}
	b.does["b"] = []func(workflow.Context) error{ends(errStopped)}
	held := b.statusAt(time.Hour)
	none := b.tells(30*time.Second, UpdateSkip, ClusterDecision{Cluster: "c", Decision: because})
	why := b.tells(time.Hour, UpdateSkip, ClusterDecision{Cluster: "a"})
	all := b.tells(2*time.Hour, UpdateRetry, ClusterDecision{})
	skip := b.tells(3*time.Hour, UpdateSkip, ClusterDecision{Cluster: "a", Decision: because})
	s := b.run(FleetUpgradeInput{Waves: waves("a b c"), MaxConcurrent: 3, MaxHeld: 2})
	require.Equal(t, "every wave is through, but a failed: plan a: refused; b aborted: stopped by ann", held.Message)
	require.Equal(t, []string{"no: c is running; what has not begun, is held or has failed can be skipped"}, none.answers())
	require.Equal(t, []string{`no: why? Give a reason, which is recorded: {"reason":"..."}`}, why.answers())
	require.Equal(t, []string{"to be started again: a, b"}, all.answers())
	require.Equal(t, []string{"skipped a"}, skip.answers())
	require.Equal(t, "a=skipped b=done c=done", stateOf(s))
}

// TestClusterThatIsUpgradedAlreadyIsNotStarted: here by the fleet itself, which passed it over while it was held.
func TestClusterThatIsUpgradedAlreadyIsNotStarted(t *testing.T) {
	b := newFleetBench(t)
	b.does["a"] = []func(workflow.Context) error{heldUntilTold("a")}
	b.tells(1*time.Hour, UpdateSkip, ClusterDecision{Cluster: "a", Decision: because})
	again := b.tells(2*time.Hour, UpdateRetry, ClusterDecision{Cluster: "a"})
	held := b.statusAt(3 * time.Hour)
	b.goOn(4*time.Hour, "a")
	b.tells(5*time.Hour, UpdateRetry, ClusterDecision{Cluster: "a"})
	b.does["b"] = []func(workflow.Context) error{func(ctx workflow.Context) error { return workflow.Sleep(ctx, 150*time.Minute) }}
	s := b.run(FleetUpgradeInput{Waves: waves("a b"), MaxConcurrent: 2})
	require.Equal(t, []string{"to be started again: a"}, again.answers())
	require.Equal(t, "nothing new begins: 1 cluster held or failed, 0 allowed: a failed: not started: an upgrade of it is running already; when that has ended, retry", held.Message)
	require.Equal(t, "a=done b=done", stateOf(s))
	require.Equal(t, 3, s.Find("a").Tries)
}

func TestFleetPauseAndResume(t *testing.T) {
	b := newFleetBench(t)
	pause := b.tells(5*time.Minute, UpdatePause, FleetDecision{Decision: because, Clusters: true})
	twice := b.tells(6*time.Minute, UpdatePause, FleetDecision{})
	paused := b.statusAt(time.Hour)
	resume := b.tells(2*time.Hour, UpdateResume, FleetDecision{})
	not := b.tells(2*time.Hour+time.Minute, UpdateResume, FleetDecision{})
	s := b.run(FleetUpgradeInput{Waves: waves("a deaf c"), MaxConcurrent: 2})
	require.Equal(t, []string{"nothing new begins; a: paused; deaf: no: pause: it is paused already"}, pause.answers())
	require.Equal(t, []string{"no: it is paused already"}, twice.answers())
	require.Equal(t, upgrade.Paused, paused.State)
	require.Equal(t, "a=done deaf=done c=pending", stateOf(*paused))
	require.Equal(t, upgrade.ForResume, paused.Waits[0].For)
	require.Equal(t, []string{"going on"}, resume.answers())
	require.Equal(t, []string{"no: it is not paused"}, not.answers())
	require.Equal(t, upgrade.Done, s.State)
	require.Contains(t, b.log, "2h0m0s start c")
	require.Len(t, b.told, 2)
	for _, in := range b.told {
		c := s.Find(strings.TrimPrefix(in.Workflow, "cluster-upgrade/"))
		require.NotEmpty(t, c.Run)
		require.Equal(t, activities.TellInput{Workflow: c.Workflow, Run: c.Run, Update: UpdatePause, Reason: "because", By: "me"}, in)
	}
}

func TestFleetAbort(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		b := newFleetBench(t)
		abort := b.tells(5*time.Minute, UpdateAbort, FleetDecision{Decision: because})
		s := b.run(FleetUpgradeInput{Waves: waves("a b", "c")})
		require.Equal(t, []string{"ended; what is under way goes on by itself: a"}, abort.answers())
		require.Equal(t, upgrade.Aborted, s.State)
		require.Equal(t, "1 cluster left to go on by themselves, 2 clusters not begun", s.Message)
		require.Empty(t, b.told)
	})
	t.Run("with its clusters", func(t *testing.T) {
		b := newFleetBench(t)
		abort := b.tells(5*time.Minute, UpdateAbort, FleetDecision{Decision: because, Clusters: true})
		after := b.statusAt(6 * time.Minute)
		s := b.run(FleetUpgradeInput{Waves: waves("a b", "c")})
		require.Equal(t, []string{"nothing new begins; a: paused"}, abort.answers())
		require.Equal(t, "aborted; waiting until these have stopped: a", after.Message)
		require.Equal(t, "a=done b=pending c=pending", stateOf(s), "here it did not stop")
		require.Equal(t, upgrade.Aborted, s.State)
	})
	t.Run("why", func(t *testing.T) {
		b := newFleetBench(t)
		abort := b.tells(5*time.Minute, UpdateAbort, FleetDecision{Clusters: true})
		require.Equal(t, upgrade.Done, b.run(FleetUpgradeInput{Waves: waves("a")}).State)
		require.Equal(t, []string{`no: why? Give a reason, which is recorded: {"reason":"..."}`}, abort.answers())
	})
}

func TestFleetThatIsCancelledLeavesItsClustersAlone(t *testing.T) {
	b := newFleetBench(t)
	b.RegisterDelayedCallback(b.CancelWorkflow, 5*time.Minute)
	b.ExecuteWorkflow(FleetUpgrade, FleetUpgradeInput{Fleet: "prod", TargetVersion: to.String(), Waves: waves("a b")})
	require.True(t, temporal.IsCanceledError(b.GetWorkflowError()))
	require.NotContains(t, strings.Join(b.log, "\n"), "fail a", "it was not cancelled")
}

func TestFleetInputIsStrict(t *testing.T) {
	for input, want := range map[string]string{
		`{"fleet":"prod","targetVersion":"v1.37.2","waves":[["a"]],"soak":"30m","maxHeld":1}`: "",
		`{"fleet":"prod","targetVersion":"v1.37.2","waves":[["a"]],"maxheld":1,"max":2}`:      `unknown field "max"; wanted {"fleet":"NAME"`,
		`{"fleet":"prod","targetVersion":"v1.37.2","waves":[["a"]],"soak":"soon"}`:            `"soon" is not a duration`,
	} {
		var in FleetUpgradeInput
		err := in.UnmarshalJSON([]byte(input))
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
	b := newFleetBench(t)
	b.ExecuteWorkflow(FleetUpgrade, FleetUpgradeInput{Fleet: "prod", TargetVersion: "v1.37.2", Waves: waves("a", "a")})
	require.ErrorContains(t, b.GetWorkflowError(), "upgrade fleet prod: waves: a is named twice")
	_, err := FleetUpgradeInput{Fleet: "prod", TargetVersion: "v1.37.2", Waves: waves("a"), Approve: []string{"lunch"}}.Status()
	require.ErrorContains(t, err, "lunch")
	_, err = FleetUpgradeInput{Fleet: "prod", TargetVersion: "v1.37.2", Waves: waves("a"), Through: []string{"v1"}}.Status()
	require.Error(t, err)
}

func TestFleetDetailsFitTheUI(t *testing.T) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("cluster-with-a-long-name-%04d", i)
	}
	s, err := upgrade.NewFleet(upgrade.FleetWanted{Fleet: "prod", Target: "v1.37.2", Waves: [][]string{names}, MaxHeld: 50})
	require.NoError(t, err)
	for i := range 100 {
		s.Clusters[i].State, s.Clusters[i].Reason, s.Clusters[i].From = upgrade.Held, strings.Repeat("é|", 200), from
	}
	next := s.Next(time.Now())
	s.State, s.Waits = next.State, next.Waits
	page := fleetDetails(s)
	require.Less(t, len(page), 20_000)
	require.Contains(t, page, "900 clusters are done, skipped or not begun")
}

// TestFleetHearsOfItsClusters: the real upgrade of a cluster tells its fleet's when it is held and when it goes on.
func TestFleetHearsOfItsClusters(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.RegisterWorkflowWithOptions(FleetUpgrade, workflow.RegisterOptions{Name: FleetUpgradeName})
	b.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: FleetUpgradeID("prod"), TaskQueue: TaskQueue})
	b.fail["drainNode w1"] = failing("drain w1: blocked by a budget")
	var held, going upgrade.FleetStatus
	ask := func(s *upgrade.FleetStatus) func() {
		return func() {
			v, err := b.QueryWorkflowByID(FleetUpgradeID("prod"), QueryStatus)
			require.NoError(t, err)
			require.NoError(t, v.Get(s))
		}
	}
	b.RegisterDelayedCallback(ask(&held), time.Hour)
	retryAfter(b, 2*time.Hour, NodeUpgradeID("lab", "w1"), because)
	b.RegisterDelayedCallback(ask(&going), 2*time.Hour+time.Second)
	b.ExecuteWorkflow(FleetUpgrade, FleetUpgradeInput{Fleet: "prod", TargetVersion: to.String(), Waves: waves("lab")})
	var s upgrade.FleetStatus
	require.NoError(t, b.GetWorkflowResult(&s))
	require.Equal(t, upgrade.Held, held.State)
	require.Equal(t, "nothing new begins: 1 cluster held or failed, 0 allowed: lab held: w1: Drain: drain w1: blocked by a budget", held.Message)
	require.Equal(t, from, held.Clusters[0].From)
	require.Equal(t, upgrade.Running, going.State)
	require.Empty(t, going.Clusters[0].Reason)
	require.Equal(t, upgrade.Done, s.State)
	require.Equal(t, "lab=done", stateOf(s))
	require.Equal(t, "release", verbs(b.locks)[len(b.locks)-1])
}
