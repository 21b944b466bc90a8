package workflows

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var (
	from = upgrade.MustVersion("v1.36.3")
	to   = upgrade.MustVersion("v1.37.2")
)

// bench runs ClusterUpgrade in Temporal's test environment, over activities that note what they were asked and take
// time on the environment's own clock.
type bench struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	plan  upgrade.Plan
	input ClusterUpgradeInput
	asked func(activities.PlanInput)    // is told what is to be planned; may be nil
	left  func() upgrade.Plan           // what is planned after the first hop; nil: the rest of plan
	log   []string                      // in the order in which things were done: "drainNode w1"
	locks []string                      // what was asked of the lock
	kept  time.Duration                 // how long it is, at a time
	fail  map[string][]error            // by entry of the log: what the next attempts return
	tell  map[string]activities.Outcome // by entry of the log: what an attempt that succeeds returns

	queue    string // of the cluster's own workers
	mu       sync.Mutex
	keys     []string    // of runs of hooks
	began    []time.Time // what attempts were told of when their step began
	pooled   []string    // what was done to pools as a whole: "cordonPool batch [w1 w2]"
	replaced []activities.NodeInput
	notified []string // "ops hold: w1: Drain: blocked"
}

func newBench(t *testing.T, plan upgrade.Plan) *bench {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	b := &bench{
		TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, plan: plan,
		input: ClusterUpgradeInput{Cluster: "lab", TargetVersion: to.String()},
		fail:  map[string][]error{}, tell: map[string]activities.Outcome{},
	}
	b.SetTestTimeout(20 * time.Second)
	b.RegisterWorkflowWithOptions(ClusterUpgrade, workflow.RegisterOptions{Name: ClusterUpgradeName})
	b.RegisterWorkflowWithOptions(NodeUpgrade, workflow.RegisterOptions{Name: NodeUpgradeName})
	b.RegisterActivity(&activities.Activities{})

	b.OnActivity(act.MakePlan, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.PlanInput) (upgrade.Plan, error) {
			if b.asked != nil {
				b.asked(in)
			}
			return b.planNow(), b.note("plan")
		})
	b.OnActivity(act.LocateCluster, mock.Anything, activities.ObserveInput{Cluster: "lab"}).Return(
		func(context.Context, activities.ObserveInput) (activities.Location, error) {
			return activities.Location{TaskQueue: b.queue}, nil
		})
	b.OnActivity(act.DeletePods, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.DeletePodsInput) error {
			return b.note(fmt.Sprintf("deletePods %s %s", in.Node, in.Pods))
		})
	b.OnActivity(act.CheckControlPlane, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.ClusterInput) (activities.Outcome, error) {
			return b.do("checkControlPlane")
		})
	b.OnActivity(act.VerifyCluster, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.ClusterInput) (activities.Outcome, error) {
			return b.do("verifyCluster")
		})
	b.OnActivity(act.BackUpControlPlane, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.BackUpInput) (activities.Outcome, error) {
			return b.do(fmt.Sprintf("backUp %s snapshot=%t", in.Node, in.Snapshot))
		})
	b.mockLock()
	b.OnActivity(act.RunHook, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.HookInput) (activities.Outcome, error) {
			b.keys = append(b.keys, in.Run.Key)
			return b.do(strings.TrimRight(fmt.Sprintf("hook %s %s %s", in.Hook.Name, in.Run.Event, in.Run.Node), " "))
		})
	b.OnActivity(act.ForgetHook, mock.Anything, mock.Anything).Return(nil)
	b.OnActivity(act.CheckHealth, mock.Anything, mock.Anything).After(2 * time.Minute).Return(
		func(_ context.Context, in activities.HealthInput) (activities.Outcome, error) {
			return b.do("checkHealth")
		})
	b.OnActivity(act.Notify, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.NotifyInput) error {
			if errs := b.fail["notify "+in.To]; len(errs) > 0 {
				b.fail["notify "+in.To] = errs[1:]
				return errs[0]
			}
			text := in.To + " " + string(in.Message.Event)
			for _, more := range []string{in.Message.Node, in.Message.Reason} {
				if more != "" {
					text += ": " + more
				}
			}
			b.notified = append(b.notified, text)
			return nil
		})
	b.mockPools()
	b.OnActivity(act.PrepareNode, mock.Anything, mock.Anything).Return(activities.Outcome{}, nil)
	for step, activity := range nodeActivities {
		b.OnActivity(activity, mock.Anything, mock.Anything).After(time.Minute).Return(
			func(_ context.Context, in activities.NodeInput) (activities.Outcome, error) {
				entry := string(step) + " " + in.Node
				if step == upgrade.DrainNode && in.Settings.Drain.Timeout != b.plan.Settings.Drain.Timeout {
					entry += " for " + in.Settings.Drain.Timeout.String()
				}
				if step == upgrade.UpdateNodeGroup && in.Force {
					entry += " by force"
				}
				if !in.Since.IsZero() {
					b.mu.Lock()
					b.began = append(b.began, in.Since)
					b.mu.Unlock()
				}
				if in.Successor != nil {
					b.mu.Lock()
					b.replaced = append(b.replaced, in)
					b.mu.Unlock()
				}
				return b.do(entry)
			})
	}
	return b
}

// mockPools notes what is done to pools apart from the log, since most upgrades do some of it.
func (b *bench) mockPools() {
	pool := func(activity any, name string) {
		b.OnActivity(activity, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PoolInput) (activities.Outcome, error) {
			return b.doToPool(fmt.Sprintf("%s %s %s", name, in.Pool, in.Nodes))
		})
	}
	pool(act.AvoidNodes, "avoid")
	pool(act.StopAvoidingNodes, "stopAvoiding")
	pool(act.CordonPool, "cordonPool")
	pool(act.UncordonPool, "uncordonPool")
	pool(act.LookAtSpread, "spread")
	pool(act.RebalancePool, "rebalance")
	b.OnActivity(act.AwaitServices, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ServicesInput) (activities.Outcome, error) {
		return b.doToPool(fmt.Sprintf("awaitServices %s %s", in.Pool, in.Services))
	})
	b.OnActivity(act.BeginReplacement, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ReplacementInput) (activities.Outcome, error) {
		return b.doToPool(fmt.Sprintf("begin %s surge=%d", in.Replacement.Pool, in.Replacement.Surge))
	})
	b.OnActivity(act.EndReplacement, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ReplacementInput) (activities.Outcome, error) {
		return b.doToPool(strings.TrimRight(fmt.Sprintf("end %s %s", in.Replacement.Pool, in.Snapshot), " "))
	})
	b.OnActivity(act.KeepNode, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.NodeInput) (activities.Outcome, error) {
		b.mu.Lock()
		b.replaced = append(b.replaced, in)
		b.mu.Unlock()
		return b.doToPool("keep " + in.Node)
	})
}

func (b *bench) doToPool(entry string) (activities.Outcome, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pooled = append(b.pooled, entry)
	if errs := b.fail[entry]; len(errs) > 0 {
		b.fail[entry] = errs[1:]
		return activities.Outcome{}, errs[0]
	}
	return b.tell[entry], nil
}

// planNow is the plan, and when it is made again what is left of it.
func (b *bench) planNow() upgrade.Plan {
	if !slices.Contains(b.log, "plan") {
		return b.plan
	}
	if b.left != nil {
		return b.left()
	}
	rest := b.plan
	rest.Hops = rest.Hops[1:]
	return rest
}

// do is one attempt.
func (b *bench) do(entry string) (activities.Outcome, error) {
	if err := b.note(entry); err != nil {
		return activities.Outcome{}, err
	}
	return b.tell[entry], nil
}

func (b *bench) note(entry string) error {
	b.mu.Lock() // activities run side by side
	defer b.mu.Unlock()
	if errs := b.fail[entry]; len(errs) > 0 {
		b.fail[entry] = errs[1:]
		b.log = append(b.log, entry+" FAILED")
		return errs[0]
	}
	b.log = append(b.log, entry)
	return nil
}

// run executes the workflow to its end.
func (b *bench) run() (Report, error) {
	b.ExecuteWorkflow(ClusterUpgrade, b.input)
	require.True(b.t, b.IsWorkflowCompleted())
	if err := b.GetWorkflowError(); err != nil {
		return Report{}, err
	}
	var r Report
	require.NoError(b.t, b.GetWorkflowResult(&r))
	return r, nil
}

// planOf is the plan of a healthy cluster of that shape, to the version that follows.
func planOf(controlPlanes, workers, maxUnavailable int) upgrade.Plan {
	return planTo(to, controlPlanes, workers, maxUnavailable)
}

func planTo(target upgrade.Version, controlPlanes, workers, maxUnavailable int) upgrade.Plan {
	c := upgrade.Cluster{Name: "lab", Version: from}
	add := func(name string, controlPlane bool) {
		n := upgrade.Node{
			Name: name, Address: "10.0.0.1", ControlPlane: controlPlane, Kubelet: from, Ready: true,
			Host: upgrade.Host{PackageManager: "apt", Kubeadm: from, Available: []upgrade.Version{to, target}, FreeBytes: 1 << 40},
		}
		if controlPlane {
			n.Components = map[string]upgrade.Version{upgrade.APIServer: from, upgrade.ControllerManager: from, upgrade.Scheduler: from}
		}
		c.Nodes = append(c.Nodes, n)
	}
	for i := range controlPlanes {
		add(fmt.Sprintf("cp%d", i+1), true)
	}
	for i := range workers {
		add(fmt.Sprintf("w%d", i+1), false)
	}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: target}, upgrade.Settings{MaxUnavailable: upgrade.AtMost(maxUnavailable), Drain: upgrade.Drain{Timeout: upgrade.Duration(time.Minute)}})
}
