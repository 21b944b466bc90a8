package view

import (
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

func fleet(t *testing.T, change func(*upgrade.FleetStatus)) upgrade.FleetStatus {
	t.Helper()
	s, err := upgrade.NewFleet(upgrade.FleetWanted{Fleet: "prod", Target: "v1.37.2", Waves: [][]string{{"canary"}, {"eu1", "eu2"}, {"us1"}},
		MaxConcurrent: 2, MaxHeld: 1, Soak: upgrade.Duration(30 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	s.Started = at(0)
	set := func(name string, state upgrade.State, reason string, from, to int) {
		c := s.Find(name)
		c.State, c.Reason, c.From, c.To, c.Started = state, reason, v136, v137, at(from)
		if to > 0 {
			c.Ended = at(to)
		}
	}
	set("canary", upgrade.Done, "", 0, 600)
	set("eu1", upgrade.Held, "w1: Drain: drain w1: blocked by PodDisruptionBudget shop/web", 2400, 0)
	set("eu2", upgrade.Failed, "plan eu2 v1.36.3 to v1.37.2: refused: w3: the node is not Ready", 2400, 2410)
	if change != nil {
		change(&s)
	}
	next := s.Next(at(3000))
	s.State, s.Wave, s.Message, s.Waits = next.State, next.Wave, next.Message, next.Waits
	return s
}

func TestFleet(t *testing.T) {
	golden(t, "fleet-held", Fleet(fleet(t, nil), at(3000), Style{}))
	golden(t, "fleet-paused", Fleet(fleet(t, func(s *upgrade.FleetStatus) { s.Paused, s.MaxHeld = true, 2 }), at(3000), Style{}))
	golden(t, "fleet-aborted", Fleet(fleet(t, func(s *upgrade.FleetStatus) { s.Aborted, s.Ended = upgrade.AbortFleet, at(3000) }), at(9000), Style{}))
}

func TestFleetChanges(t *testing.T) {
	before := fleet(t, func(s *upgrade.FleetStatus) {
		for _, name := range []string{"eu1", "eu2"} {
			c := s.Find(name)
			c.State, c.Reason, c.Ended = upgrade.Running, "", time.Time{}
		}
	})
	after := fleet(t, nil)
	lines := append(FleetChanges(nil, before, at(2400)), FleetChanges(&before, after, at(3000))...)
	golden(t, "fleet-changes", strings.Join(append(lines, FleetChanges(&after, after, at(3001))...), "\n")+"\n")
}

func TestFleetPlans(t *testing.T) {
	unready := makePlan(func(c *upgrade.Cluster) { c.Nodes[3].Ready = false })
	warned := makePlan(func(c *upgrade.Cluster) { c.Nodes[2].Conditions = []string{"MemoryPressure"} })
	golden(t, "fleet-plans", FleetPlans([]FleetPlan{
		{Cluster: "canary", Wave: 1, Plan: makePlan(nil)}, {Cluster: "eu1", Wave: 2, Plan: unready}, {Cluster: "eu2", Wave: 2, Plan: warned},
		{Cluster: "us1", Wave: 3, Error: "find cluster us1: the worker has no clusters/us1.yaml (it knows: canary, eu1, eu2); check the name, or add the file"},
	}, Style{}))
}
