package awstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
)

// Blow is what befalls one request.
type Blow struct {
	Name string
	Fate fate.Fate
	Kill bool // the worker dies: its context ends
}

// Blows are all that may befall one.
var Blows = []Blow{
	{"killed before it was done", fate.CutOff, true},
	{"killed after it was done", fate.Lost, true},
	{"the answer is lost", fate.Lost, false},
	{"throttled", fate.Throttled, false},
}

// Strikes say how a walk is struck.
type Strikes struct {
	Name string
	Most int               // calls for one step, until it must have succeeded
	By   func(n int) *Blow // what befalls the n-th request; nil: nothing
}

// Walk does all that is tried over a fake of its own, by Strike, and returns how many requests were hit.
type Walk func(t *testing.T, s Strikes) (hits int)

// Strike walks over a fake whose requests are struck, each step called until it succeeds, and returns how many were hit.
func Strike[A any](t *testing.T, over *fate.Server, adapter func() A, s Strikes, walk func(Caller[A])) (hits int) {
	t.Helper()
	var mu sync.Mutex // an answer that was lost may still be under way
	var die context.CancelFunc
	var hit []string
	fates := map[int]*Blow{}
	over.Decide = func(n int, action string) fate.Fate {
		now := s.By(n)
		mu.Lock()
		defer mu.Unlock()
		if fates[n] = now; now == nil {
			return fate.Answered
		}
		hit = append(hit, now.Name+": "+action)
		return now.Fate
	}
	over.After = func(n int, _ string) {
		mu.Lock()
		defer mu.Unlock()
		if now := fates[n]; now != nil && now.Kill {
			die()
		}
	}
	failed := t.Failed()
	defer func() {
		if t.Failed() && !failed {
			t.Logf("%s: %q", s.Name, hit)
		}
	}()
	walk(Caller[A]{T: t, Make: adapter, Most: s.Most, Context: func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		mu.Lock()
		defer mu.Unlock()
		die = cancel
		return ctx, cancel
	}})
	mu.Lock()
	defer mu.Unlock()
	return len(hit)
}

// AtEachRequest walks once for each request and each blow, and lets pawl go on. A walk has at least so many requests.
func AtEachRequest(t *testing.T, least int, walk Walk) {
	t.Helper()
	requests := 0
	walk(t, Strikes{Name: "none", Most: 1, By: func(n int) *Blow { requests = n; return nil }})
	require.Greater(t, requests, least)
	for _, b := range Blows {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= requests; n++ {
				hits := walk(t, Strikes{Name: fmt.Sprintf("request %d", n), Most: 2, By: func(at int) *Blow {
					if at != n {
						return nil
					}
					return &b
				}})
				require.Equal(t, 1, hits)
			}
			t.Logf("%d requests", requests)
		})
	}
}

// AtRandom strikes one request in fifteen, in any of the ways.
func AtRandom(t *testing.T, walk Walk) {
	t.Helper()
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		walk(t, Strikes{Name: fmt.Sprintf("seed %d", seed), Most: 100, By: func(int) *Blow {
			if random.IntN(15) > 0 {
				return nil
			}
			return &Blows[random.IntN(len(Blows))]
		}})
	}
}
