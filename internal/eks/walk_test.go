package eks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/awstest"
	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
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

// walkStruck walks three minors: no update is begun twice, and all are begun in the right order.
func walkStruck(t *testing.T, s awstest.Strikes) int {
	t.Helper()
	e := prod()
	e.Start()
	defer e.Close()
	hits := awstest.Strike(t, &e.Server, func() *Cluster { return at(t, e.URL, Config{Name: "prod"}) }, s, func(c awstest.Caller[*Cluster]) {
		caller{c}.walk(v("1.37"), upgrade.FewestDrains)
	})
	requireWalked(t, e)
	return hits
}

func TestStruckAtEachRequest(t *testing.T) { awstest.AtEachRequest(t, 200, walkStruck) }

func TestStruckAtRandom(t *testing.T) { awstest.AtRandom(t, walkStruck) }

// TestEachVerbStruck strikes each change alone, going back too, whose update fails or not: one is begun under a key, and it ends
// as it would have.
func TestEachVerbStruck(t *testing.T) {
	for name, verb := range verbs {
		for _, code := range []string{"", "AccessDenied"} {
			requests := 1 << 30
			for n := 0; n <= requests; n++ {
				for _, b := range awstest.Blows {
					e := ready()
					if code != "" {
						e.FailNext[verb.part] = []string{code}
					}
					ctx, die := context.WithTimeout(t.Context(), 20*time.Second)
					e.Decide = func(at int, _ string) fate.Fate {
						if at == n {
							return b.Fate
						}
						return fate.Answered
					}
					e.After = func(at int, _ string) {
						if at == n && b.Kill {
							die()
						}
					}
					e.Start()
					note := fmt.Sprintf("%s, %q, request %d %s", name, code, n, b.Name)
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
