package aws

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// blow is what happens at one request.
type blow struct {
	name string
	fate fake.Fate
	kill bool // the worker dies: its context ends
}

var blows = []blow{
	{"killed before it was done", fake.CutOff, true},
	{"killed after it was done", fake.Lost, true},
	{"the answer is lost", fake.Lost, false},
	{"throttled", fake.Throttled, false},
}

// subject is a pool of two machines, and what must be so at the end.
type subject struct {
	a     *fake.AWS
	p     provider
	old   []upgrade.Machine
	whole func(t *testing.T)
}

var subjects = map[string]func(t *testing.T, a *fake.AWS) subject{
	"group": groupSubject,
	"group without LaunchInstances": func(t *testing.T, a *fake.AWS) subject {
		a.Without["LaunchInstances"] = true
		s := groupSubject(t, a)
		a.Groups["workers"].Zones = []string{"z-a"}
		for _, m := range a.Groups["workers"].Members {
			m.Zone = "z-a"
		}
		s.old = nodes(a)
		return s
	},
	"instances": func(t *testing.T, a *fake.AWS) subject {
		addInstances(a, 2)
		old := nodes(a)
		old[0].ID = "" // found by its address
		return subject{a: a, p: instancesAt(t, a.URL, plainConfig(t)), old: old, whole: func(t *testing.T) { requireInstancesReplaced(t, a, 2) }}
	},
}

func groupSubject(t *testing.T, a *fake.AWS) subject {
	g := addGroup(a, 2)
	g.Members[0].Protected = true // by a person
	g.Min = 0
	old := nodes(a)
	old[0].ID = ""
	return subject{a: a, p: groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"}), old: old, whole: func(t *testing.T) {
		requireReplaced(t, a, g, 2, "ami-new")
		require.Equal(t, "2", g.Version)
		require.Len(t, a.Templates["workers"].Versions, 2)
	}}
}

// TestKilledAtEachRequest runs a hop once for each of its requests and each blow, and lets pawl go on: nothing is made twice,
// nothing is left over, and all settings are as they were.
func TestKilledAtEachRequest(t *testing.T) {
	for name, build := range subjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t)
			s := build(t, a)
			callerOf(t, s.p).replaceAll(hop, s.old, false)
			s.whole(t)
			requests := a.Requests
			require.Greater(t, requests, 30)
			for _, b := range blows {
				for n := 1; n <= requests; n++ {
					hits := struckBy(t, build, 2, fmt.Sprintf("request %d", n), func(at int) *blow {
						if at != n {
							return nil
						}
						return &b
					})
					require.Equal(t, 1, hits)
				}
			}
			t.Logf("%d requests, each struck in %d ways", requests, len(blows))
		})
	}
}

// struckBy runs a hop whose requests are struck as by says, each step called until it succeeds.
func struckBy(t *testing.T, build func(*testing.T, *fake.AWS) subject, most int, name string, by func(n int) *blow) (hits int) {
	t.Helper()
	a := fake.New()
	a.Images["ami-new"] = &fake.Image{ID: "ami-new", State: "available"}
	a.Start()
	defer a.Close()
	s := build(t, a)
	var mu sync.Mutex // an answer that was lost may still be under way
	var die context.CancelFunc
	var hit []string
	fates := map[int]*blow{}
	a.Decide = func(n int, action string) fake.Fate {
		now := by(n)
		mu.Lock()
		defer mu.Unlock()
		if fates[n] = now; now == nil {
			return fake.Answered
		}
		hit = append(hit, now.name+": "+action)
		return now.fate
	}
	a.After = func(n int, _ string) {
		mu.Lock()
		defer mu.Unlock()
		if now := fates[n]; now != nil && now.kill {
			die()
		}
	}
	failed := t.Failed()
	defer func() {
		if t.Failed() && !failed {
			t.Logf("%s: %q", name, hit)
		}
	}()
	c := &caller{t: t, most: most, make: func() provider { return s.p }, context: func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		mu.Lock()
		defer mu.Unlock()
		die = cancel
		return ctx, cancel
	}}
	c.replaceAll(hop, s.old, false)
	s.whole(t)
	mu.Lock()
	defer mu.Unlock()
	return len(hit)
}

// TestStruckAtRandom strikes one request in fifteen, in any of the ways.
func TestStruckAtRandom(t *testing.T) {
	for name, build := range subjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(40) {
				random := rand.New(rand.NewPCG(seed, 1))
				struckBy(t, build, 100, fmt.Sprintf("seed %d", seed), func(int) *blow {
					if random.IntN(15) > 0 {
						return nil
					}
					return &blows[random.IntN(len(blows))]
				})
			}
		})
	}
}

// TestAbandonedAtEachRequest ends a hop at each request before a machine is replaced, and puts the pool back: it is as it was,
// but for the one machine that may have been made.
func TestAbandonedAtEachRequest(t *testing.T) {
	for n := 1; ; n++ {
		a := start(t)
		s := subjects["group"](t, a)
		g := a.Groups["workers"]
		g.Version = "$Latest"
		before := slices.Sorted(maps.Keys(a.Instances))
		ctx, die := context.WithTimeout(t.Context(), 20*time.Second)
		a.After = func(at int, _ string) {
			if at == n {
				die()
			}
		}
		_, err := s.p.Begin(ctx, hop, s.old)
		if err == nil {
			_, err = s.p.Add(ctx, hop, upgrade.Slot{Old: s.old[0]}, join)
		}
		die()
		callerOf(t, s.p).until("end", func(ctx context.Context, p provider) error { return p.End(ctx, hop, nil) })
		note := fmt.Sprintf("request %d", n)
		a.Do(func() {
			require.Empty(t, g.Suspended, note)
			require.Equal(t, "$Latest", g.Version, note)
			require.Len(t, a.Templates["workers"].Versions, 1, note)
			require.Equal(t, []bool{true, false}, []bool{g.Members[0].Protected, g.Members[1].Protected}, note)
			require.False(t, g.ProtectNew, note)
			require.Equal(t, len(g.Members), g.Desired, note)
			require.Equal(t, g.Desired, g.Max, note)
			require.LessOrEqual(t, len(g.Members), 3, note)
			require.Subset(t, a.Living(), before, note)
			for key := range g.Tags {
				require.NotContains(t, key, tagPrefix, note)
			}
			for _, m := range g.Members[2:] {
				require.False(t, m.Protected, note)
			}
		})
		if err == nil {
			require.Greater(t, n, 20)
			return
		}
	}
}
