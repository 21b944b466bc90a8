package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake"
	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// begun is a group of three that has begun to be replaced.
type begun struct {
	t   *testing.T
	a   *fake.AWS
	g   *fake.Group
	p   *Group
	old []upgrade.Machine
}

func beginGroup(t *testing.T, world func(*fake.AWS, *fake.Group)) *begun {
	t.Helper()
	a, g := startGroup(t, 3)
	if world != nil {
		world(a, g)
	}
	b := &begun{t: t, a: a, g: g, p: groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"}), old: nodes(a)}
	_, err := b.p.Begin(t.Context(), hop, b.old)
	require.NoError(t, err)
	return b
}

func (b *begun) add(n, try int) (upgrade.Machine, error) {
	return b.p.Add(b.t.Context(), hop, upgrade.Slot{Old: b.old[n], Try: try}, join)
}

func (b *begun) mustAdd(n, try int) upgrade.Machine {
	b.t.Helper()
	m, err := b.add(n, try)
	require.NoError(b.t, err)
	return m
}

func (b *begun) remove(m upgrade.Machine) {
	b.t.Helper()
	require.NoError(b.t, b.p.Remove(b.t.Context(), hop, m))
}

func (b *begun) end() {
	b.t.Helper()
	require.NoError(b.t, b.p.End(b.t.Context(), hop, nil))
}

// rest lets the group do for a while what it does by itself.
func (b *begun) rest() {
	b.t.Helper()
	for range 40 {
		_, err := b.p.look(b.t.Context())
		require.NoError(b.t, err)
	}
}

// finish replaces what is left and looks whether all is well.
func (b *begun) finish(from, made int) {
	b.t.Helper()
	for n := from; n < 3; n++ {
		b.mustAdd(n, 0)
		b.remove(b.old[n])
	}
	b.end()
	b.rest()
	requireRestored(b.t, b.a, b.g, 3)
	require.Len(b.t, b.a.Living(), 3)
	require.Len(b.t, b.a.Instances, 3+made)
}

var byDesired = func(a *fake.AWS, g *fake.Group) { a.Without["LaunchInstances"] = true; uneven(g) }

func TestAddIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*fake.AWS, *fake.Group)
		world  func(*fake.AWS, *fake.Group)
		kind   fault.Kind
		says   string
	}{
		"no capacity":          {world: all("InsufficientInstanceCapacity"), kind: fault.PreflightFailed, says: "AWS has no such capacity in this zone now"},
		"quota":                {world: all("VcpuLimitExceeded"), kind: fault.PreflightFailed, says: "have the account's quota raised"},
		"no capacity, desired": {before: byDesired, world: all("InsufficientInstanceCapacity"), kind: fault.PreflightFailed, says: "AWS has no such capacity in this zone now"},
		"quota, desired":       {before: byDesired, world: all("VcpuLimitExceeded"), kind: fault.PreflightFailed, says: "have the account's quota raised"},
		"maximum lowered":      {world: func(_ *fake.AWS, g *fake.Group) { g.Max = 3 }, kind: fault.PreflightFailed, says: "above max value 3"},
		"maximum, desired":     {before: byDesired, world: func(_ *fake.AWS, g *fake.Group) { g.Max = 3 }, kind: fault.PreflightFailed, says: "somebody lowered its maximum"},
		"throttling storm": {world: func(a *fake.AWS, _ *fake.Group) {
			a.Decide = func(_ int, action string) fate.Fate {
				return map[bool]fate.Fate{true: fate.Throttled}[action == "LaunchInstances"]
			}
		}, kind: fault.Conflict, says: "AWS says Throttling"},
		"tags are gone": {world: func(_ *fake.AWS, g *fake.Group) { clear(g.Tags) }, kind: fault.PreflightFailed, says: "it has lost pawl's tags"},
	} {
		t.Run(name, func(t *testing.T) {
			b := beginGroup(t, c.before)
			b.a.Do(func() { c.world(b.a, b.g) })
			for range 2 {
				_, err := b.add(0, 0)
				require.Equal(t, c.kind, fault.KindOf(err), "%v", err)
				require.ErrorContains(t, err, c.says)
			}
			require.Equal(t, 3, b.g.Desired)
			b.a.Do(func() { // it is put right, and goes on where it was
				clear(b.a.Capacity)
				b.a.Decide, b.g.Max = nil, 4
			})
			if name == "tags are gone" {
				require.NoError(t, b.p.End(t.Context(), hop, []byte(`{"desired":3,"max":3,"raised":4,"resume":["AZRebalance","AlarmNotification","InstanceRefresh","ReplaceUnhealthy","ScheduledActions"],"template":"1","source":"1","named":true,"pinned":"2","made":true}`)))
				require.Equal(t, "1", b.g.Version)
				require.Len(t, b.a.Templates["workers"].Versions, 1)
				return
			}
			b.mustAdd(0, 0)
			b.remove(b.old[0])
			if c.before != nil {
				defer func() { b.g.Suspended = map[string]bool{} }()
			}
			for n := 1; n < 3; n++ {
				b.mustAdd(n, 0)
				b.remove(b.old[n])
			}
			b.end()
			delete(b.g.Suspended, "AZRebalance")
			requireRestored(t, b.a, b.g, 3)
			require.Len(t, b.a.Instances, 6)
		})
	}
}

func all(code string) func(*fake.AWS, *fake.Group) {
	return func(a *fake.AWS, g *fake.Group) {
		for _, z := range g.Zones {
			a.Capacity[z] = code
		}
	}
}

func TestAMachineThatDies(t *testing.T) {
	for name, before := range map[string]func(*fake.AWS, *fake.Group){"by name": nil, "by desired capacity": byDesired} {
		t.Run(name, func(t *testing.T) {
			b := beginGroup(t, before)
			b.a.Do(func() { b.a.Stillborn = 1 })
			_, err := b.add(0, 0)
			if err == nil { // the group made another by itself, before the first was known to be the slot's
				b.remove(b.old[0])
				delete(b.g.Suspended, "AZRebalance")
				b.a.Do(func() { b.g.Zones = b.g.Zones[:1] })
				b.finish(1, 4)
				return
			}
			require.Equal(t, fault.VerificationFailed, fault.KindOf(err), "%v", err)
			require.ErrorContains(t, err, "died before it was a node")
			_, err = b.add(0, 0)
			require.Equal(t, fault.VerificationFailed, fault.KindOf(err), "%v", err)
			b.rest()
			b.mustAdd(0, 1)
			b.remove(b.old[0])
			for n := 1; n < 3; n++ {
				b.mustAdd(n, 0)
				b.remove(b.old[n])
			}
			b.end()
			delete(b.g.Suspended, "AZRebalance")
			requireRestored(t, b.a, b.g, 3)
			require.Len(t, b.a.Living(), 3)
			require.Len(t, b.a.Instances, 3+3+1)
		})
	}
}

func TestAMachineThatDidNotJoinIsRemoved(t *testing.T) {
	b := beginGroup(t, nil)
	made := b.mustAdd(0, 0)
	require.Equal(t, 4, b.g.Desired)
	b.remove(made)
	b.remove(made)
	require.Equal(t, 3, b.g.Desired)
	require.Equal(t, "terminated", b.a.Instances[made.ID].State)
	b.end()
	requireRestored(t, b.a, b.g, 3)
	require.Equal(t, "1", b.g.Version, "nothing was replaced: the old version is back")
	require.Len(t, b.a.Templates["workers"].Versions, 1, "and the one that pawl made is gone")
}

func TestPartlyReplaced(t *testing.T) {
	b := beginGroup(t, nil)
	b.mustAdd(0, 0)
	b.remove(b.old[0])
	left := b.mustAdd(1, 0) // its old machine stays
	b.end()
	b.rest()
	require.Equal(t, "2", b.g.Version, "the group is on its way to the new version")
	require.Equal(t, []int{4, 4}, []int{b.g.Desired, b.g.Max}, "nothing is ended that nobody named")
	require.Equal(t, "running", b.a.Instances[left.ID].State)
	require.Len(t, b.a.Living(), 4)
	require.Empty(t, b.g.Suspended)
	next := hop
	next.Run = "another"
	require.NoError(t, b.p.Remove(t.Context(), next, left))
	require.Equal(t, 3, b.g.Desired)
}

func TestARecordThatWasNotRemovedCountsNoMachine(t *testing.T) {
	b := beginGroup(t, func(a *fake.AWS, g *fake.Group) { byDesired(a, g); g.Max = 9 })
	b.mustAdd(0, 0)
	b.a.Do(func() { // it was killed between the machine's tag and the record's end
		b.g.Tags[tagWant+hop.Key(upgrade.Slot{Old: b.old[0]})] = want{old: mustID(t, b.old[0]), since: noActivity}.encode()
	})
	b.mustAdd(1, 0)
	b.rest()
	require.Len(t, b.a.Living(), 5)
}

func TestHooksAreWaitedFor(t *testing.T) {
	b := beginGroup(t, func(_ *fake.AWS, g *fake.Group) { g.LaunchHook, g.EndHook = true, true })
	waited := 0
	b.a.Do(func() {
		b.a.After = func(int, string) { // the hook's owner
			b.a.Do(func() {
				for _, m := range b.g.Members {
					if strings.HasSuffix(m.Life, ":Wait") {
						if waited++; waited%5 == 0 {
							b.g.Complete(m.ID)
						}
					}
				}
			})
		}
	})
	b.finish(0, 3)
	require.Greater(t, waited, 20)
	require.NotContains(t, b.a.Done, "CompleteLifecycleAction")
}

func TestAHookThatTimesOut(t *testing.T) {
	b := beginGroup(t, func(_ *fake.AWS, g *fake.Group) { g.LaunchHook = true })
	b.a.After = func(int, string) {
		b.a.Do(func() {
			for _, m := range b.g.Members {
				if m.Life == "Pending:Wait" {
					b.g.Abandon(m.ID)
				}
			}
		})
	}
	_, err := b.add(0, 0)
	require.Equal(t, fault.VerificationFailed, fault.KindOf(err), "%v", err)
	b.a.Do(func() { b.a.After, b.g.LaunchHook = nil, false })
	b.rest()
	b.mustAdd(0, 1)
	b.remove(b.old[0])
	for n := 1; n < 3; n++ {
		b.mustAdd(n, 0)
		b.remove(b.old[n])
	}
	b.end()
	requireRestored(t, b.a, b.g, 3)
	require.Len(t, b.a.Living(), 3)
}

func TestSomebodyChangesTheDesiredCapacity(t *testing.T) {
	for _, by := range []int{-1, -2, 1} {
		for _, at := range []string{"before the first", "between add and remove"} {
			t.Run(fmt.Sprintf("%+d %s", by, at), func(t *testing.T) {
				least := 3
				if least += min(by, 0); at != "before the first" {
					least++
				}
				least = min(least, 3)
				b := beginGroup(t, func(_ *fake.AWS, g *fake.Group) { g.Min = least; g.Max = 8 })
				if at == "before the first" {
					b.a.Do(func() { b.g.Desired += by })
				}
				b.mustAdd(0, 0)
				if at != "before the first" {
					b.a.Do(func() { b.g.Desired += by })
				}
				b.rest()
				for _, m := range b.old {
					require.Contains(t, b.a.Living(), mustID(t, m), "the group ends none of its own accord")
				}
				b.remove(b.old[0])
				for n := 1; n < 3; n++ {
					b.mustAdd(n, 0)
					b.remove(b.old[n])
				}
				b.end()
				b.rest()
				size := len(b.a.Living()) // what came of it stays, or was used; no machine is ended for it
				require.Contains(t, []int{3, 3 + max(0, by)}, size)
				require.Equal(t, []int{least, size, 8}, []int{b.g.Min, b.g.Desired, b.g.Max})
				for _, m := range b.old {
					require.NotContains(t, b.a.Living(), mustID(t, m))
				}
			})
		}
	}
}

func mustID(t *testing.T, m upgrade.Machine) string {
	t.Helper()
	id, err := identity(m)
	require.NoError(t, err)
	return id
}

func TestSpotTakesAThirdNode(t *testing.T) {
	b := beginGroup(t, nil)
	b.mustAdd(0, 0)
	b.a.Do(func() { b.a.Kill(mustID(t, b.old[2])) })
	b.remove(b.old[0])
	b.mustAdd(1, 0)
	b.remove(b.old[1])
	b.remove(b.old[2]) // it is no machine any more, and takes its place in the group with it
	b.end()
	b.rest()
	requireRestored(t, b.a, b.g, 3)
	require.Len(t, b.a.Living(), 3, "the group itself makes what is missing")
	for _, m := range b.g.Members {
		require.Equal(t, "ami-new", m.Image)
	}
}

func TestAZonesBalanceIsNotRestoredOnTheWay(t *testing.T) {
	b := beginGroup(t, nil)
	for n := range 3 { // all in one zone's favour
		b.mustAdd(n, 0)
		b.rest()
		require.Len(t, b.a.Living(), 4)
		b.remove(b.old[n])
		b.rest()
		require.Len(t, b.a.Living(), 3)
	}
	b.end()
}

func TestSeveralAtATime(t *testing.T) {
	for name, before := range map[string]func(*fake.AWS, *fake.Group){"by name": nil, "by desired capacity": byDesired} {
		t.Run(name, func(t *testing.T) {
			a, g := startGroup(t, 3)
			if before != nil {
				before(a, g)
			}
			p, old, r := groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"}), nodes(a), hop
			r.Surge = 3
			kept, err := p.Begin(t.Context(), r, old)
			require.NoError(t, err)
			var made sync.Map
			var group sync.WaitGroup
			for _, m := range old {
				group.Go(func() {
					one, err := p.Add(t.Context(), r, upgrade.Slot{Old: m}, join)
					if err == nil {
						made.Store(one.ID, true)
						err = p.Withdraw(t.Context(), r, m)
					}
					if err == nil {
						err = p.Remove(t.Context(), r, m)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			require.NoError(t, p.End(t.Context(), r, kept))
			delete(g.Suspended, "AZRebalance")
			requireReplaced(t, a, g, 3, "ami-new")
			n := 0
			made.Range(func(any, any) bool { n++; return true })
			require.Equal(t, 3, n, "each slot has a machine of its own")
		})
	}
}

func TestAnEarlierRunThatNeverEnded(t *testing.T) {
	b := beginGroup(t, nil)
	b.mustAdd(0, 0) // and then nobody heard of it again
	old := nodes(b.a)
	next := hop
	next.Run, next.Version = "upgrade-prod/8 hop 1", upgrade.MustVersion("v1.37.3")
	p := groupAt(t, b.a.URL, GroupConfig{Name: "workers", Image: "ami-newer"})
	require.Empty(t, p.Check(t.Context(), next, old))
	callerOf(t, p).replaceAll(next, old, false)
	require.Len(t, b.a.Living(), 4)
	require.Equal(t, []int{3, 4, 4}, []int{b.g.Min, b.g.Desired, b.g.Max})
	for _, m := range b.g.Members {
		require.Equal(t, "ami-newer", m.Image)
		require.False(t, m.Protected)
	}
	require.Empty(t, b.g.Suspended)
	require.False(t, b.g.ProtectNew)

	other := hop
	other.Pool, b.g.Tags[tagBefore], b.g.Tags[tagPool] = "another", "desired=3", "prod/workers"
	_, err := p.Begin(t.Context(), other, old)
	require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
	require.ErrorContains(t, err, "it is being replaced as pool prod/workers")
	_, err = p.Begin(t.Context(), hop, old)
	require.ErrorContains(t, err, "it is not as pawl wrote it")
}

func TestWhatAGroupIsRefusedFor(t *testing.T) {
	for says, world := range map[string]func(*fake.AWS, *fake.Group){
		"instance refresh refresh-1 is InProgress": func(_ *fake.AWS, g *fake.Group) { g.Refresh = "InProgress" },
		"it has a warm pool":                       func(_ *fake.AWS, g *fake.Group) { g.WarmPool = true },
		"gives instance types weights":             func(_ *fake.AWS, g *fake.Group) { g.Mixed, g.Weight = true, "2" },
		"its process Launch is suspended":          func(_ *fake.AWS, g *fake.Group) { g.Suspended["Launch"] = true },
		"it is not at rest":                        func(a *fake.AWS, g *fake.Group) { g.Max, g.Desired = 4, 4; all("VcpuLimitExceeded")(a, g) },
	} {
		t.Run(says, func(t *testing.T) {
			a, g := startGroup(t, 3)
			p, old := groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"}), nodes(a)
			a.Do(func() { world(a, g) })
			require.Contains(t, fmt.Sprint(p.Check(t.Context(), hop, old)), says)
			_, err := p.Begin(t.Context(), hop, old)
			require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
			require.ErrorContains(t, err, says)
			for _, action := range []string{"CreateOrUpdateTags", "SuspendProcesses", "UpdateAutoScalingGroup", "CreateLaunchTemplateVersion"} {
				require.NotContains(t, a.Done, action, "nothing was changed")
			}
		})
	}
}

func TestGroupCheck(t *testing.T) {
	a, g := startGroup(t, 3)
	g.LaunchHook, g.Version, g.Classic, g.Tags["k8s.io/cluster-autoscaler/enabled"] = true, "$Latest", []string{"old-elb"}, "true"
	a.Images["ami-new"].State = "pending"
	old := append(nodes(a), upgrade.Machine{Node: "w7", ID: "aws:///z/i-0123"}, upgrade.Machine{Node: "w8"})
	said := fmt.Sprint(groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"}).Check(t.Context(), hop, old))
	for _, says := range []string{"lifecycle hook hook-launching (EC2_INSTANCE_LAUNCHING, at most 3600 s)", "cluster-autoscaler", "classic load balancer (old-elb)",
		"it follows $Latest", "no instance of it has the node w7", "it has neither a provider ID nor an address"} {
		require.Contains(t, said, says)
	}
	require.Contains(t, fmt.Sprint(groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"}).Check(t.Context(), hop, nil)), "it is not available (yet)")
	require.Contains(t, fmt.Sprint(groupAt(t, a.URL, GroupConfig{Name: "workers", TemplateVersion: "9"}).Check(t.Context(), hop, nil)), "it has no version 9")
	require.Contains(t, fmt.Sprint(groupAt(t, a.URL, GroupConfig{Name: "wrokers"}).Check(t.Context(), hop, nil)), "there is none of this name")
	require.False(t, slices.ContainsFunc(a.Done, func(action string) bool { return !strings.HasPrefix(action, "Describe") }), "a check changes nothing")
}

func TestADetachedMachineIsNotEnded(t *testing.T) {
	b := beginGroup(t, nil)
	b.mustAdd(0, 0)
	b.a.Do(func() { b.g.Members = b.g.Members[1:] })
	err := b.p.Remove(context.Background(), hop, b.old[0])
	require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
	require.ErrorContains(t, err, "somebody detached it")
}

func TestDefinitions(t *testing.T) {
	for says, c := range map[string]interface{ Validate() error }{
		"it has no name":                            GroupConfig{},
		"each say what new machines are":            GroupConfig{Name: "g", Image: "ami-1", TemplateVersion: "2"},
		"img is no image":                           GroupConfig{Name: "g", Image: "img"},
		"no imageName goes with them":               GroupConfig{Name: "g", ImageOwners: []string{"self"}},
		"latest is no version":                      GroupConfig{Name: "g", TemplateVersion: "latest"},
		"arn:x is no target group":                  GroupConfig{Name: "g", TargetGroups: []string{"arn:x"}},
		"it may use {{.Version}}":                   GroupConfig{Name: "g", ImageName: "{{.Verzion}}"},
		"none is named":                             InstancesConfig{},
		"vpc-1 is no subnet":                        InstancesConfig{LaunchTemplate: "t", Subnets: []string{"vpc-1"}},
		"pawl.dev/run is AWS's or pawl's own":       InstancesConfig{LaunchTemplate: "t", Tags: map[string]string{"pawl.dev/run": "x"}},
		"image, imageName and templateVersion each": InstancesConfig{LaunchTemplate: "t", Image: "ami-1", ImageName: "x"},
	} {
		err := c.Validate()
		require.Equal(t, fault.InvalidInput, fault.KindOf(err), says)
		require.ErrorContains(t, err, says)
	}
	require.NoError(t, GroupConfig{Name: "g", Image: "resolve:ssm:/images/{{.Version}}"}.Validate())
	require.NoError(t, InstancesConfig{LaunchTemplate: "t", Image: "ami-1", TemplateVersion: "$Latest", TargetGroups: []string{arn}}.Validate())
}

func TestSnapshotsFitATag(t *testing.T) {
	s := snapshot{Desired: 1000, Max: 100000, Raised: 100000, Protect: false, Named: true, Resume: interfering, Template: latest, Source: "10000", Pinned: "10000", Made: true}
	require.LessOrEqual(t, len(s.encode()), 256)
	require.Regexp(t, tagValue, s.encode())
	got, err := decode(s.encode())
	require.NoError(t, err)
	require.Equal(t, s, got.withTemplate(s.encodeTemplate()))
	_, err = decode("desired=x max=1 raised=1 protect=true named=true template=1 source=1 resume=")
	require.ErrorContains(t, err, "it is not as pawl wrote it")
}
