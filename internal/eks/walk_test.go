package eks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/eks/fake"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// threeMinors are the updates of a walk from 1.34 to 1.37, in order: none is begun twice.
var threeMinors = []string{
	"addon/vpc-cni v1.20.4-eksbuild.2",
	" 1.35", "addon/kube-proxy v1.35.1-eksbuild.2",
	" 1.36", "addon/kube-proxy v1.36.1-eksbuild.2",
	"addon/coredns v1.11.4-eksbuild.10",
	" 1.37", "addon/kube-proxy v1.37.1-eksbuild.2", "group/blue 1.37", "group/green 2",
	"addon/coredns v1.12.1-eksbuild.1",
}

func requireWalked(t *testing.T, e *fake.EKS) {
	t.Helper()
	require.Equal(t, threeMinors, started(e))
	e.Do(func() {
		require.Equal(t, "1.37", e.Version)
		require.Equal(t, []string{"1.37", "1.34"}, []string{e.Groups["blue"].Version, e.Groups["green"].Version}, "of a custom image EKS knows no version")
		require.Equal(t, []string{"2", "ami-2"}, []string{e.Groups["green"].TemplateVersion, e.Groups["green"].Release})
		require.Equal(t, []int{1, 1}, []int{e.Groups["blue"].Replaced, e.Groups["green"].Replaced})
		require.Equal(t, []string{"assoc-1"}, e.Addons["vpc-cni"].Pods)
		require.False(t, e.Addons["vpc-cni"].Overwritten)
		require.Equal(t, `{"env":{"ENABLE_PREFIX_DELEGATION":"true"}} arn:aws:iam::1:role/cni`, e.Addons["vpc-cni"].Config+" "+e.Addons["vpc-cni"].Role)
		for _, u := range e.Updates {
			require.Equal(t, "Successful", u.Status)
		}
	})
}

func TestThreeMinors(t *testing.T) {
	e := prod()
	callerOf(t, start(t, e)).walk(v("1.37"), upgrade.FewestDrains)
	requireWalked(t, e)
	t.Logf("%d requests", e.Requests)
}

// TestEveryMinor: where groups must match the control plane, they move with it.
func TestEveryMinor(t *testing.T) {
	e := prod()
	e.Strict = true
	delete(e.Groups, "green")
	callerOf(t, start(t, e)).walk(v("1.37"), upgrade.EveryMinor)
	e.Do(func() {
		require.Equal(t, "1.37", e.Groups["blue"].Version)
		require.Equal(t, 3, e.Groups["blue"].Replaced)
	})
}

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

// struckBy walks three minors, with requests struck as by says, each step called until it succeeds.
func struckBy(t *testing.T, most int, name string, by func(n int) *blow) (hits int) {
	t.Helper()
	e := prod()
	e.Start()
	defer e.Close()
	var mu sync.Mutex // an answer that was lost may still be under way
	var die context.CancelFunc
	var hit []string
	fates := map[int]*blow{}
	e.Decide = func(n int, action string) fake.Fate {
		now := by(n)
		mu.Lock()
		defer mu.Unlock()
		if fates[n] = now; now == nil {
			return fake.Answered
		}
		hit = append(hit, now.name+": "+action)
		return now.fate
	}
	e.After = func(n int, _ string) {
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
	c := &caller{t: t, most: most, make: func() *Cluster { return at(t, e.URL, Config{Name: "prod"}) }, context: func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		mu.Lock()
		defer mu.Unlock()
		die = cancel
		return ctx, cancel
	}}
	c.walk(v("1.37"), upgrade.FewestDrains)
	requireWalked(t, e)
	mu.Lock()
	defer mu.Unlock()
	return len(hit)
}

// TestStruckAtEachRequest walks three minors once for each of the requests and each blow, and lets pawl go on: no update is
// begun twice, and all are begun in the right order.
func TestStruckAtEachRequest(t *testing.T) {
	requests := 0
	struckBy(t, 1, "none", func(n int) *blow { requests = n; return nil })
	require.Greater(t, requests, 200)
	for _, b := range blows {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= requests; n++ {
				hits := struckBy(t, 2, fmt.Sprintf("request %d", n), func(at int) *blow {
					if at != n {
						return nil
					}
					return &b
				})
				require.Equal(t, 1, hits)
			}
			t.Logf("%d requests", requests)
		})
	}
}

// TestEachVerbStruck strikes each change alone, going back too, whose update fails or not: one is begun under a key, and it ends
// as it would have.
func TestEachVerbStruck(t *testing.T) {
	for name, verb := range verbs {
		for _, code := range []string{"", "AccessDenied"} {
			requests := 1 << 30
			for n := 0; n <= requests; n++ {
				for _, b := range blows {
					e := ready()
					if code != "" {
						e.FailNext[verb.part] = []string{code}
					}
					ctx, die := context.WithTimeout(t.Context(), 20*time.Second)
					e.Decide = func(at int, _ string) fake.Fate {
						if at == n {
							return b.fate
						}
						return fake.Answered
					}
					e.After = func(at int, _ string) {
						if at == n && b.kill {
							die()
						}
					}
					e.Start()
					note := fmt.Sprintf("%s, %q, request %d %s", name, code, n, b.name)
					_, err := verb.call(ctx, at(t, e.URL, Config{Name: "prod"}), "run/1")
					if ctx.Err() != nil {
						require.Contains(t, []fault.Kind{fault.OutcomeUnknown, fault.Unreachable}, fault.KindOf(err), "%s: %v", note, err)
						_, err = verb.call(t.Context(), at(t, e.URL, Config{Name: "prod"}), "run/1")
					}
					die()
					if n == 0 {
						e.Do(func() { requests = e.Requests })
					}
					if code == "" {
						require.NoError(t, err, note)
					} else {
						require.ErrorContains(t, err, code, note)
					}
					e.Do(func() { require.Len(t, e.Updates, 1, note) })
					e.Close()
				}
			}
		}
	}
}

// TestStruckAtRandom strikes one request in fifteen, in any of the ways.
func TestStruckAtRandom(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		struckBy(t, 100, fmt.Sprintf("seed %d", seed), func(int) *blow {
			if random.IntN(15) > 0 {
				return nil
			}
			return &blows[random.IntN(len(blows))]
		})
	}
}
