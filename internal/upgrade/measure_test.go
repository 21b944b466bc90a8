package upgrade

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeasure(t *testing.T) {
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	done := func(step Step, wall, worked time.Duration, holds ...Hold) StepStatus {
		return StepStatus{Step: step, State: Done, Started: began, Ended: began.Add(wall), Worked: Duration(worked), Holds: holds}
	}
	run := func(nodes ...NodeStatus) Status { return Status{Nodes: nodes} }
	first := run(
		NodeStatus{Role: FirstControlPlane, Steps: []StepStatus{done(UpgradeControlPlane, 4*time.Minute, 3*time.Minute), done(DrainNode, time.Minute, 0)}},
		NodeStatus{Role: Worker, Steps: []StepStatus{done(DrainNode, time.Hour, 20*time.Second, Hold{}), {Step: VerifyNode, State: Failed, Started: began, Ended: began.Add(time.Hour)}}},
	)
	second := run(
		NodeStatus{Role: AdditionalControlPlane, Steps: []StepStatus{done(UpgradeControlPlane, time.Minute, time.Minute)}},
		NodeStatus{Role: Worker, Steps: []StepStatus{done(DrainNode, 40*time.Second, 0), done(InstallKubelet, time.Hour, 0, Hold{})}},
	)
	require.Equal(t, Measured{
		{true, DrainNode, Duration(time.Minute), 1},
		{true, UpgradeControlPlane, Duration(2 * time.Minute), 2},
		{false, DrainNode, Duration(30 * time.Second), 2},
	}, Measure(first, second), "what was held or failed does not count")
	require.Empty(t, Measure())
}

func TestEstimateFromEarlierRuns(t *testing.T) {
	c := healthy(1, 3)
	typically := MakePlan(c, Wanted{Target: v137}, settings())
	worker := typically.Hops[0].Workers[0]
	require.Equal(t, typically.Estimate, typically.Hops[0].ControlPlane[0].Estimate+3*worker.Estimate)

	c.Measured = Measured{{Step: DrainNode, Mean: Duration(10 * time.Minute), Count: 3}}
	p := MakePlan(c, Wanted{Target: v137}, settings())
	longer := Duration(10*time.Minute) - Duration(typical[DrainNode])*Duration(time.Second)
	require.Equal(t, worker.Estimate+longer, p.Hops[0].Workers[0].Estimate)
	require.Equal(t, typically.Estimate+3*longer, p.Estimate)
	require.Equal(t, p.Estimate.Std(), p.NewStatus().Remaining(time.Time{}), "and the run goes on with it")
}

func TestSlidingWindow(t *testing.T) {
	for _, c := range []struct {
		each   []time.Duration
		atOnce int
		want   time.Duration
	}{
		{nil, 3, 0},
		{[]time.Duration{2, 3, 4}, 1, 9},
		{[]time.Duration{9, 1, 1, 1, 1}, 2, 9}, // a slow one holds nobody up
		{[]time.Duration{1, 1, 1, 9}, 2, 10},
		{[]time.Duration{2, 3, 4}, 20, 4},
	} {
		require.Equal(t, c.want, slidingWindow(c.each, c.atOnce), "%v, %d at once", c.each, c.atOnce)
	}
}
