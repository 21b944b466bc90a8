package cli

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/workflows"
)

// TestReportOfARun lets pawl's own workflows run over activities that only pretend, in a namespace of their own: one is
// refused twice, and one is held until a person says retry.
func TestReportOfARun(t *testing.T) {
	s := sharedServer(t)
	t.Setenv("TEMPORAL_NAMESPACE", "real")
	c, err := client.Dial(client.Options{HostPort: s.address, Namespace: "real",
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := pretendingWorker(c)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	expect(t, exit.Done, "started", "", "start", "lab", "--to", "v1.37.2")
	var out string
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(out, "pawl retry lab w1"); time.Sleep(50 * time.Millisecond) {
		if _, out, _ = pawl("status", "lab"); time.Now().After(deadline) {
			t.Fatalf("w1 is not held:\n%s", out)
		}
	}
	expect(t, exit.Done, "drain w1: a budget keeps a pod", "", "report", "lab")
	expect(t, exit.Done, "trying again", "", "retry", "lab", "w1", "--reason", "budget relaxed")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.GetWorkflow(ctx, workflows.ClusterUpgradeID("lab"), "").Get(ctx, nil); err != nil {
		t.Fatal(err)
	}

	_, out, _ = pawl("report", "lab", "-o", "json")
	var r report.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Retries) != 1 || r.Retries[0].Node != "cp1" || r.Retries[0].Attempts != 3 ||
		!slices.Equal(r.Retries[0].Why, []string{"restart cp1: the host does not answer"}) {
		t.Errorf("retries: %+v", r.Retries)
	}
	if len(r.Holds) != 1 || r.Holds[0].Release == nil || r.Holds[0].Release.Reason != "budget relaxed" || r.Holds[0].Took <= 0 {
		t.Errorf("holds: %+v", r.Holds)
	}
	if len(r.Actions) != 1 || r.Actions[0].Node != "w1" || r.Actions[0].By == "" {
		t.Errorf("actions: %+v", r.Actions)
	}
	if len(r.DrainWaits) != 1 || r.DrainWaits[0].Budget != "payments/api" {
		t.Errorf("what the drain that failed waited for: %+v", r.DrainWaits)
	}
	if r.Time.Overhead <= 0 || r.Time.Failed <= 0 || r.Time.Held <= 0 {
		t.Errorf("time: %+v", r.Time)
	}
}

// pretendingWorker has pawl's own workflows, and activities of their names that touch nothing.
func pretendingWorker(c client.Client) worker.Worker {
	w := worker.New(c, workflows.TaskQueue, worker.Options{
		WorkerStopTimeout: time.Second, Interceptors: []interceptor.WorkerInterceptor{activities.NewInterceptor(nil)},
	})
	w.RegisterWorkflowWithOptions(workflows.ClusterUpgrade, workflow.RegisterOptions{Name: workflows.ClusterUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.ClusterPlan, workflow.RegisterOptions{Name: workflows.ClusterPlanName})
	w.RegisterWorkflowWithOptions(workflows.NodeUpgrade, workflow.RegisterOptions{Name: workflows.NodeUpgradeName})
	register := func(name string, do any) { w.RegisterActivityWithOptions(do, activity.RegisterOptions{Name: name}) }
	register("MakePlan", func(_ context.Context, in activities.PlanInput) (upgrade.Plan, error) {
		return standInPlan(nil, workflows.ScheduledUpgradeInput{ClusterUpgradeInput: workflows.ClusterUpgradeInput{Cluster: in.Cluster, TargetVersion: in.Target}})
	})
	register("LocateCluster", func(context.Context, activities.ObserveInput) (activities.Location, error) {
		return activities.Location{}, nil
	})
	register("ShowHold", func(context.Context, activities.HoldInput) error { return nil })
	for _, name := range strings.Fields("CheckControlPlane VerifyCluster") {
		register(name, func(context.Context, activities.ClusterInput) (activities.Outcome, error) {
			return activities.Outcome{}, nil
		})
	}
	for _, name := range strings.Fields("AcquireLock KeepLock ReleaseLock") {
		register(name, func(context.Context, activities.LockInput) (activities.Outcome, error) {
			return activities.Outcome{}, nil
		})
	}
	register("LookAtSpread", func(context.Context, activities.PoolInput) (activities.Outcome, error) {
		return activities.Outcome{}, nil
	})
	register("BackUpControlPlane", func(context.Context, activities.BackUpInput) (activities.Outcome, error) {
		return activities.Outcome{Note: "/var/lib/pawl/backups/lab"}, nil
	})
	for _, name := range strings.Fields("PrepareNode InstallKubeadm UpgradeControlPlane VerifyControlPlane UpgradeNodeConfig InstallKubelet VerifyNode UncordonNode") {
		register(name, func(context.Context, activities.NodeInput) (activities.Outcome, error) {
			return activities.Outcome{}, nil
		})
	}
	register("RestartKubelet", func(ctx context.Context, in activities.NodeInput) (activities.Outcome, error) {
		if in.Node == "cp1" && activity.GetInfo(ctx).Attempt < 3 {
			return activities.Outcome{}, fault.New(fault.Unreachable, "restart", in.Node, "the host does not answer", "")
		}
		return activities.Outcome{}, nil
	})
	drained := map[string]bool{}
	register("DrainNode", func(_ context.Context, in activities.NodeInput) (activities.Outcome, error) {
		if in.Node == "w1" && !drained[in.Node] {
			drained[in.Node] = true
			return activities.Outcome{Waits: []upgrade.DrainWait{{Budget: "payments/api", Reason: "blocked", Waited: upgrade.Duration(time.Second)}}},
				fault.New(fault.DrainBlocked, "drain", in.Node, "a budget keeps a pod", "")
		}
		return activities.Outcome{}, nil
	})
	return w
}
