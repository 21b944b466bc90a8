package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A fleet is many clusters that are brought to one version in waves: a canary, then groups. What is decided here is which
// cluster is begun when. A cluster is in trouble when it is held or has failed.
//
// The rules:
//   - At most MaxConcurrent clusters are under way at a time. One that is held keeps its place: it is half-done.
//   - While more than MaxHeld clusters are in trouble nothing new begins.
//   - A wave begins when those before it are over: each of their clusters is done, skipped or in trouble, and where one
//     is in trouble another is done. Then they soak: Soak has to pass since the last one was done.
//   - A fleet ends when every cluster is done or skipped, or when a person says so. Until then what is in trouble waits for
//     a person.

// FleetWanted is what a person asks of a fleet.
type FleetWanted struct {
	Fleet         string
	Target        string
	Waves         [][]string
	MaxConcurrent int // 0 is 1
	MaxHeld       int
	Soak          Duration
}

// FleetStatus is what the upgrade of a fleet says of itself. The FleetUpgrade workflow answers it to the query "status".
type FleetStatus struct {
	Fleet         string         `json:"fleet"`
	Target        Version        `json:"target"`
	State         State          `json:"state"`
	Wave          int            `json:"wave"` // 1-based: the first with a cluster that is not over
	Waves         int            `json:"waves"`
	Clusters      []FleetCluster `json:"clusters"` // wave by wave
	MaxConcurrent int            `json:"maxConcurrent"`
	MaxHeld       int            `json:"maxHeld"`
	Soak          Duration       `json:"soak,omitempty"`
	Paused        bool           `json:"paused,omitempty"` // a person let nothing new begin
	Aborted       Abort          `json:"aborted,omitempty"`
	// Actions are what people did, in the order of time.
	Actions []Action `json:"actions,omitempty"`
	// Waits are what it waits for now; empty while it works.
	Waits []Wait `json:"waits,omitempty"`
	// Message is one line for people: why it is held, what it waits for, where things were left.
	Message string    `json:"message,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Abort is how a person ended a fleet.
type Abort string

// The ways to end a fleet; "" is not at all.
const (
	AbortFleet    Abort = "fleet"    // clusters that are under way go on by themselves
	AbortClusters Abort = "clusters" // they were told to stop too, and are waited for
)

// FleetCluster is how far one cluster of a fleet is. Its own upgrade says more of it.
type FleetCluster struct {
	Cluster string  `json:"cluster"`
	Wave    int     `json:"wave"` // 1-based
	State   State   `json:"state"`
	From    Version `json:"from,omitzero"` // known once it is planned
	To      Version `json:"to,omitzero"`
	// Reason is one line: why it is held or failed, or that nothing was to be done.
	Reason string `json:"reason,omitempty"`
	// Already: it was at the target before, so that nobody has to wait what becomes of it.
	Already bool `json:"already,omitempty"`
	// Tries is how often its upgrade was started.
	Tries    int       `json:"tries,omitempty"`
	Workflow string    `json:"workflow,omitempty"`
	Run      string    `json:"run,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
}

// underWay reports whether its upgrade runs.
func (c FleetCluster) underWay() bool { return c.State != Pending && !c.State.Ended() }

// inTrouble reports whether it needs a person.
func (c FleetCluster) inTrouble() bool {
	return c.State == Held || c.State == Failed || c.State == Aborted
}

// moves reports whether it goes on without a person of the fleet.
func (c FleetCluster) moves() bool { return c.underWay() && c.State != Held }

// NewFleet checks what a person asks, and is the status before anything is begun.
func NewFleet(w FleetWanted) (FleetStatus, error) {
	s := FleetStatus{Fleet: w.Fleet, State: Running, Wave: 1, Waves: len(w.Waves), MaxConcurrent: w.MaxConcurrent, MaxHeld: w.MaxHeld, Soak: w.Soak}
	if s.MaxConcurrent == 0 {
		s.MaxConcurrent = 1
	}
	var err error
	switch s.Target, err = ParseTarget(w.Target); {
	case !isName(w.Fleet):
		return s, fmt.Errorf("fleet: is %q, wanted a name without spaces and slashes", w.Fleet)
	case err != nil:
		return s, fmt.Errorf("targetVersion: %w", err)
	case s.MaxConcurrent < 0:
		return s, fmt.Errorf("maxConcurrent: is %d, wanted at least 1", w.MaxConcurrent)
	case w.MaxHeld < 0:
		return s, fmt.Errorf("maxHeld: is %d, wanted at least 0", w.MaxHeld)
	case w.Soak < 0:
		return s, fmt.Errorf("soak: is %s, wanted a duration like 30m", w.Soak)
	case len(w.Waves) == 0:
		return s, fmt.Errorf(`waves: there are none, wanted clusters by name, like [["canary"],["eu1","eu2"]]`)
	}
	for i, wave := range w.Waves {
		if len(wave) == 0 {
			return s, fmt.Errorf("waves: number %d has no clusters", i+1)
		}
		for _, name := range wave {
			if !isName(name) {
				return s, fmt.Errorf("waves: %q is not a cluster's name", name)
			}
			if s.Find(name) != nil {
				return s, fmt.Errorf("waves: %s is named twice", name)
			}
			s.Clusters = append(s.Clusters, FleetCluster{Cluster: name, Wave: i + 1, State: Pending})
		}
	}
	return s, nil
}

func isName(s string) bool {
	return s != "" && !strings.ContainsAny(s, "/\\ \t\n") && !strings.HasPrefix(s, ".")
}

// Find is the cluster of that name, or nil.
func (s FleetStatus) Find(name string) *FleetCluster {
	for i := range s.Clusters {
		if s.Clusters[i].Cluster == name {
			return &s.Clusters[i]
		}
	}
	return nil
}

// Names are the clusters of which is so, in their order.
func (s FleetStatus) Names(so func(FleetCluster) bool) []string {
	var names []string
	for _, c := range s.Clusters {
		if so(c) {
			names = append(names, c.Cluster)
		}
	}
	return names
}

// UnderWay are the clusters whose upgrades run, held ones among them.
func (s FleetStatus) UnderWay() []string { return s.Names(FleetCluster.underWay) }

// InTrouble are the clusters that need a person.
func (s FleetStatus) InTrouble() []string { return s.Names(FleetCluster.inTrouble) }

// FleetNext is what a fleet does next, and what it says meanwhile.
type FleetNext struct {
	Start   []string  // these clusters
	Until   time.Time // look again then, if nothing happens before; zero: there is nothing to wait for but events
	State   State
	Wave    int
	Message string
	Waits   []Wait
}

// Next decides what is to be done now.
func (s FleetStatus) Next(now time.Time) FleetNext {
	next := FleetNext{State: Running, Wave: s.Waves}
	if i := slices.IndexFunc(s.Clusters, func(c FleetCluster) bool { return c.State != Done && c.State != Skipped }); i >= 0 {
		next.Wave = s.Clusters[i].Wave
	} else if s.Aborted == "" {
		next.State, next.Message = Done, s.outcome()
		return next
	}
	switch left := s.UnderWay(); {
	case s.Aborted == AbortClusters && len(left) > 0:
		next.Message = "aborted; waiting until these have stopped: " + strings.Join(left, ", ")
		return next
	case s.Aborted != "":
		next.State, next.Message = Aborted, s.outcome()
		return next
	case len(s.InTrouble()) > s.MaxHeld:
		return s.hold(next, now, fmt.Sprintf("nothing new begins: %s held or failed, %d allowed: %s", clusters(len(s.InTrouble())), s.MaxHeld, s.troubles()))
	case s.Paused:
		next.State, next.Message = Paused, "nothing new begins until it is resumed"
		next.Waits = []Wait{{For: ForResume, At: s.at(next.Wave), Reason: next.Message, Since: now, Choices: []Choice{
			{Update: "resume", Does: "go on", Example: `{"reason":"the incident is over"}`}, abortChoice}}}
		return next
	}
	return s.begin(next, now)
}

// begin picks what may begin now.
func (s FleetStatus) begin(next FleetNext, now time.Time) FleetNext {
	left, moving := s.UnderWay(), s.Names(FleetCluster.moves)
	first := slices.IndexFunc(s.Clusters, func(c FleetCluster) bool { return c.State == Pending })
	if first < 0 {
		if len(moving) > 0 {
			return next
		}
		return s.hold(next, now, "every wave is through, but "+s.troubles())
	}
	wave := s.Clusters[first].Wave
	for w := 1; w < wave; w++ {
		if slices.ContainsFunc(s.Clusters, func(c FleetCluster) bool { return c.Wave == w && c.moves() }) {
			return next
		}
		if s.none(w) {
			return s.hold(next, now, fmt.Sprintf("wave %d does not begin: no cluster of wave %d has reached %s: %s", wave, w, s.Target, s.troubles()))
		}
		if until := s.soaked(w); now.Before(until) {
			next.State, next.Until, next.Wave = Waiting, until, wave
			next.Message = fmt.Sprintf("wave %d soaks until %s, then wave %d begins", w, until.UTC().Format(time.RFC3339), wave)
			next.Waits = []Wait{{For: ForHealth, At: s.at(w), Reason: next.Message, Since: until.Add(-s.Soak.Std()), Until: until}}
			return next
		}
	}
	room := s.MaxConcurrent - len(left)
	if room <= 0 && len(moving) == 0 {
		return s.hold(next, now, fmt.Sprintf("nothing new begins: held clusters keep all places (maxConcurrent %d): %s", s.MaxConcurrent, s.troubles()))
	}
	next.Wave = wave
	waiting := s.Names(func(c FleetCluster) bool { return c.Wave == wave && c.State == Pending })
	next.Start = waiting[:min(len(waiting), max(0, room))]
	return next
}

var abortChoice = Choice{Update: "abort", Does: `begin no more, and end; with "clusters" those under way are told to stop too`, Example: `{"clusters":true,"reason":"not today"}`}

// hold asks a person.
func (s FleetStatus) hold(next FleetNext, now time.Time, why string) FleetNext {
	next.State, next.Message = Held, why
	who := s.InTrouble()[0]
	next.Waits = []Wait{{For: ForDecision, At: s.at(next.Wave), Reason: why, Since: now, Choices: []Choice{
		{Update: "retry", Does: "start again what has failed: one cluster, or all. What is held is decided on at its own upgrade", Example: fmt.Sprintf(`{"cluster":%q,"reason":"repaired"}`, who)},
		{Update: "skip", Does: "leave a cluster as it is, and go on without it", Example: fmt.Sprintf(`{"cluster":%q,"reason":"later"}`, who)},
		abortChoice}}}
	return next
}

func (s FleetStatus) at(wave int) string { return fmt.Sprintf("wave %d of %d", wave, s.Waves) }

// none reports whether a wave had trouble and no success.
func (s FleetStatus) none(wave int) bool {
	in := func(so func(FleetCluster) bool) bool {
		return slices.ContainsFunc(s.Clusters, func(c FleetCluster) bool { return c.Wave == wave && so(c) })
	}
	return in(FleetCluster.inTrouble) && !in(func(c FleetCluster) bool { return c.State == Done })
}

// soaked is when a wave that is over has soaked; zero where nothing was done in it.
func (s FleetStatus) soaked(wave int) (until time.Time) {
	for _, c := range s.Clusters {
		if end := c.Ended.Add(s.Soak.Std()); c.Wave == wave && c.State == Done && !c.Already && end.After(until) {
			until = end
		}
	}
	return until
}

// reasonsShown is how many clusters say their reason in one line.
const reasonsShown = 3

func (s FleetStatus) troubles() string {
	var all []string
	for _, name := range s.InTrouble() {
		c := s.Find(name)
		all = append(all, fmt.Sprintf("%s %s: %s", name, c.State, c.Reason))
	}
	if more := len(all) - reasonsShown; more > 0 {
		all = append(all[:reasonsShown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "; ")
}

// outcome says in one line how the clusters were left.
func (s FleetStatus) outcome() string {
	var parts []string
	for _, part := range []struct {
		text string
		so   func(FleetCluster) bool
	}{
		{"at " + s.Target.String(), func(c FleetCluster) bool { return c.State == Done }},
		{"skipped", func(c FleetCluster) bool { return c.State == Skipped }},
		{"failed or aborted", func(c FleetCluster) bool { return c.State == Failed || c.State == Aborted }},
		{"left to go on by themselves", FleetCluster.underWay},
		{"not begun", func(c FleetCluster) bool { return c.State == Pending }},
	} {
		if names := s.Names(part.so); len(names) > 0 {
			parts = append(parts, clusters(len(names))+" "+part.text)
		}
	}
	return strings.Join(parts, ", ")
}

func clusters(n int) string {
	if n == 1 {
		return "1 cluster"
	}
	return fmt.Sprintf("%d clusters", n)
}

// Retry are the clusters that a person's retry starts again: the named one, or all that have failed.
func (s FleetStatus) Retry(name string) ([]string, error) {
	if name == "" {
		failed := s.Names(func(c FleetCluster) bool { return c.inTrouble() && c.State != Held })
		if len(failed) == 0 {
			return nil, fmt.Errorf("no cluster has failed; what is held is decided on at its own upgrade: pawl status CLUSTER")
		}
		return failed, nil
	}
	c := s.Find(name)
	switch {
	case c == nil:
		return nil, fmt.Errorf("the fleet has no cluster %q", name)
	case c.State == Held:
		return nil, fmt.Errorf("%s is held and has not failed; decide at its own upgrade: pawl status %s", name, name)
	case c.State == Skipped, c.inTrouble():
		return []string{name}, nil
	}
	return nil, fmt.Errorf("%s is %s, so there is nothing to start again", name, c.State)
}

// CheckSkip says why a cluster cannot be skipped.
func (s FleetStatus) CheckSkip(name string) error {
	c := s.Find(name)
	switch {
	case c == nil:
		return fmt.Errorf("the fleet has no cluster %q", name)
	case c.State != Pending && !c.inTrouble():
		return fmt.Errorf("%s is %s; what has not begun, is held or has failed can be skipped", name, c.State)
	}
	return nil
}
