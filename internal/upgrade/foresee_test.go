package upgrade

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var v1380 = MustVersion("v1.38.0")

// inWindows plans a healthy cluster's upgrade by windows, on Wednesday at noon. A worker takes 10 minutes and 28 seconds, a control
// plane node 3 minutes and 1 second for its components and 44 seconds for its kubelet.
func inWindows(target Version, controlPlanes, workers, maxUnavailable int, w Windows, waive ...string) Plan {
	c := healthy(controlPlanes, workers)
	for i := range c.Nodes {
		c.Nodes[i].Host.Available = []Version{v137, v1380}
	}
	c.Measured = Measured{{Step: DrainNode, Mean: Duration(10*time.Minute + 15*time.Second)}}
	s := settings()
	s.MaxUnavailable, s.Windows = AtMost(maxUnavailable), w
	now := time.Date(2026, 11, 25, 11, 0, 0, 0, time.UTC)
	return MakePlan(c, Wanted{Target: target, Now: now, Waive: waive}, s)
}

// used is what a plan uses, a line for each window.
func used(p Plan) string {
	var lines []string
	for _, w := range p.Windows {
		lines = append(lines, fmt.Sprintf("%s: %s", w, strings.Join(w.Nodes, " ")))
	}
	return strings.Join(lines, "\n")
}

// about are the findings on windows.
func about(p Plan) string {
	var lines []string
	for _, f := range p.Findings {
		if f.ID == MaintenanceWindow || f.ID == WindowTooShort {
			lines = append(lines, fmt.Sprintf("%s %s %s", f.ID, f.Severity, f))
		}
	}
	return strings.Join(lines, "\n")
}

func TestPlanByWindows(t *testing.T) {
	for name, c := range map[string]struct {
		target         Version
		controlPlanes  int
		workers        int
		maxUnavailable int
		windows        Windows
		want, ends     string
		found          string
	}{
		"one is enough": {target: v137, controlPlanes: 1, workers: 2, maxUnavailable: 1, windows: one(zurich, "22:00", 6*time.Hour, "sat"),
			want: "Sat 28 Nov 22:00 - Sun 29 Nov 04:00: cp1 w1 w2", ends: "2026-11-28T22:24:41+01:00"},
		"a worker that would not be done waits": {target: v137, controlPlanes: 1, workers: 3, maxUnavailable: 1, windows: one(zurich, "22:00", 30*time.Minute),
			want: "Wed 25 Nov 22:00 - 22:30: cp1 w1 w2\nThu 26 Nov 22:00 - 22:30: w3", ends: "2026-11-26T22:10:28+01:00",
			found: "window info lab: it takes 2 maintenance windows and ends about Thu 26 Nov 22:10:28 Europe/Zurich"},
		"side by side they fit": {target: v137, controlPlanes: 1, workers: 3, maxUnavailable: 3, windows: one(zurich, "22:00", 30*time.Minute),
			want: "Wed 25 Nov 22:00 - 22:30: cp1 w1 w2 w3", ends: "2026-11-25T22:14:13+01:00"},
		"the control plane's components stay together": {target: v137, controlPlanes: 3, workers: 0, maxUnavailable: 1,
			windows: Windows{TimeZone: zurich, Open: []Window{{Start: "22:00", Duration: Duration(9 * time.Minute)}, {Start: "23:00", Duration: Duration(10 * time.Minute)}}},
			want:    "Wed 25 Nov 23:00 - 23:10: cp1 cp2 cp3\nThu 26 Nov 22:00 - 22:09: cp2 cp3", ends: "2026-11-26T22:01:28+01:00",
			found: "window info lab: it takes 2 maintenance windows and ends about Thu 26 Nov 22:01:28 Europe/Zurich"},
		"each hop in its window": {target: v1380, controlPlanes: 1, workers: 2, maxUnavailable: 2, windows: one(zurich, "22:00", 12*time.Minute),
			want:  "Wed 25 Nov 22:00 - 22:12: cp1 w1 w2\nThu 26 Nov 22:00 - 22:12: w1 w2",
			ends:  "2026-11-26T22:10:28+01:00",
			found: "window info lab: it takes 2 maintenance windows and ends about Thu 26 Nov 22:10:28 Europe/Zurich"},
		"at once when it is open": {target: v137, controlPlanes: 1, workers: 1, maxUnavailable: 1, windows: one(zurich, "11:00", 3*time.Hour),
			want: "Wed 25 Nov 11:00 - 14:00: cp1 w1", ends: "2026-11-25T12:14:13+01:00"},
		"open at any time": {target: v137, controlPlanes: 1, workers: 1, maxUnavailable: 1, windows: one("UTC", "00:00", 24*time.Hour),
			want: "Tue 17 Nov 00:00 - Fri 31 Dec 00:00: cp1 w1", ends: "2026-11-25T11:14:13Z"},
	} {
		t.Run(name, func(t *testing.T) {
			p := inWindows(c.target, c.controlPlanes, c.workers, c.maxUnavailable, c.windows)
			require.False(t, p.Refused(), "%v", p.Errors())
			require.Equal(t, c.want, used(p))
			require.Equal(t, c.ends, p.Ends.Format(time.RFC3339))
			require.Equal(t, c.found, about(p))
		})
	}
}

func TestPlanThatFitsIntoNoWindow(t *testing.T) {
	short := one(zurich, "22:00", 9*time.Minute)
	p := inWindows(v137, 3, 2, 1, short)
	require.True(t, p.Refused())
	require.Empty(t, p.Windows)
	require.Equal(t, "window-length error lab: the components of the control plane: it is expected to take 9m3s, the longest maintenance window has 9m; "+
		"make a window longer in the cluster's definition, or waive window-length\n"+
		"window-length error w1, w2: it is expected to take 10m28s, the longest maintenance window has 9m; "+
		"make a window longer in the cluster's definition, or waive window-length", about(p))

	p = inWindows(v137, 3, 2, 1, short, WindowTooShort)
	require.False(t, p.Refused())
	require.Equal(t, "Wed 25 Nov 22:00 - 22:09: cp1 cp2\nThu 26 Nov 22:00 - 22:09: cp3 cp1 cp2\n"+
		"Fri 27 Nov 22:00 - 22:09: w1\nSat 28 Nov 22:00 - 22:09: w2", used(p))
	require.Contains(t, about(p), "window-length error w1, w2: it is expected to take 10m28s, the longest maintenance window has 9m (waived)")
	require.Contains(t, about(p), "it takes 4 maintenance windows")

	never := short
	never.Except = []string{"2026-01-01/2030-01-01"}
	p = inWindows(v137, 1, 1, 1, never, WindowTooShort)
	require.True(t, p.Refused(), "that cannot be waived")
	require.Contains(t, about(p), "window error lab, cp1, w1: no maintenance window opens within 400 days; look at windows in the cluster's definition")

	p = inWindows(v137, 1, 1, 1, Windows{TimeZone: "Nowhere", Open: short.Open})
	require.Contains(t, about(p), `window error lab: windows.timeZone: is "Nowhere", wanted a name like Europe/Zurich or UTC`)
}

// TestPlansKeepToTheWindows: whatever the windows, each node's work fits into one that the plan uses, and no window is
// used before another has been.
func TestPlansKeepToTheWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := one(zurich, "02:30", time.Duration(rapid.IntRange(11, 90).Draw(t, "minutes"))*time.Minute, rapid.SampledFrom([]string{"mon-sun", "sat", "last sun"}).Draw(t, "days"))
		target := rapid.SampledFrom([]Version{v137, v1380}).Draw(t, "target")
		workers := rapid.IntRange(0, 12).Draw(t, "workers")
		p := inWindows(target, rapid.SampledFrom([]int{1, 3}).Draw(t, "control planes"), workers, rapid.IntRange(1, 3).Draw(t, "at once"), w)
		require.False(t, p.Refused())
		status := p.NewStatus()
		parts := map[string]int{} // windows in which each is worked on
		for i, window := range p.Windows {
			if i > 0 {
				require.False(t, window.From.Before(p.Windows[i-1].To))
			}
			for _, n := range window.Nodes {
				parts[n]++
			}
		}
		last := p.Windows[len(p.Windows)-1]
		require.False(t, p.Ends.Before(last.From))
		require.False(t, p.Ends.After(last.To), "what is not expected to be done does not begin")
		for _, hop := range p.Hops {
			for _, n := range hop.NodePlans() {
				require.NotZero(t, parts[n.Node])
				require.LessOrEqual(t, status.Expected(n.Kubelet()), w.Open[0].Duration.Std())
			}
		}
	})
}

func TestPlanWithoutWindows(t *testing.T) {
	p := inWindows(v137, 1, 1, 1, Windows{})
	require.Empty(t, p.Windows)
	require.True(t, p.Ends.IsZero())
	require.Empty(t, about(p))
}
