// Package report puts together what the report of an upgrade says, for every form in which it is shown.
//
// Rule: pure. It selects, adds up and orders what was recorded; words, colours and lengths are its readers' business.
package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/timing"
)

// Report is what there is to say about an upgrade. Its JSON is what `pawl report -o json` prints; see docs/reference.md.
type Report struct {
	snapshot.Snapshot
	Time       timing.Account `json:"time"`
	Totals     []NodeTotal    `json:"nodeTotals,omitempty"` // in the order of the plan
	Slowest    []NodeTotal    `json:"slowest,omitempty"`    // slowest first
	APIServers []APIServer    `json:"apiServers,omitempty"` // of control plane nodes, in the order of the plan
	DrainWaits []DrainWait    `json:"drainWaits,omitempty"` // longest first
	Holds      []Hold         `json:"holds,omitempty"`      // in the order of time
	Retries    []Retry        `json:"retries,omitempty"`    // in the order of the plan
	// Made is when the report was made, MadeBy the version of pawl that made it.
	Made   time.Time `json:"made"`
	MadeBy string    `json:"madeBy"`
}

// NodeTotal is one node over all hops.
type NodeTotal struct {
	Node string          `json:"node"`
	Role upgrade.Role    `json:"role"`
	From upgrade.Version `json:"from"` // before the upgrade
	To   upgrade.Version `json:"to"`   // reached so far
	// Took is the time of the node's steps; for a control plane node, without what lies between its two turns.
	Took upgrade.Duration `json:"took"`
	// Longest is the step that took most of it.
	Longest     upgrade.Step     `json:"longest,omitempty"`
	LongestTook upgrade.Duration `json:"longestTook,omitempty"`
}

// APIServer is how one control plane node's API server was to be reached while pawl worked on that node.
type APIServer struct {
	Node     string `json:"node"`
	Measured bool   `json:"measured"`
	upgrade.Downtime
	Longest upgrade.Duration `json:"longest"` // of the stretches
}

// DrainWait is one thing that the drain of a node waited for.
type DrainWait struct {
	Node string `json:"node"`
	Hop  int    `json:"hop"`
	upgrade.DrainWait
}

// Hold is a time in which a step of a node, or a stage of the whole cluster, waited for a person.
type Hold struct {
	Node  string `json:"node,omitempty"` // "" is the cluster
	Hop   int    `json:"hop,omitempty"`
	Title string `json:"title"` // of the step or stage
	upgrade.Hold
	Took upgrade.Duration `json:"took"` // up to now while it waits
}

// Retry is a step or stage that pawl tried more than once by itself.
type Retry struct {
	Node     string   `json:"node,omitempty"` // "" is the cluster
	Hop      int      `json:"hop,omitempty"`
	Title    string   `json:"title"`
	Attempts int      `json:"attempts"`
	Why      []string `json:"why,omitempty"` // as far as Temporal's history still tells
}

// slowestShown is how many nodes are named as the slowest.
const slowestShown = 5

// Of makes the report of an upgrade. Failures are those that Temporal's history tells of.
func Of(s snapshot.Snapshot, failures []snapshot.Failure, now time.Time, by string) Report {
	r := Report{Snapshot: s, Time: timing.Of(s.Status, now), Made: now, MadeBy: by}
	end := now
	if !s.Ended.IsZero() {
		end = s.Ended
	}
	for _, stage := range s.Stages {
		r.addHolds("", stage.Hop, stage.Title, stage.Holds, end)
		r.addRetry(Retry{Hop: stage.Hop, Title: stage.Title, Attempts: stage.Attempts}, len(stage.Holds),
			failures, "", stage.Started, stage.Ended)
	}
	for _, n := range s.Nodes {
		total := r.total(n)
		for _, step := range n.Steps {
			took := Took(step, end)
			total.Took += upgrade.Duration(took)
			if took > total.LongestTook.Std() {
				total.Longest, total.LongestTook = step.Step, upgrade.Duration(took)
			}
			r.addHolds(n.Node, n.Hop, step.Step.Title(), step.Holds, end)
			r.addRetry(Retry{Node: n.Node, Hop: n.Hop, Title: step.Step.Title(), Attempts: step.Attempts}, len(step.Holds),
				failures, string(step.Step), step.Started, step.Ended)
			for _, w := range step.Waits {
				r.DrainWaits = append(r.DrainWaits, DrainWait{n.Node, n.Hop, w})
			}
		}
		if n.Role.IsControlPlane() {
			r.addAPIServer(n)
		}
	}
	slices.SortStableFunc(r.Holds, func(a, b Hold) int { return a.From.Compare(b.From) })
	slices.SortStableFunc(r.DrainWaits, func(a, b DrainWait) int { return cmp.Compare(b.Waited, a.Waited) })
	r.Slowest = slowest(r.Totals)
	return r
}

// Took is how long a step took in all, or has taken until now.
func Took(s upgrade.StepStatus, now time.Time) time.Duration {
	switch {
	case s.Started.IsZero() || s.State == upgrade.Pending:
		return 0
	case s.Ended.IsZero():
		return max(0, now.Sub(s.Started))
	}
	return s.Ended.Sub(s.Started)
}

// total is the node's place in the totals. What it was before is known from its first hop.
func (r *Report) total(n upgrade.NodeStatus) *NodeTotal {
	i := slices.IndexFunc(r.Totals, func(t NodeTotal) bool { return t.Node == n.Node })
	if i < 0 {
		i = len(r.Totals)
		r.Totals = append(r.Totals, NodeTotal{Node: n.Node, Role: n.Role, From: n.From, To: n.From})
	}
	if n.State == upgrade.Done {
		r.Totals[i].To = n.To
	}
	return &r.Totals[i]
}

func slowest(totals []NodeTotal) []NodeTotal {
	all := slices.DeleteFunc(slices.Clone(totals), func(t NodeTotal) bool { return t.Took == 0 })
	slices.SortStableFunc(all, func(a, b NodeTotal) int { return cmp.Compare(b.Took, a.Took) })
	return all[:min(len(all), slowestShown)]
}

func (r *Report) addHolds(node string, hop int, title string, holds []upgrade.Hold, end time.Time) {
	for _, h := range holds {
		to := h.To
		if to.IsZero() {
			to = end
		}
		r.Holds = append(r.Holds, Hold{node, hop, title, h, upgrade.Duration(to.Sub(h.From))})
	}
}

// addRetry adds what was tried more often than once at the beginning and once after each hold.
func (r *Report) addRetry(retry Retry, holds int, failures []snapshot.Failure, activity string, from, to time.Time) {
	if retry.Attempts <= 1+holds {
		return
	}
	for _, f := range failures {
		within := !f.At.Before(from) && (to.IsZero() || !f.At.After(to))
		if f.Node == retry.Node && within && (activity == "" || f.Activity == activity) && !slices.Contains(retry.Why, f.Text) {
			retry.Why = append(retry.Why, f.Text)
		}
	}
	r.Retries = append(r.Retries, retry)
}

// probed are the steps during which pawl asks the node's API server again and again.
var probed = []upgrade.Step{upgrade.UpgradeControlPlane, upgrade.VerifyControlPlane, upgrade.RestartKubelet, upgrade.VerifyNode}

// joins is how far apart two stretches are that belong together: the first was cut by the end of its step.
const joins = time.Second

func (r *Report) addAPIServer(n upgrade.NodeStatus) {
	i := slices.IndexFunc(r.APIServers, func(a APIServer) bool { return a.Node == n.Node })
	if i < 0 {
		i = len(r.APIServers)
		r.APIServers = append(r.APIServers, APIServer{Node: n.Node})
	}
	a := &r.APIServers[i]
	for _, step := range n.Steps {
		if !slices.Contains(probed, step.Step) || step.State == upgrade.Pending {
			continue
		}
		if step.APIServer == nil {
			a.AtLeast = a.AtLeast || step.State == upgrade.Done
			continue
		}
		a.Measured = true
		a.Down += step.APIServer.Down
		a.AtLeast = a.AtLeast || step.APIServer.AtLeast
		for _, s := range step.APIServer.Stretches {
			if last := len(a.Stretches) - 1; last >= 0 && s.From.Sub(a.Stretches[last].To) <= joins {
				a.Stretches[last].To = s.To
			} else {
				a.Stretches = append(a.Stretches, s)
			}
		}
	}
	for _, s := range a.Stretches {
		a.Longest = max(a.Longest, upgrade.Duration(s.To.Sub(s.From)))
	}
}
