package integration

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// scheduled is what `pawl schedule describe -o json` says, as far as it matters here.
type scheduled struct {
	Paused     bool `json:"paused"`
	Overlapped int  `json:"overlapped"`
	Runs       []struct {
		Workflow string `json:"workflow"`
		Run      string `json:"run"`
		State    string `json:"state"`
		Outcome  string `json:"outcome"`
		Message  string `json:"message"`
	} `json:"runs"`
}

func (s *stage) schedule(name string) (d scheduled) {
	s.t.Helper()
	out, code := s.pawl("schedule", "describe", name, "-o", "json")
	require.Equal(s.t, 0, code, out)
	require.NoError(s.t, json.Unmarshal([]byte(out), &d), out)
	return d
}

// awaitOutcome waits for a run of the schedule with that outcome, and returns what it says.
func (s *stage) awaitOutcome(name, outcome string) string {
	s.t.Helper()
	message := ""
	require.Eventually(s.t, func() bool {
		for _, r := range s.schedule(name).Runs {
			require.NotEqual(s.t, "failed", r.State, r.Message)
			if r.Outcome == outcome {
				message = r.Message
				s.recordRun("scheduled-"+outcome, r.Workflow, r.Run)
				return true
			}
		}
		return false
	}, 2*time.Minute, 200*time.Millisecond, "%s: no run is %s", name, outcome)
	return message
}

// TestScheduleKeepsTheNewestPatch: a schedule that fires every few seconds brings a cluster to the newest patch of its
// minor, once; whatever else fires meanwhile is skipped.
func TestScheduleKeepsTheNewestPatch(t *testing.T) {
	t.Parallel()
	older, v1370 := upgrade.MustVersion("v1.37.1"), upgrade.MustVersion("v1.37.0")
	s := newStage(t, "patches", bed.Options{ControlPlanes: 1, Workers: 2, Version: older, Offered: []upgrade.Version{v1370, v137}}, "")
	ctx := t.Context()

	out, code := s.pawl("plan", "patches", "--policy", "newest-minor")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "newest-minor: the newest minor that all nodes are offered is v1.37; v1.37.2 is the newest release of v1.37 that all nodes are offered")

	require.NoError(t, s.BlockBudget(ctx, "shop/web", true)) // so that the upgrade is under way for as long as is wanted
	out, code = s.pawl("schedule", "create", "patches", "--policy", "newest-patch", "--cron", "*/4 * * * * * *")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "It would do today: patches: v1.37.1 -> v1.37.2, 1 hop, 3 nodes, 3 drains")
	require.Eventually(t, func() bool {
		_, code := s.pawl("status", "patches")
		return code == 0
	}, time.Minute, 100*time.Millisecond)

	out, code = s.pawl("schedule", "create", "patches", "--name", "rival", "--to", to, "--at", "22:00", "--paused", "--no-check")
	require.Equal(t, 0, code, out)
	out, code = s.pawl("schedule", "trigger", "rival")
	require.Equal(t, 0, code, out)
	require.Equal(t, "skipped: an upgrade to v1.37.2 is running", s.awaitOutcome("rival", "skipped"))
	out, code = s.pawl("schedule", "trigger", "patches")
	require.Equal(t, 11, code, out)
	require.Eventually(t, func() bool { return s.schedule("patches").Overlapped > 0 }, 20*time.Second, 200*time.Millisecond, "its own next time is passed over")

	require.NoError(t, s.BlockBudget(ctx, "shop/web", false))
	require.Regexp(t, `^patches was upgraded from v1\.37\.1 to v1\.37\.2 in \d+`, s.awaitOutcome("patches", "upgraded"))
	s.requireUpgraded()
	require.Equal(t, "nothing to do: patches is at v1.37.2 already; newest-patch: v1.37.2 is the newest release of v1.37 that all nodes are offered",
		s.awaitOutcome("patches", "nothingToDo"))
	require.Equal(t, 1, s.begun("cp1", "kubeadm upgrade apply"), "and nothing is begun")

	out, code = s.pawl("schedule", "pause", "patches", "--reason", "enough")
	require.Equal(t, 0, code, out)
	awaitEnd := func() string {
		var last string
		require.Eventually(t, func() bool {
			d := s.schedule("patches")
			last = d.Runs[0].Run
			return d.Runs[0].State == "completed"
		}, 20*time.Second, 200*time.Millisecond)
		return last
	}
	last := awaitEnd()
	time.Sleep(9 * time.Second) // two of its times
	require.Equal(t, last, s.schedule("patches").Runs[0].Run, "a paused schedule starts nothing")
	out, code = s.pawl("schedule", "trigger", "patches")
	require.Equal(t, 0, code, out)
	require.NotEqual(t, last, awaitEnd(), "unless it is told to")

	for _, name := range []string{"patches", "rival"} {
		out, code = s.pawl("schedule", "delete", name)
		require.Equal(t, 0, code, out)
		out, code = s.pawl("schedule", "describe", name)
		require.Equal(t, 2, code, out)
	}
}
