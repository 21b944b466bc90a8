package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// queues are the task queues that activities ran on, by their names.
type queues map[string]map[string]bool

func (q queues) note(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
	if q[info.ActivityType.Name] == nil {
		q[info.ActivityType.Name] = map[string]bool{}
	}
	q[info.ActivityType.Name][info.TaskQueue] = true
}

// requireBeside requires that all ran at the site but what says where that is.
func (q queues) requireBeside(t *testing.T, central ...string) {
	t.Helper()
	for _, name := range central {
		require.NotContains(t, q[name], "site-b", "%s touches no cluster", name)
		require.NotEmpty(t, q[name], name)
		delete(q, name)
	}
	require.NotEmpty(t, q)
	for name, on := range q {
		require.Equal(t, map[string]bool{"site-b": true}, on, name)
	}
}

// TestAllRunsBesideTheCluster: what touches the cluster, in the upgrade's own workflow, in those of its nodes, and in what
// people cause meanwhile, runs on the cluster's queue.
func TestAllRunsBesideTheCluster(t *testing.T) {
	plan := planOf(1, 2, 1)
	plan.Settings.Notifications = []upgrade.Notification{{Name: "ops"}}
	plan.Settings.Hooks = []upgrade.Hook{{Name: "before", When: upgrade.BeforeUpgrade, Kind: upgrade.CommandHook}}
	plan.Settings.Health = upgrade.Health{Checks: []upgrade.Check{{Name: "api"}}, Timeout: upgrade.Duration(time.Hour)}
	plan.Settings.Windows = daily("00:00", 24*time.Hour)
	b := newBench(t, plan)
	b.queue = "site-b"
	b.OnActivity(act.NextWindow, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.WindowInput) (upgrade.Turn, error) {
		return upgrade.Turn{Opening: upgrade.Opening{From: in.After, To: in.After.Add(24 * time.Hour)}}, nil
	})
	b.fail["drainNode w1"] = []error{temporal.NewNonRetryableApplicationError("drain w1: blocked by a budget", string(fault.DrainBlocked), nil)}
	ran := queues{}
	b.SetOnActivityStartedListener(ran.note)
	b.RegisterDelayedCallback(func() { // a handler that plans, and one after which people are notified
		b.UpdateWorkflow(UpdateRetarget, "retarget", &answer{t: t}, Retarget{Decision: Decision{Reason: "a fix came out"}, TargetVersion: "v1.37.9"})
		b.UpdateWorkflow(UpdatePause, "pause", &answer{t: t}, Pause{Decision: Decision{Reason: "freeze"}})
		b.UpdateWorkflow(UpdateResume, "resume", &answer{t: t}, Decision{})
		require.NoError(t, b.UpdateWorkflowByID(NodeUpgradeID("lab", "w1"), UpdateRetry, "retry", &answer{t: t}, Decision{}))
	}, 5*time.Hour)
	_, err := b.run()
	require.NoError(t, err)
	for _, name := range []string{"MakePlan", "NextWindow", "CheckHealth", "Notify", "RunHook", "ForgetHook", "PrepareNode", "AcquireLock", "KeepLock", "ReleaseLock", "DrainNode", "BackUpControlPlane"} {
		require.NotEmpty(t, ran[name], "%s ran", name)
	}
	ran.requireBeside(t, "LocateCluster")
}

func TestLooksRunBesideTheCluster(t *testing.T) {
	for name, tc := range map[string]struct {
		workflow, in any
		central      []string
	}{
		"plan":      {ClusterPlan, ScheduledUpgradeInput{ClusterUpgradeInput: ClusterUpgradeInput{Cluster: "lab", TargetVersion: to.String()}}, []string{"LocateCluster"}},
		"inventory": {ClusterInventory, ClusterInventoryInput{Cluster: "lab"}, []string{"LocateCluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, planOf(1, 1, 1))
			b.queue = "site-b"
			b.OnActivity(act.Observe, mock.Anything, mock.Anything).Return(inventory.Packed{}, nil)
			ran := queues{}
			b.SetOnActivityStartedListener(ran.note)
			b.RegisterWorkflow(tc.workflow)
			b.ExecuteWorkflow(tc.workflow, tc.in)
			require.NoError(t, b.GetWorkflowError())
			ran.requireBeside(t, tc.central...)
		})
	}
	t.Run("schedule", func(t *testing.T) {
		d := newDue(t, planOf(1, 1, 1))
		d.queue = "site-b"
		ran := queues{}
		d.SetOnActivityStartedListener(ran.note)
		d.ExecuteWorkflow(ScheduledUpgradeName, ScheduledUpgradeInput{ClusterUpgradeInput: ClusterUpgradeInput{Cluster: "lab", TargetVersion: to.String()}})
		require.NoError(t, d.GetWorkflowError())
		ran.requireBeside(t, "LocateCluster", "FindUpgrade")
	})
}

// TestUnknownClusterIsRefusedAtOnce: the workflow's own workers say so; no site is asked.
func TestUnknownClusterIsRefusedAtOnce(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.OnActivity(act.LocateCluster, mock.Anything, activities.ObserveInput{Cluster: "ghost"}).Return(activities.Location{},
		temporal.NewNonRetryableApplicationError("find cluster ghost: the worker has no ghost.yaml", string(fault.NotFound), nil))
	b.input.Cluster = "ghost"
	_, err := b.run()
	require.ErrorContains(t, err, "find cluster ghost: the worker has no ghost.yaml")
	require.Empty(t, b.log)
}

// TestOldUpgradesKeepTheirQueue: an upgrade that began before there were queues of sites goes on as it began.
func TestOldUpgradesKeepTheirQueue(t *testing.T) {
	b := newBench(t, planOf(1, 1, 1))
	b.queue = "site-b"
	b.OnGetVersion("task-queue", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	for newest := range workflow.Version(2) {
		b.OnGetVersion(mock.Anything, workflow.DefaultVersion, newest+1).Return(newest + 1)
	}
	ran := queues{}
	b.SetOnActivityStartedListener(ran.note)
	_, err := b.run()
	require.NoError(t, err)
	require.Empty(t, ran["LocateCluster"])
	for name, on := range ran {
		require.NotContains(t, on, "site-b", name)
	}
}
