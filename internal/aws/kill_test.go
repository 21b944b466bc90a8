package aws

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/awstest"
	"github.com/pawl-dev/pawl/internal/aws/fake"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

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

// walks are hops of each subject, struck as they say.
func walks(build func(*testing.T, *fake.AWS) subject) awstest.Walk {
	return func(t *testing.T, s awstest.Strikes) int {
		t.Helper()
		a := fake.New()
		a.Images["ami-new"] = &fake.Image{ID: "ami-new", State: "available"}
		a.Start()
		defer a.Close()
		pool := build(t, a)
		hits := awstest.Strike(t, &a.Server, func() provider { return pool.p }, s, func(c awstest.Caller[provider]) {
			caller{c}.replaceAll(hop, pool.old, false)
		})
		pool.whole(t)
		return hits
	}
}

// TestKilledAtEachRequest runs a hop once for each of its requests and each blow, and lets pawl go on: nothing is made twice,
// nothing is left over, and all settings are as they were.
func TestKilledAtEachRequest(t *testing.T) {
	for name, build := range subjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			awstest.AtEachRequest(t, 30, walks(build))
		})
	}
}

func TestStruckAtRandom(t *testing.T) {
	for name, build := range subjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			awstest.AtRandom(t, walks(build))
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
		callerOf(t, s.p).Until("end", func(ctx context.Context, p provider) error { return p.End(ctx, hop, nil) })
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
