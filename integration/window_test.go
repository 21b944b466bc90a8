package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestWindows: an upgrade whose maintenance windows are seconds long takes exactly those that its plan foretold, nothing of
// it begins outside them, and server and worker are killed between two. Before, some workers are upgraded without windows,
// so that it is known how long one takes.
func TestWindows(t *testing.T) {
	t.Parallel()
	s := newStageAlone(t, "windows", bed.Options{ControlPlanes: 1, Workers: 6, Version: v136, Offered: []upgrade.Version{v137}}, "workers: {maxUnavailable: 2}\n")
	for _, worker := range []string{"w1", "w2", "w3", "w4", "w5", "w6"} {
		s.scenario(worker + " start slow 32")
	}
	s.start()
	require.Eventually(t, func() bool { return s.status().Hop == 1 }, time.Minute, 100*time.Millisecond)
	s.say("it will pause after w1", "pause", "windows", "--after", "w1")
	s.is(upgrade.Paused)
	s.say("stopping", "abort", "windows", "--reason", "the rest by windows")
	s.watch(1)
	var left []upgrade.NodePlan // three or four: as w1 or w2 was done first
	require.Eventually(t, func() bool {
		plan := s.plan()
		left = plan.Hops[0].Workers
		return len(plan.Measured) > 0
	}, 30*time.Second, time.Second, "Temporal lists what has ended after a while")

	// Two side by side fit into a window, and not two after them. Before the second there is time to kill pawl.
	length := (left[0].Estimate.Std() * 7 / 4).Round(time.Second)
	first := time.Now().UTC().Add(10 * time.Second).Truncate(time.Second)
	second := first.Add(length + 15*time.Second)
	s.define(fmt.Sprintf("windows: {timeZone: UTC, open: [%s, %s]}\n", opening(first, length), opening(second, length)))
	plan := s.plan()
	require.Len(t, plan.Windows, 2, "%v", plan.Findings)
	require.True(t, plan.Windows[0].From.Equal(first))
	require.True(t, plan.Windows[1].From.Equal(second))
	require.Equal(t, []string{left[0].Node, left[1].Node}, plan.Windows[0].Nodes)
	require.Len(t, plan.Windows[1].Nodes, len(left)-2)

	s.start()
	s.is(upgrade.Waiting)
	require.Eventually(t, func() bool {
		status := s.status()
		return status.State == upgrade.Waiting && nodeOf(t, status, left[1].Node).State == upgrade.Done
	}, time.Minute, 100*time.Millisecond)
	s.killed()
	status := s.status()
	require.Equal(t, upgrade.Waiting, status.State, "it is still there")
	require.Equal(t, left[2].Node, status.Waits[0].At)
	require.True(t, status.Waits[0].Until.Equal(second))
	require.Less(t, time.Now(), second, "pawl was killed, and is there again, before the second window opens")
	s.watch(0)
	s.requireUpgraded()

	report := s.report()
	require.Len(t, report.WindowWaits, 2)
	for _, w := range plan.Windows {
		for _, name := range w.Nodes {
			begun := nodeOf(t, report.Status, name).Steps[0].Started
			require.True(t, w.Fits(begun, 0), "%s began at %s, foretold was %s", name, begun, w)
		}
	}
	s.record("windows", "")
}

// TestWindowOpenedByAPerson: an upgrade waits for a window in three days; a person opens one now.
func TestWindowOpenedByAPerson(t *testing.T) {
	t.Parallel()
	day := time.Now().UTC().AddDate(0, 0, 3)
	s := newStage(t, "opened", bed.Options{ControlPlanes: 1, Workers: 3, Version: v136, Offered: []upgrade.Version{v137}},
		fmt.Sprintf("windows: {timeZone: UTC, open: [{days: [%s], start: \"22:00\", duration: 6h}]}\n", strings.ToLower(day.Format("Mon"))))
	s.refused("no upgrade of opened is running", "open-window", "opened", "--reason", "now")
	s.start()
	s.is(upgrade.Waiting)
	s.refused("why? Give a reason", "open-window", "opened")
	s.refused("1m0s are too short: what is to begin is expected to take 3m1s", "open-window", "opened", "--for", "1m", "--reason", "now")
	require.Zero(t, s.begun("cp1", "install -d -m 700"), "there is no backup yet")
	out, code := s.pawl("status", "opened")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, `pawl open-window opened --reason "..."`)
	s.say("a maintenance window is open for 6h0m0s", "open-window", "opened", "--reason", "the customer agrees")
	s.watch(0)
	s.requireUpgraded()
	out, code = s.pawl("report", "opened")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "NO WINDOW FOR")
	require.Contains(t, out, "the customer agrees")
	s.record("window-opened", "")
}

// opening is a window of the definition that opens once a day.
func opening(from time.Time, length time.Duration) string {
	return fmt.Sprintf("{start: %q, duration: %s}", from.Format(time.TimeOnly), length)
}

// define adds lines to the cluster's definition.
func (s *stage) define(lines string) {
	s.t.Helper()
	file := filepath.Join(s.dev.clusters(), s.name+".yaml")
	text, err := os.ReadFile(file)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(file+".new", append(text, lines...), 0o600))
	require.NoError(s.t, os.Rename(file+".new", file))
}

// plan is what `pawl plan -o json` says.
func (s *stage) plan() (p upgrade.Plan) {
	s.t.Helper()
	out, code := s.pawl(append(s.wanted("plan"), "-o", "json")...)
	require.Equal(s.t, 0, code, out)
	require.NoError(s.t, json.Unmarshal([]byte(out), &p), out)
	return p
}
