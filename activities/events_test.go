package activities

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// shown notes events by their key.
type shown struct {
	mu   sync.Mutex
	text map[string]string
}

func (s *shown) Show(_ context.Context, cluster, node string, e upgrade.NodeEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text[e.Key] = fmt.Sprintf("%s/%s %s: %s", cluster, node, e.Reason, e.Message)
}

func TestStepsAreShownAtTheirNode(t *testing.T) {
	events := &shown{text: map[string]string{}}
	w := &world{watchers: []int{0}, passes: []upgrade.DrainPass{{Blocked: []upgrade.BlockedPod{{Pod: "a/b", Reason: "blocked"}}}, {}}, errs: map[string][]error{
		"Cordon": {fault.New(fault.Unreachable, "cordon", "w1", "refused", "")},
	}}
	env, a := environment(t, w)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{NewInterceptor(events)}})
	in := NodeInput{Cluster: "prod", Node: "w1", Version: v137, Settings: drainFor(time.Minute)}
	_, err := env.ExecuteActivity(a.DrainNode, in)
	require.Error(t, err, "it is not drained yet")
	require.Len(t, events.text, 1)
	_, err = env.ExecuteActivity(a.DrainNode, in)
	require.NoError(t, err)
	var all []string
	for _, text := range events.text {
		all = append(all, text)
	}
	require.ElementsMatch(t, []string{
		"prod/w1 Draining: cordoned, and pods are evicted, for the upgrade to v1.37.2",
		"prod/w1 Drained: no pod is left that has to go, for the upgrade to v1.37.2",
	}, all, "the second attempt tells of the same")
	_, err = env.ExecuteActivity(a.CheckControlPlane, ClusterInput{Cluster: "prod"})
	require.NoError(t, err)
	require.Len(t, events.text, 2, "that is about no node")
}

func TestAHoldIsShownAtItsNode(t *testing.T) {
	events := &shown{text: map[string]string{}}
	env, a := environment(t, &world{})
	a.Events = events
	_, err := env.ExecuteActivity(a.ShowHold, HoldInput{Cluster: "prod", Node: "w1", At: "Drain", Reason: "blocked by a budget"})
	require.NoError(t, err)
	for _, text := range events.text {
		require.Equal(t, "prod/w1 UpgradeHeld: Drain: blocked by a budget", text)
	}
	require.Len(t, events.text, 1)
}

func TestEveryStepThatIsShownIsAStep(t *testing.T) {
	for step, said := range saidOf {
		require.NotEqual(t, string(step), step.Title(), "%s is a step of a node", step)
		require.Equal(t, said.before == "", said.beforeText == "", step)
		require.Equal(t, said.after == "", said.afterText == "", step)
	}
}
