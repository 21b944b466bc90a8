package upgrade

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var fleetNow = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fleetOf makes a fleet from its waves, such as "canary=done | eu1=held eu2". What ended did so ago.
func fleetOf(t *testing.T, text string, maxConcurrent, maxHeld int, ago time.Duration) FleetStatus {
	t.Helper()
	w := FleetWanted{Fleet: "prod", Target: "v1.37.2", MaxConcurrent: maxConcurrent, MaxHeld: maxHeld, Soak: Duration(time.Hour)}
	states := map[string]State{}
	for wave := range strings.SplitSeq(text, "|") {
		var names []string
		for word := range strings.FieldsSeq(wave) {
			name, state, _ := strings.Cut(word, "=")
			names, states[name] = append(names, name), State(state)
		}
		w.Waves = append(w.Waves, names)
	}
	s, err := NewFleet(w)
	require.NoError(t, err)
	for i := range s.Clusters {
		c := &s.Clusters[i]
		if state := states[c.Cluster]; state != "" {
			c.State = state
		}
		if c.State.Ended() {
			c.Ended = fleetNow.Add(-ago)
		}
		if c.inTrouble() {
			c.Reason = "why"
		}
	}
	return s
}

func TestFleetNext(t *testing.T) {
	for _, c := range []struct {
		name                   string
		fleet                  string
		maxConcurrent, maxHeld int
		ago                    time.Duration
		start                  string
		state                  State
		message                string
	}{
		{"the canary first", "a | b c", 5, 0, 0, "a", Running, ""},
		{"a wave at once, if there is room", "a b | c", 5, 0, 0, "a b", Running, ""},
		{"no more than there is room for", "a b c", 2, 0, 0, "a b", Running, ""},
		{"as soon as there is room", "a=done b=running c d", 2, 0, 0, "c", Running, ""},
		{"no next wave while one is under way", "a=done b=running | c", 5, 0, 2 * time.Hour, "", Running, ""},
		{"nor while it is paused or waits for its window", "a=paused b=waiting | c", 5, 0, 0, "", Running, ""},
		{"nor while it soaks", "a=done | b", 1, 0, time.Minute, "", Waiting, "wave 1 soaks until 2026-01-02T12:59:00Z, then wave 2 begins"},
		{"then it begins", "a=done | b", 1, 0, time.Hour, "b", Running, ""},
		{"what was skipped needs no soak", "a=skipped | b", 1, 0, time.Minute, "b", Running, ""},
		{"every earlier wave counts", "a=done | b=running c=done | d=done e", 9, 0, 2 * time.Hour, "", Running, ""},
		{"one in trouble is too many", "a=held b", 2, 0, 0, "", Held, "nothing new begins: 1 cluster held or failed, 0 allowed: a held: why"},
		{"or is not", "a=held b", 2, 1, 0, "b", Running, ""},
		{"failed and aborted ones count too", "a=failed b=aborted c=held d=failed e", 9, 3, 0, "", Held,
			"nothing new begins: 4 clusters held or failed, 3 allowed: a failed: why; b aborted: why; c held: why; and 1 more"},
		{"a wave without a success lets none begin", "a=failed | b", 1, 1, 0, "", Held, "wave 2 does not begin: no cluster of wave 1 has reached v1.37.2: a failed: why"},
		{"one with a success does", "a=failed b=done | c", 1, 1, time.Hour, "c", Running, ""},
		{"what is held keeps its place", "a=held b c", 2, 1, 0, "b", Running, ""},
		{"until none is left", "a=held b=held c", 2, 2, 0, "", Held, "nothing new begins: held clusters keep all places (maxConcurrent 2): a held: why; b held: why"},
		{"others that move may make room", "a=held b=running c", 2, 1, 0, "", Running, ""},
		{"trouble at the end waits for a person", "a=failed b=done", 1, 1, 0, "", Held, "every wave is through, but a failed: why"},
		{"but not before the others are done", "a=failed b=running", 2, 1, 0, "", Running, ""},
		{"done", "a=done b=skipped | c=done", 1, 0, 0, "", Done, "2 clusters at v1.37.2, 1 cluster skipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := fleetOf(t, c.fleet, c.maxConcurrent, c.maxHeld, c.ago).Next(fleetNow)
			require.Equal(t, c.start, strings.Join(next.Start, " "))
			require.Equal(t, c.state, next.State)
			require.Equal(t, c.message, next.Message)
			require.Equal(t, c.state == Held || c.state == Waiting, len(next.Waits) > 0)
		})
	}
}

func TestFleetIsRefused(t *testing.T) {
	good := FleetWanted{Fleet: "prod", Target: "v1.37.2", Waves: [][]string{{"a"}, {"b", "c"}}}
	_, err := NewFleet(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*FleetWanted){
		`fleet: is "", wanted a name without spaces and slashes`:                          func(w *FleetWanted) { w.Fleet = "" },
		`fleet: is "a/b", wanted a name without spaces and slashes`:                       func(w *FleetWanted) { w.Fleet = "a/b" },
		`targetVersion: "latest" is not a Kubernetes version`:                             func(w *FleetWanted) { w.Target = "latest" },
		`maxConcurrent: is -1, wanted at least 1`:                                         func(w *FleetWanted) { w.MaxConcurrent = -1 },
		`maxHeld: is -1, wanted at least 0`:                                               func(w *FleetWanted) { w.MaxHeld = -1 },
		`soak: is -1s, wanted a duration like 30m`:                                        func(w *FleetWanted) { w.Soak = Duration(-time.Second) },
		`waves: there are none, wanted clusters by name, like [["canary"],["eu1","eu2"]]`: func(w *FleetWanted) { w.Waves = nil },
		`waves: number 2 has no clusters`:                                                 func(w *FleetWanted) { w.Waves = [][]string{{"a"}, {}} },
		`waves: "../a" is not a cluster's name`:                                           func(w *FleetWanted) { w.Waves = [][]string{{"../a"}} },
		`waves: a is named twice`:                                                         func(w *FleetWanted) { w.Waves = [][]string{{"a"}, {"a"}} },
	} {
		w := good
		change(&w)
		_, err := NewFleet(w)
		require.ErrorContains(t, err, want)
	}
}

func TestFleetDecisions(t *testing.T) {
	s := fleetOf(t, "a=done b=failed c=aborted | d=held e=running f=skipped g", 9, 9, 0)
	again, err := s.Retry("")
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c"}, again)
	for name, want := range map[string]string{"b": "", "f": "", "a": "a is done, so there is nothing to start again", "e": "e is running", "g": "g is pending",
		"d": "d is held and has not failed", "x": `no cluster "x"`} {
		_, err := s.Retry(name)
		if want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
	_, err = fleetOf(t, "a=held b", 1, 0, 0).Retry("")
	require.ErrorContains(t, err, "no cluster has failed")
	for name, want := range map[string]string{"b": "", "c": "", "d": "", "g": "", "a": "a is done", "e": "e is running", "x": `no cluster "x"`} {
		if err := s.CheckSkip(name); want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// TestFleetKeepsItsRules walks fleets of every shape through whatever may happen to them, and holds each step against the
// rules.
func TestFleetKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := FleetWanted{Fleet: "prod", Target: "v1.37.2", MaxConcurrent: rapid.IntRange(1, 4).Draw(t, "maxConcurrent"),
			MaxHeld: rapid.IntRange(0, 3).Draw(t, "maxHeld"), Soak: Duration(rapid.IntRange(0, 3).Draw(t, "soak")) * Duration(time.Hour)}
		for i := range rapid.IntRange(1, 4).Draw(t, "waves") {
			var names []string
			for j := range rapid.IntRange(1, 4).Draw(t, "clusters") {
				names = append(names, fmt.Sprintf("c%d%d", i, j))
			}
			w.Waves = append(w.Waves, names)
		}
		s, err := NewFleet(w)
		require.NoError(t, err)
		now := fleetNow
		for range 300 {
			next := s.Next(now)
			checkFleetStep(t, s, next, now)
			if next.State.Ended() {
				return
			}
			for _, name := range next.Start {
				c := s.Find(name)
				c.State, c.Started = Running, now
			}
			if len(next.Start) > 0 {
				continue
			}
			if !next.Until.IsZero() && rapid.Bool().Draw(t, "soaks") {
				now = next.Until
				continue
			}
			happen(t, &s, now)
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute)
		}
	})
}

// happen lets one thing happen: to a cluster that is under way, or by a person.
func happen(t *rapid.T, s *FleetStatus, now time.Time) {
	i := rapid.IntRange(0, len(s.Clusters)-1).Draw(t, "cluster")
	c := &s.Clusters[i]
	switch {
	case c.underWay():
		c.State = rapid.SampledFrom([]State{Running, Held, Paused, Waiting, Done, Done, Failed, Aborted}).Draw(t, "becomes")
	case c.inTrouble() && rapid.Bool().Draw(t, "retry"):
		if _, err := s.Retry(c.Cluster); err == nil {
			c.State, c.Ended = Pending, time.Time{}
		}
	case c.inTrouble():
		require.NoError(t, s.CheckSkip(c.Cluster))
		c.State = Skipped
	case rapid.IntRange(0, 9).Draw(t, "pause") == 0:
		s.Paused = !s.Paused
	}
	if c.State.Ended() && c.Ended.IsZero() {
		c.Ended = now
	}
}

func checkFleetStep(t *rapid.T, s FleetStatus, next FleetNext, now time.Time) {
	underWay, trouble, moving := 0, 0, 0
	for _, c := range s.Clusters {
		if c.underWay() {
			underWay++
		}
		if c.inTrouble() {
			trouble++
		}
		if c.moves() {
			moving++
		}
	}
	if len(next.Start) > 0 {
		require.LessOrEqual(t, underWay+len(next.Start), s.MaxConcurrent)
		require.LessOrEqual(t, trouble, s.MaxHeld)
		require.False(t, s.Paused)
	}
	for _, name := range next.Start {
		c := s.Find(name)
		require.Equal(t, Pending, c.State)
		for _, earlier := range s.Clusters {
			if earlier.Wave < c.Wave {
				require.True(t, earlier.State.Ended() || earlier.State == Held, "%s is %s", earlier.Cluster, earlier.State)
				if earlier.State == Done {
					require.False(t, now.Before(earlier.Ended.Add(s.Soak.Std())), "%s soaks", earlier.Cluster)
				}
			}
		}
	}
	// Where nothing happens by itself a person is told, with what can be done.
	if len(next.Start) == 0 && moving == 0 && next.Until.IsZero() && !next.State.Ended() {
		require.Contains(t, []State{Held, Paused}, next.State)
		require.NotEmpty(t, next.Waits[0].Choices)
	}
	if next.State == Done {
		for _, c := range s.Clusters {
			require.Contains(t, []State{Done, Skipped}, c.State)
		}
	}
}
