package view

import (
	"fmt"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// inWindows plans by maintenance windows of so many minutes a night.
func inWindows(minutes, workers int) upgrade.Plan {
	c := upgrade.Cluster{Name: "lab", Version: v136, Nodes: []upgrade.Node{clusterNode("cp1", true)}}
	for i := range workers {
		c.Nodes = append(c.Nodes, clusterNode(fmt.Sprintf("w%02d", i+1), false))
	}
	s := upgrade.Settings{MaxUnavailable: upgrade.AtMost(1), Windows: upgrade.Windows{TimeZone: "Europe/Zurich",
		Open: []upgrade.Window{{Start: "22:00", Duration: upgrade.Duration(minutes) * upgrade.Duration(time.Minute)}}}}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: v137, Now: noon}, s)
}

func TestPlanByWindows(t *testing.T) {
	golden(t, "plan-windows", Plan(inWindows(5, 12), Style{}))
	golden(t, "plan-windows-many", windows(inWindows(4, 60), Style{}))
	golden(t, "plan-windows-refused", Plan(inWindows(1, 2), Style{}))
}

// waiting waits for a maintenance window.
func waiting() snapshot.Snapshot {
	s := running()
	s.Notes = nil
	s.State = upgrade.Waiting
	s.Nodes[2].State = upgrade.Pending
	s.Waits = []upgrade.Wait{{For: upgrade.ForWindow, At: "w2", Reason: "the next maintenance window opens Sat 3 Jan 22:00 Europe/Zurich",
		Since: at(100), Until: at(100000), Choices: []upgrade.Choice{
			{Update: "openWindow", Does: "open a maintenance window now"}, {Update: "abort", Does: "stop at a safe point"}}}}
	s.Message = s.Waits[0].String()
	s.WindowWaits = []upgrade.WindowWait{{For: "lab", From: at(0), To: at(10), Opened: &upgrade.Action{By: "ann@desk"}}, {For: "w2", From: at(100)}}
	return s
}

func TestStatusWhileItWaitsForAWindow(t *testing.T) {
	golden(t, "status-window", Status(waiting(), at(330), Style{}))
	busy := waiting()
	busy.State, busy.Message, busy.Nodes[2].State = upgrade.Running, "", upgrade.Running
	golden(t, "status-window-busy", Status(busy, at(330), Style{}))
	golden(t, "report-window", Report(report.Of(waiting(), nil, at(330), "v0.1.0"), Style{}))
}
