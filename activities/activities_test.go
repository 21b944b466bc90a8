package activities

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestDrainGoesOnUntilTheNodeIsEmpty(t *testing.T) {
	w := &world{passes: []upgrade.DrainPass{
		{Evicted: 2, Blocked: []upgrade.BlockedPod{{Pod: "default/web-1", Reason: "blocked"}}},
		{Terminating: 2, Blocked: []upgrade.BlockedPod{{Pod: "default/web-1", Reason: "blocked"}}},
		{Evicted: 1}, {Terminating: 1}, {},
	}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.DrainNode, NodeInput{Node: "w1", Settings: drainFor(time.Minute)})
	require.NoError(t, err)
	require.Equal(t, []string{"KubeletAt", "Cordon", "Evict", "AwaitEviction", "Evict", "AwaitEviction", "Evict", "AwaitEviction", "Evict", "AwaitEviction", "Evict"}, w.calls)
}

func TestDrainThatIsBlockedNamesPodAndBudget(t *testing.T) {
	w := &world{passes: []upgrade.DrainPass{{Terminating: 1, Blocked: []upgrade.BlockedPod{
		{Pod: "payments/api-2", Reason: "blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)"}}}}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.DrainNode, NodeInput{Node: "w1", Settings: drainFor(-time.Second)})
	failed := requireFault(t, err, fault.DrainBlocked)
	require.True(t, failed.NonRetryable(), "a person decides")
	require.Equal(t, "drain w1: not empty after -1s: payments/api-2 blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3), "+
		"1 pods are still terminating; make room for the pods or relax the budget, then retry", failed.Message())
}

// TestWhatAnotherHistoryHasDone: of a node whose kubelet was moved already nothing is done again, unless the node goes.
func TestWhatAnotherHistoryHasDone(t *testing.T) {
	w := &world{configured: v137, kubelets: map[string]upgrade.Version{"w1": v137}, passes: []upgrade.DrainPass{{}}}
	env, a := environment(t, w)
	in := NodeInput{Node: "w1", Role: upgrade.Worker, Version: v137}
	for _, step := range []any{a.UpgradeNodeConfig, a.DrainNode, a.StopPods} {
		_, err := env.ExecuteActivity(step, in)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"KubeletAt", "KubeletAt", "KubeletAt"}, w.calls)

	for _, other := range []NodeInput{
		{Node: "w2", Role: upgrade.Worker, Version: v137}, // its kubelet is not there yet
		{Node: "w1", Role: upgrade.Worker, Version: v137, Successor: &SuccessorInput{}},
		{Node: "w1", Role: upgrade.Worker, Version: v137, Settings: upgrade.Settings{Provider: upgrade.ProviderBinaries}},
	} {
		w.calls = nil
		_, err := env.ExecuteActivity(a.DrainNode, other)
		require.NoError(t, err)
		require.Subset(t, w.calls, []string{"Cordon", "Evict"})
	}
}

func drainFor(d time.Duration) upgrade.Settings {
	return upgrade.Settings{Drain: upgrade.Drain{Timeout: upgrade.Duration(d)}}
}

func TestVerifyNodeWaitsForEveryCondition(t *testing.T) {
	notYet := func(n int) []error {
		var errs []error
		for range n {
			errs = append(errs, fault.New(fault.VerificationFailed, "node", "cp1", "not yet", ""))
		}
		return errs
	}
	w := &world{errs: map[string][]error{
		"KubeletHealthy": notYet(1), "ControlPlaneSettled": notYet(2), "ControlPlaneHealth": {fault.New(fault.Unreachable, "ask", "cp1", "refused", "")}, "NodeReady": notYet(1),
	}}
	env, a := environment(t, w)
	w.watchers = []int{0, 5, 7}
	_, err := env.ExecuteActivity(a.VerifyNode, NodeInput{Node: "cp1", Role: upgrade.FirstControlPlane, EndpointWatchers: 7})
	require.NoError(t, err)
	require.Equal(t, []string{"KubeletHealthy", "ControlPlaneSettled", "ControlPlaneHealth", "NodeReady", "EndpointWatchers"}, w.calls[len(w.calls)-5:])
	require.Len(t, w.watchers, 1, "everybody who watched endpoints watches them again")
	require.Empty(t, w.errs["KubeletHealthy"])
	require.Empty(t, w.errs["NodeReady"])
}

func TestWorkerHasNoControlPlaneToVerify(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.VerifyNode, NodeInput{Node: "w1", Role: upgrade.Worker})
	require.NoError(t, err)
	require.Equal(t, []string{"KubeletHealthy", "NodeReady"}, w.calls)
}

func TestVerificationGivesUpWithTheLastReason(t *testing.T) {
	notYet := fault.New(fault.VerificationFailed, "node", "w1", "kubelet reports v1.36.3", "")
	w := &world{errs: map[string][]error{"NodeReady": {notYet, notYet}}}
	env, a := environment(t, w)
	short := upgrade.Settings{Verify: upgrade.Verify{Timeout: upgrade.Duration(time.Nanosecond)}}
	_, err := env.ExecuteActivity(a.VerifyNode, NodeInput{Node: "w1", Role: upgrade.Worker, Settings: short})
	require.Equal(t, "verify w1: node w1: kubelet reports v1.36.3; put it right, then retry", requireFault(t, err, fault.VerificationFailed).Message())
	require.Equal(t, []string{"KubeletHealthy", "NodeReady"}, w.calls)
}

func TestKubeadmsWordIsNotEnough(t *testing.T) {
	w := &world{manifests: map[string]upgrade.Version{upgrade.APIServer: v137, upgrade.ControllerManager: v136, upgrade.Scheduler: v137}}
	env, a := environment(t, w)
	in := NodeInput{Node: "cp1", Role: upgrade.FirstControlPlane, Version: v137}
	_, err := env.ExecuteActivity(a.UpgradeControlPlane, in)
	require.Contains(t, requireFault(t, err, fault.VerificationFailed).Message(), "kube-controller-manager is at \"v1.36.3\"")
	w.manifests[upgrade.ControllerManager] = v137
	_, err = env.ExecuteActivity(a.UpgradeControlPlane, in)
	require.NoError(t, err)
}

func TestUpgradeNodeWaitsForTheClustersConfiguration(t *testing.T) {
	w := &world{configured: v136}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.UpgradeNodeConfig, NodeInput{Node: "w1", Role: upgrade.Worker, Version: v137})
	require.Contains(t, requireFault(t, err, fault.VerificationFailed).Message(), "the cluster is configured for v1.36.3, wanted v1.37.2")
	require.NotContains(t, w.calls, "KubeadmUpgradeNode", "it would have gone to the wrong version")
	w.configured = v137
	_, err = env.ExecuteActivity(a.UpgradeNodeConfig, NodeInput{Node: "w1", Role: upgrade.Worker, Version: v137})
	require.NoError(t, err)
	require.Contains(t, w.calls, "KubeadmUpgradeNode")
}

func TestPlanNamesEveryHostThatCannotBeLookedAt(t *testing.T) {
	node := func(name string, controlPlane bool) upgrade.Node {
		return upgrade.Node{Name: name, ControlPlane: controlPlane, Kubelet: v136, Ready: true}
	}
	ok := upgrade.Host{PackageManager: "apt", Kubeadm: v136, Available: []upgrade.Version{v137}, FreeBytes: 1 << 40}
	w := &world{
		seen:  upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{node("cp1", true), node("w1", false), node("w2", false)}},
		hosts: map[string]upgrade.Host{"cp1": ok},
		errs: map[string][]error{
			"Observe w1": {fault.New(fault.Unreachable, "connect to", "root@w1", "connection refused", "")},
			"Observe w2": {fault.New(fault.Unauthorized, "connect to", "root@w2", "the host key has changed", "")},
		},
	}
	env, a := environment(t, w)
	v, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: "v1.37.2"})
	require.NoError(t, err)
	var p upgrade.Plan
	require.NoError(t, v.Get(&p))
	require.Equal(t, "w1: connect to root@w1: connection refused", p.Errors()[0].String())
	require.Equal(t, "w2: connect to root@w2: the host key has changed", p.Errors()[1].String())
	require.Len(t, p.Errors(), 2)
}

func TestPlanLooksIntoTheRepositoriesOfEveryMinorOnTheWay(t *testing.T) {
	seen := upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{{Name: "cp1", ControlPlane: true, Kubelet: v136}}}
	for target, want := range map[string][]string{"v1.38.1": {"v1.37.0", "v1.38.1"}, "v1.37.2": {"v1.37.2"}, "v1.35.0": nil} {
		w := &world{seen: seen}
		env, a := environment(t, w)
		_, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: target})
		require.NoError(t, err)
		var minors []string
		for _, v := range w.minors {
			minors = append(minors, v.String())
		}
		require.Equal(t, want, minors, target)
	}
}

func TestPlanLooksForWhatAWorkerLeftBehindNeeds(t *testing.T) {
	v135 := upgrade.MustVersion("v1.35.4")
	w := &world{
		seen: upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{
			{Name: "cp1", ControlPlane: true, Kubelet: v136}, {Name: "w1", Kubelet: v135}, {Name: "w2", Kubelet: v136}}},
		hosts: map[string]upgrade.Host{"cp1": {Kubeadm: v136}, "w1": {Kubeadm: v135}, "w2": {Kubeadm: v136}},
	}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: "v1.37.2"})
	require.NoError(t, err)
	looked := map[string]int{}
	for _, call := range w.calls {
		looked[call]++
	}
	require.Equal(t, map[string]int{"Settings": 1, "Observe": 1, "Workloads": 1, "Measured": 1, "Observe cp1": 1, "Observe w1": 2, "Observe w2": 1}, looked)
}

func TestInventoryLooksIntoEveryRepository(t *testing.T) {
	w := &world{seen: upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{{Name: "cp1", ControlPlane: true, Kubelet: v136}}}}
	env, a := environment(t, w)
	v, err := env.ExecuteActivity(a.Observe, ObserveInput{Cluster: "lab"})
	require.NoError(t, err)
	var seen inventory.Packed
	require.NoError(t, v.Get(&seen))
	require.Equal(t, "lab", seen.Cluster.Name)
	require.False(t, seen.Made.IsZero())
	require.Equal(t, []string{"Settings", "Observe", "Workloads", "Measured", "Observe cp1", "Observe cp1"}, w.calls, "the minors to come, and the one that it is at")
	require.Equal(t, []upgrade.Version{v136}, w.minors, "at last")
}

func TestWhereTheKubeletStaysKubectlComesAlong(t *testing.T) {
	for keeps, want := range map[bool][]string{false: {"kubeadm"}, true: {"kubeadm", "kubectl"}} {
		w := &world{}
		env, a := environment(t, w)
		_, err := env.ExecuteActivity(a.InstallKubeadm, NodeInput{Cluster: "lab", Node: "w1", Version: v137, KeepsKubelet: keeps})
		require.NoError(t, err)
		require.Equal(t, want, w.installed)
	}
}

func TestPlanGoesThroughWhatIsPinned(t *testing.T) {
	env, a := environment(t, &world{})
	_, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: "v1.38.0", Through: []string{"v1.37"}})
	require.Equal(t, `plan lab: "v1.37" is not a Kubernetes version, wanted one like v1.37.2`, requireFault(t, err, fault.InvalidInput).Message())

	env, a = environment(t, &world{seen: upgrade.Cluster{Version: v136}})
	v, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: "v1.38.0", Through: []string{"v1.36.3"}})
	require.NoError(t, err)
	var p upgrade.Plan
	require.NoError(t, v.Get(&p))
	require.Contains(t, p.Errors()[0].Message, "v1.36.3 cannot be a stop on it")
}

func TestPlanOfABadVersionLooksAtNothing(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: "newest"})
	failed := requireFault(t, err, fault.InvalidInput)
	require.Equal(t, `plan lab: "newest" is not a Kubernetes version, wanted one like v1.37.2`, failed.Message())
	require.Empty(t, w.calls)
}

func TestWhatIsTriedAgain(t *testing.T) {
	for kind, again := range map[fault.Kind]bool{
		fault.InvalidInput: false, fault.NotFound: false, fault.SkewViolation: false, fault.PreflightFailed: false,
		fault.VerificationFailed: false, fault.DrainBlocked: false,
		fault.Unreachable: true, fault.Conflict: true, fault.OutcomeUnknown: true,
		fault.CommandFailed: true, fault.Unauthorized: true, fault.Unexpected: true, // the first few times
	} {
		w := &world{errs: map[string][]error{"Cordon": {fault.New(kind, "cordon", "w1", "no", "")}}}
		env, a := environment(t, w)
		_, err := env.ExecuteActivity(a.DrainNode, NodeInput{Node: "w1"})
		require.Equal(t, again, !requireFault(t, err, kind).NonRetryable(), kind)
	}
}

func TestUnclassifiedErrorIsUnexpected(t *testing.T) {
	w := &world{errs: map[string][]error{"Cordon": {errors.New("boom")}}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.DrainNode, NodeInput{Node: "w1"})
	require.Equal(t, "boom", requireFault(t, err, fault.Unexpected).Message())
}

func requireFault(t *testing.T, err error, kind fault.Kind) *temporal.ApplicationError {
	t.Helper()
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, string(kind), failed.Type())
	return failed
}
