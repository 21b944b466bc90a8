package activities

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestDrainTellsWhatItWaitedFor(t *testing.T) {
	blocked := []upgrade.BlockedPod{{Pod: "payments/api-2", Budget: "payments/api", Reason: "blocked"}}
	w := &world{passes: []upgrade.DrainPass{{Evicted: 1, Blocked: blocked}, {Blocked: blocked}, {}}, pause: 20 * time.Millisecond}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.DrainNode, NodeInput{Node: "w1", Settings: drainFor(time.Minute)})
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.Equal(t, 1, out.Attempt)
	require.Len(t, out.Waits, 1)
	require.Equal(t, "payments/api", out.Waits[0].Budget)
	require.Equal(t, []string{"payments/api-2"}, out.Waits[0].Pods)
	require.GreaterOrEqual(t, out.Waits[0].Waited.Std(), 40*time.Millisecond)
}

func TestDrainThatIsHeldTellsItToo(t *testing.T) {
	w := &world{passes: []upgrade.DrainPass{{Blocked: []upgrade.BlockedPod{{Pod: "payments/api-2", Budget: "payments/api", Reason: "blocked"}}}},
		pause: 20 * time.Millisecond}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.DrainNode, NodeInput{Node: "w1", Settings: drainFor(50 * time.Millisecond)})
	var out Outcome
	require.NoError(t, requireFault(t, err, fault.DrainBlocked).Details(&out))
	require.Equal(t, 1, out.Attempt)
	require.Equal(t, "payments/api", out.Waits[0].Budget)
}

func TestDowntimeOfTheNodesAPIServer(t *testing.T) {
	var asked atomic.Int32
	w := &world{watchers: []int{0}, probe: func(context.Context) error {
		if n := asked.Add(1); n == 2 || n == 3 {
			return errors.New("connection refused")
		}
		return nil
	}}
	notYet := errors.New("not yet") // each look is as long apart as two probes
	w.errs = map[string][]error{"ControlPlaneSettled": {notYet, notYet, notYet}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.VerifyControlPlane, NodeInput{Node: "cp1", Role: upgrade.FirstControlPlane})
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.NotNil(t, out.APIServer)
	require.Len(t, out.APIServer.Stretches, 1)
	require.InDelta(t, 2*probeEvery.Seconds(), out.APIServer.Down.Std().Seconds(), probeEvery.Seconds())
	require.False(t, out.APIServer.AtLeast)
}

func TestWhatWasNotMeasuredIsNotZero(t *testing.T) {
	for name, probe := range map[string]func(context.Context) error{
		"the address is not known":    nil,
		"it never answered the probe": func(context.Context) error { return errors.New("no route to host") },
	} {
		t.Run(name, func(t *testing.T) {
			env, a := environment(t, &world{watchers: []int{0}, probe: probe})
			value, err := env.ExecuteActivity(a.VerifyControlPlane, NodeInput{Node: "cp1", Role: upgrade.FirstControlPlane})
			require.NoError(t, err, "the step is not disturbed")
			var out Outcome
			require.NoError(t, value.Get(&out))
			require.Nil(t, out.APIServer)
		})
	}
}

func TestProbeThatHangsDoesNotDelayTheStep(t *testing.T) {
	env, a := environment(t, &world{watchers: []int{0}, probe: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	began := time.Now()
	_, err := env.ExecuteActivity(a.VerifyControlPlane, NodeInput{Node: "cp1", Role: upgrade.FirstControlPlane})
	require.NoError(t, err)
	require.Less(t, time.Since(began), time.Second)
}

func TestWorkerHasNoAPIServerToProbe(t *testing.T) {
	env, a := environment(t, &world{probe: func(context.Context) error {
		t.Error("probed")
		return nil
	}})
	_, err := env.ExecuteActivity(a.VerifyNode, NodeInput{Node: "w1", Role: upgrade.Worker})
	require.NoError(t, err)
}
