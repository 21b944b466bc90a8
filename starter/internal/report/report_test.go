package report_test

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/report/sample"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

func TestTotalsAreOverAllHops(t *testing.T) {
	r := sample.TwoHops()
	if len(r.Totals) != 9 || r.Totals[0].From.String() != "v1.35.4" || r.Totals[0].To.String() != "v1.37.2" {
		t.Errorf("totals: %+v", r.Totals)
	}
	if s := r.Slowest[0]; s.Node != "w4" || s.Longest != upgrade.DrainNode || s.Took <= s.LongestTook {
		t.Errorf("slowest: %+v", s)
	}
	if !slices.IsSortedFunc(r.Slowest, func(a, b report.NodeTotal) int { return int(b.Took - a.Took) }) {
		t.Errorf("not in order: %+v", r.Slowest)
	}
}

func TestVersionReachedIsThatOfTheLastHopThatIsDone(t *testing.T) {
	s := sample.TwoHops().Snapshot
	for i := range s.Nodes {
		if s.Nodes[i].Hop == 2 {
			s.Nodes[i].State = upgrade.Pending
		}
	}
	if got := report.Of(s, nil, s.Ended, "").Totals[0].To.String(); got != "v1.36.3" {
		t.Errorf("reached %s", got)
	}
}

func TestWhatAPersonRetriedIsNoRetryOfPawl(t *testing.T) {
	r := sample.TwoHops()
	if len(r.Retries) != 1 || r.Retries[0].Node != "cp2" || !slices.Equal(r.Retries[0].Why, []string{"the worker that did it went away"}) {
		t.Errorf("retries: %+v", r.Retries)
	}
	if len(r.Holds) != 1 || r.Holds[0].Took.String() != "14m35s" {
		t.Errorf("holds: %+v", r.Holds)
	}
}

func TestAFailureCountsForTheHopInWhichItWas(t *testing.T) {
	s := sample.TwoHops().Snapshot
	elsewhere := []snapshot.Failure{{Node: "cp2", Activity: string(upgrade.UpgradeControlPlane), At: s.Ended, Text: "of hop 2"}}
	if r := report.Of(s, elsewhere, s.Ended, ""); r.Retries[0].Why != nil {
		t.Errorf("why: %q", r.Retries[0].Why)
	}
}

func TestAPIServers(t *testing.T) {
	r := sample.TwoHops()
	if a := r.APIServers[1]; a.Node != "cp2" || !a.Measured || !a.AtLeast || len(a.Stretches) != 6 {
		t.Errorf("cp2: %+v", a)
	}
	if r.APIServers[0].AtLeast {
		t.Error("all of cp1 was measured")
	}
	s := r.Snapshot
	for i := range s.Nodes {
		for j := range s.Nodes[i].Steps {
			s.Nodes[i].Steps[j].APIServer = nil
		}
	}
	if a := report.Of(s, nil, s.Ended, "").APIServers[0]; a.Measured {
		t.Errorf("nobody measured: %+v", a)
	}
}

func TestStretchThatAStepsEndCutsIsOne(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	step := func(s upgrade.Step, from, to int) upgrade.StepStatus {
		d := &upgrade.Downtime{}
		d.Add(noon.Add(time.Duration(from)*time.Second), noon.Add(time.Duration(to)*time.Second))
		return upgrade.StepStatus{Step: s, State: upgrade.Done, APIServer: d}
	}
	n := upgrade.NodeStatus{Node: "cp1", Role: upgrade.FirstControlPlane, Steps: []upgrade.StepStatus{
		step(upgrade.RestartKubelet, 0, 2), step(upgrade.VerifyNode, 2, 9)}}
	a := report.Of(snapshot.Snapshot{Status: upgrade.Status{Nodes: []upgrade.NodeStatus{n}}}, nil, noon, "").APIServers[0]
	if len(a.Stretches) != 1 || a.Longest.String() != "9s" || a.Down.String() != "9s" {
		t.Errorf("%+v", a)
	}
}

// TestFieldNamesDoNotChange: other programs read them. docs/reference.md explains them.
func TestFieldNamesDoNotChange(t *testing.T) {
	text, err := json.Marshal(sample.TwoHops())
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	keys := func(v any) string {
		var names []string
		for name := range v.(map[string]any) {
			names = append(names, name)
		}
		sort.Strings(names)
		return strings.Join(names, " ")
	}
	first := func(list string) any { return all[list].([]any)[0] }
	for of, got := range map[string]string{
		"the report":     keys(all),
		"time":           keys(all["time"]),
		"nodeTotals":     keys(first("nodeTotals")),
		"apiServers":     keys(all["apiServers"].([]any)[1]),
		"drainWaits":     keys(first("drainWaits")),
		"holds":          keys(first("holds")),
		"holds' release": keys(first("holds").(map[string]any)["release"]),
		"retries":        keys(first("retries")),
		"actions":        keys(first("actions")),
	} {
		want := map[string]string{
			"the report": "actions apiServers cluster drainWaits ended from holds hop hops made madeBy maxUnavailable nodeTotals nodes " +
				"retries run slowest stages started state target time workflow",
			"time":           "failedAttempts held overhead steps wall worked",
			"nodeTotals":     "from longest longestTook node role to took",
			"apiServers":     "atLeast down longest measured node stretches",
			"drainWaits":     "budget from hop node pods reason to waited",
			"holds":          "from hop node reason release title to took",
			"holds' release": "at by node reason what",
			"retries":        "attempts hop node title why",
			"actions":        "at by node reason what",
		}[of]
		if got != want {
			t.Errorf("%s has the fields\n%s, wanted\n%s", of, got, want)
		}
	}
}
