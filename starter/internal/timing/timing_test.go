package timing

import (
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

var zero = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return zero.Add(time.Duration(seconds) * time.Second) }

func seconds(n int) upgrade.Duration { return upgrade.Duration(time.Duration(n) * time.Second) }

func done(from, to, worked int) upgrade.StepStatus {
	return upgrade.StepStatus{State: upgrade.Done, Started: at(from), Ended: at(to), Worked: seconds(worked)}
}

func retried(from, to, worked, attempts int, holds ...upgrade.Hold) upgrade.StepStatus {
	s := done(from, to, worked)
	s.Attempts, s.Holds = attempts, holds
	return s
}

func node(steps ...upgrade.StepStatus) upgrade.NodeStatus { return upgrade.NodeStatus{Steps: steps} }

func TestOf(t *testing.T) {
	for name, tc := range map[string]struct {
		stages []upgrade.Progress
		nodes  []upgrade.NodeStatus
		waits  []upgrade.WindowWait
		ended  int // 0: still running, now is second 100
		want   Account
	}{
		"nothing done is all overhead": {
			ended: 10, want: Account{Wall: seconds(10), Overhead: seconds(10)},
		},
		"a step's wait before its work is overhead": {
			nodes: []upgrade.NodeStatus{node(done(0, 10, 8))},
			ended: 10, want: Account{Wall: seconds(10), Worked: seconds(8), Overhead: seconds(2), Steps: seconds(8)},
		},
		"steps side by side count once in the wall, each in the sum": {
			nodes: []upgrade.NodeStatus{node(done(0, 10, 10)), node(done(4, 12, 8))},
			ended: 12, want: Account{Wall: seconds(12), Worked: seconds(12), Steps: seconds(18)},
		},
		"a span within another adds nothing": {
			nodes: []upgrade.NodeStatus{node(done(0, 20, 20)), node(done(5, 10, 5)), node(done(21, 25, 4))},
			ended: 30, want: Account{Wall: seconds(30), Worked: seconds(24), Overhead: seconds(6), Steps: seconds(29)},
		},
		"stages with work of their own count, stages of steps do not": {
			stages: []upgrade.Progress{
				{State: upgrade.Done, Started: at(0), Ended: at(5), Worked: seconds(4)},
				{State: upgrade.Done, Started: at(5), Ended: at(15)},
			},
			nodes: []upgrade.NodeStatus{node(done(5, 15, 9))},
			ended: 15, want: Account{Wall: seconds(15), Worked: seconds(13), Overhead: seconds(2), Steps: seconds(9)},
		},
		"a running step works until now": {
			nodes: []upgrade.NodeStatus{node(done(0, 10, 10), upgrade.StepStatus{State: upgrade.Running, Started: at(90)})},
			want:  Account{Wall: seconds(100), Worked: seconds(20), Overhead: seconds(80), Steps: seconds(20)},
		},
		"a held or pending step does not work": {
			nodes: []upgrade.NodeStatus{node(
				upgrade.StepStatus{State: upgrade.Held, Started: at(10)}, upgrade.StepStatus{State: upgrade.Pending})},
			want: Account{Wall: seconds(100), Held: seconds(90), Overhead: seconds(10)},
		},
		"a running step of a held node does not work": {
			nodes: []upgrade.NodeStatus{{State: upgrade.Held, Steps: []upgrade.StepStatus{
				done(0, 10, 10), {State: upgrade.Running, Started: at(10)}}}},
			want: Account{Wall: seconds(100), Worked: seconds(10), Held: seconds(90), Steps: seconds(10)},
		},
		"attempts that failed and holds are not overhead": {
			nodes: []upgrade.NodeStatus{node(retried(0, 90, 10, 3, upgrade.Hold{From: at(30), To: at(70)}))},
			ended: 100, want: Account{Wall: seconds(100), Worked: seconds(10), Failed: seconds(40), Held: seconds(40), Overhead: seconds(10), Steps: seconds(10)},
		},
		"nobody is waited for while another node works": {
			nodes: []upgrade.NodeStatus{node(retried(0, 90, 10, 2, upgrade.Hold{From: at(0), To: at(80)})), node(done(20, 60, 40))},
			ended: 90, want: Account{Wall: seconds(90), Worked: seconds(50), Held: seconds(40), Steps: seconds(50)},
		},
		"a stage of the whole cluster can be held, too": {
			stages: []upgrade.Progress{{State: upgrade.Running, Started: at(0), Holds: []upgrade.Hold{{From: at(40)}}}},
			want:   Account{Wall: seconds(100), Failed: seconds(40), Held: seconds(60)},
		},
		"waiting for a window is not overhead, and counts only where nothing else happens": {
			nodes: []upgrade.NodeStatus{node(done(10, 30, 20))}, waits: []upgrade.WindowWait{{From: at(0), To: at(5)}, {From: at(20), To: at(60)}, {From: at(70)}},
			want: Account{Wall: seconds(100), Worked: seconds(20), Waited: seconds(65), Overhead: seconds(15), Steps: seconds(20)},
		},
		"work outside the run is cut off": {
			nodes: []upgrade.NodeStatus{node(done(0, 5, 20), done(8, 15, 7))},
			ended: 10, want: Account{Wall: seconds(10), Worked: seconds(7), Overhead: seconds(3), Steps: seconds(27)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := upgrade.Status{State: upgrade.Running, Started: zero, Stages: tc.stages, Nodes: tc.nodes, WindowWaits: tc.waits}
			if tc.ended != 0 {
				s.State, s.Ended = upgrade.Done, at(tc.ended)
			}
			if got := Of(s, at(100)); got != tc.want {
				t.Errorf("\ngot  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}
