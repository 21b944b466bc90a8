package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/awstest"
	"github.com/pawl-dev/pawl/internal/aws/fake"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// provider is activities.NodeProvider, as this package sees it.
type provider interface {
	Check(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) []upgrade.Finding
	Begin(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) (json.RawMessage, error)
	Add(ctx context.Context, r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) (upgrade.Machine, error)
	Withdraw(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error
	Readmit(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error
	TakesJoin() bool
	Remove(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error
	End(ctx context.Context, r upgrade.Replacement, snapshot json.RawMessage) error
}

var (
	_ provider = (*Group)(nil)
	_ provider = (*Instances)(nil)
)

const arn = "arn:aws:elasticloadbalancing:eu-north-1:1:targetgroup/workers/1"

var (
	hop  = upgrade.Replacement{Cluster: "prod", Pool: "workers", Version: upgrade.MustVersion("v1.37.2"), Run: "upgrade-prod/7 hop 1", Surge: 1}
	join = upgrade.Join{Endpoint: "10.0.0.1:6443", Token: "abcdef.0123456789abcdef", CACertHash: "sha256:" + strings.Repeat("ab", 32)}
)

func quickly(url string) *cloud {
	c := awstest.Quick(url)
	return &cloud{ec2: ec2.NewFromConfig(c), elb: elb.NewFromConfig(c), first: time.Microsecond, most: time.Microsecond, place: url}
}

func groupAt(t *testing.T, url string, c GroupConfig) *Group {
	t.Helper()
	require.NoError(t, c.Validate())
	return &Group{cloud: quickly(url), api: autoscaling.NewFromConfig(awstest.Quick(url)), config: c}
}

func instancesAt(t *testing.T, url string, c InstancesConfig) *Instances {
	t.Helper()
	require.NoError(t, c.Validate())
	return &Instances{cloud: quickly(url), config: c}
}

// start serves an AWS with images.
func start(t *testing.T) *fake.AWS {
	t.Helper()
	a := fake.New()
	for _, v := range []string{"old", "new", "newer"} {
		a.Images["ami-"+v] = &fake.Image{ID: "ami-" + v, Name: "kubernetes-" + v, State: "available", Created: "2026-11-01"}
	}
	a.Images["ami-new"].Name = "kubernetes-v1.37.2-a"
	a.Start()
	t.Cleanup(a.Close)
	return a
}

// startGroup serves an AWS with a group in as many zones as it has machines, behind a target group.
func startGroup(t *testing.T, size int) (*fake.AWS, *fake.Group) {
	t.Helper()
	a := start(t)
	return a, addGroup(a, size)
}

func addGroup(a *fake.AWS, size int) *fake.Group {
	g := a.NewGroup("workers", size, []string{"z-a", "z-b", "z-c"}[:max(1, min(size, 3))]...)
	g.TargetGroups, a.Targets[arn] = []string{arn}, map[string]*fake.Target{}
	for _, m := range g.Members {
		a.Targets[arn][m.ID] = &fake.Target{State: "healthy"}
	}
	return g
}

// nodes are the machines of a group or of plain instances as a cluster knows them.
func nodes(a *fake.AWS) []upgrade.Machine {
	var all []upgrade.Machine
	for n, id := range a.Living() {
		i := a.Instances[id]
		all = append(all, upgrade.Machine{ID: "aws:///" + i.Zone + "/" + id, Node: fmt.Sprintf("worker-%d", n), Address: i.IP, Zone: i.Zone})
	}
	return all
}

// caller calls a provider as the workflow does.
type caller struct{ awstest.Caller[provider] }

// replaceAll is a whole hop. Between the steps of a slot each is called once more, as after a lost answer.
func (c caller) replaceAll(r upgrade.Replacement, old []upgrade.Machine, twice bool) {
	c.T.Helper()
	times := 1
	if twice {
		times = 2
	}
	var kept json.RawMessage
	for range times {
		was := kept
		c.Until("begin", func(ctx context.Context, p provider) (err error) { kept, err = p.Begin(ctx, r, old); return err })
		if was != nil {
			require.JSONEq(c.T, string(was), string(kept), "the second Begin says how things were before the first")
		}
	}
	for _, m := range old {
		var made upgrade.Machine
		for range times {
			was := made
			c.Until("add", func(ctx context.Context, p provider) (err error) {
				made, err = p.Add(ctx, r, upgrade.Slot{Old: m}, join)
				return err
			})
			if was.ID != "" {
				require.Equal(c.T, was, made)
			}
		}
		require.NotEmpty(c.T, made.Address)
		for range times {
			c.Until("withdraw", func(ctx context.Context, p provider) error { return p.Withdraw(ctx, r, m) })
		}
		for range times {
			c.Until("remove", func(ctx context.Context, p provider) error { return p.Remove(ctx, r, m) })
		}
	}
	for range times {
		c.Until("end", func(ctx context.Context, p provider) error { return p.End(ctx, r, kept) })
	}
}

func callerOf(t *testing.T, p provider) caller { return caller{awstest.Plainly(t, p)} }

// want whole: the group is as it was, of new machines.
func requireReplaced(t *testing.T, a *fake.AWS, g *fake.Group, size int, image string) {
	t.Helper()
	a.Do(func() {
		require.Len(t, g.Members, size)
		require.Len(t, a.Living(), size)
		require.Len(t, a.Instances, 2*size, "each new machine was launched once")
		for _, m := range g.Members {
			require.Equal(t, "InService", m.Life)
			require.Equal(t, image, m.Image)
			require.False(t, m.Protected)
			require.Equal(t, "healthy", a.Targets[arn][m.ID].State)
		}
		require.Len(t, a.Targets[arn], size)
	})
	requireRestored(t, a, g, size)
}

// requireRestored: the group's settings are as startGroup makes them.
func requireRestored(t *testing.T, a *fake.AWS, g *fake.Group, size int) {
	t.Helper()
	a.Do(func() {
		require.Equal(t, []int{size, size}, []int{g.Desired, g.Max})
		require.Empty(t, slices.Collect(maps.Keys(g.Suspended)))
		require.False(t, g.ProtectNew)
		for key := range g.Tags {
			require.NotContains(t, key, tagPrefix)
		}
		for _, id := range a.Living() {
			require.Empty(t, a.Instances[id].Tags[tagOld])
			require.Empty(t, a.Instances[id].Tags[tagUnprotect])
		}
		for _, m := range g.Members {
			require.False(t, m.Protected)
		}
	})
}

// spread counts a group's machines by zone.
func spread(g *fake.Group) map[string]int {
	n := map[string]int{}
	for _, m := range g.Members {
		n[m.Zone]++
	}
	return n
}
