package upgrade

import (
	"slices"
	"time"
)

// What is kept of an upgrade for the report: who did what, what was held, what drains waited for, how long API servers
// were away. A record stands in a workflow's history and in its answers to queries, so every list is bounded.
const (
	maxDrainWaits  = 20
	maxWaitingPods = 8
	maxStretches   = 20
)

// Action is what a person did to an upgrade.
type Action struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`           // the update's name: "retry"
	Node string    `json:"node,omitempty"` // "" is the upgrade as a whole
	// Cluster is which one of a fleet; "" is the fleet as a whole.
	Cluster string `json:"cluster,omitempty"`
	By      string `json:"by,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Record adds what people did, in the order of time. What is there already is not added again.
func (s *Status) Record(actions ...Action) {
	all := slices.Clone(s.Actions)
	for _, a := range actions {
		if !slices.ContainsFunc(all, a.same) {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b Action) int { return a.At.Compare(b.At) })
	s.Actions = all
}

func (a Action) same(b Action) bool { return a.At.Equal(b.At) && a.What == b.What && a.Node == b.Node }

// Hold is a time in which something waited for a person.
type Hold struct {
	Reason string    `json:"reason"` // what failed and what to do, one line
	From   time.Time `json:"from"`
	To     time.Time `json:"to,omitzero"` // zero while it waits
	// Release is what let it go on.
	Release *Action `json:"release,omitempty"`
}

// DrainWait is one thing that a drain waited for.
type DrainWait struct {
	// Budget is the PodDisruptionBudget (namespace/name); "" when something else kept the pods.
	Budget string `json:"budget,omitempty"`
	Reason string `json:"reason"` // as it was last, one line
	// Waited is for how long it kept at least one pod, between From and To.
	Waited Duration  `json:"waited"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	// Pods are those that it kept (namespace/name), Others how many more there were.
	Pods   []string `json:"pods,omitempty"`
	Others int      `json:"others,omitempty"`
}

// AddBlocked takes in what kept a drain from one pass to the next.
func AddBlocked(waits []DrainWait, blocked []BlockedPod, from, to time.Time) []DrainWait {
	for _, b := range blocked {
		i := slices.IndexFunc(waits, func(w DrainWait) bool { return w.sameCause(b.Budget, b.Reason) })
		if i < 0 {
			i, waits = len(waits), append(waits, DrainWait{Budget: b.Budget, From: from})
		}
		w := &waits[i]
		w.Reason = b.Reason
		if !w.To.Equal(to) { // once, however many pods it keeps
			w.To, w.Waited = to, w.Waited+Duration(to.Sub(from))
		}
		w.addPods(b.Pod)
	}
	return waits
}

// MergeWaits puts what two tries of one drain waited for together.
func MergeWaits(earlier, later []DrainWait) []DrainWait {
	all := slices.Clone(earlier)
	for _, l := range later {
		i := slices.IndexFunc(all, func(w DrainWait) bool { return w.sameCause(l.Budget, l.Reason) })
		if i < 0 {
			all = append(all, l)
			continue
		}
		w := &all[i]
		w.Pods = slices.Clone(w.Pods)
		w.addPods(l.Pods...)
		w.Reason, w.To, w.Waited, w.Others = l.Reason, l.To, w.Waited+l.Waited, max(w.Others, l.Others)
	}
	return BoundWaits(all)
}

// BoundWaits keeps what is worth keeping.
func BoundWaits(waits []DrainWait) []DrainWait {
	waits = slices.Clone(waits[:min(len(waits), maxDrainWaits)])
	for i := range waits {
		w := &waits[i]
		w.Waited = Duration(w.Waited.Std().Round(time.Millisecond))
		if more := len(w.Pods) - maxWaitingPods; more > 0 {
			w.Pods, w.Others = w.Pods[:maxWaitingPods], w.Others+more
		}
	}
	return waits
}

// sameCause: a budget stays the same while its figures change.
func (w DrainWait) sameCause(budget, reason string) bool {
	return w.Budget == budget && (budget != "" || w.Reason == reason)
}

func (w *DrainWait) addPods(pods ...string) {
	for _, p := range pods {
		if p != "" && !slices.Contains(w.Pods, p) {
			w.Pods = append(w.Pods, p)
		}
	}
}

// Downtime is for how long a control plane node's own API server did not answer /readyz, as pawl saw it while it worked
// on that node.
type Downtime struct {
	Down Duration `json:"down"`
	// AtLeast: an attempt was cut off or its record was lost, so there may have been more.
	AtLeast bool `json:"atLeast,omitempty"`
	// Stretches are the first times in which it was away.
	Stretches []Stretch `json:"stretches,omitempty"`
}

// Stretch is a time from one moment to another.
type Stretch struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Add takes in one time in which the API server was away.
func (d *Downtime) Add(from, to time.Time) {
	d.Down += Duration(to.Sub(from).Round(time.Millisecond))
	if len(d.Stretches) < maxStretches {
		d.Stretches = append(d.Stretches, Stretch{From: from, To: to})
	}
}

// MergeDowntime puts what two tries of one step saw together; nobody looked between them. nil is "not measured".
func MergeDowntime(earlier, later *Downtime) *Downtime {
	if earlier == nil && later == nil {
		return nil
	}
	all := Downtime{AtLeast: true}
	for _, d := range []*Downtime{earlier, later} {
		if d != nil {
			all.Down += d.Down
			all.Stretches = append(all.Stretches, d.Stretches...)
		}
	}
	all.Stretches = all.Stretches[:min(len(all.Stretches), maxStretches)]
	return &all
}
