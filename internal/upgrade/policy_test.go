package upgrade

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPolicyIsReadAndWritten(t *testing.T) {
	for _, s := range []string{"newest-patch", "newest-minor", "newest-minor-less-1", "newest-minor-less-12"} {
		p, err := ParsePolicy(s)
		require.NoError(t, err)
		require.Equal(t, s, p.String())
		text, err := json.Marshal(struct {
			P Policy `json:"p,omitzero"`
		}{p})
		require.NoError(t, err)
		require.JSONEq(t, `{"p":"`+s+`"}`, string(text))
		var again Policy
		require.NoError(t, again.UnmarshalText([]byte(s)))
		require.Equal(t, p, again)
	}
	for _, s := range []string{"", "newest", "latest", "newest-minor-less", "newest-minor-less-", "newest-minor-less-0", "newest-minor-less-01",
		"newest-minor-less--1", "newest-minor-less-+1", "newest-minor-less-21", "newest-patch-less-1", "Newest-Patch"} {
		_, err := ParsePolicy(s)
		require.EqualError(t, err, `"`+s+`" is not a policy, wanted newest-patch, newest-minor or newest-minor-less-1`)
	}
	var none Policy
	require.NoError(t, none.UnmarshalText(nil))
	require.True(t, none.IsZero())
	require.Error(t, none.UnmarshalText([]byte("latest")))
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("newest-minor-less-1")
	f.Add("newest-patch")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePolicy(s); err == nil && p.String() != s {
			t.Errorf("%q became %q", s, p)
		}
	})
}

// offered is a cluster of one control plane node and two workers at a version, all offered these.
func offered(at string, releases ...string) Cluster {
	v := MustVersion(at)
	c := Cluster{Name: "lab", Version: v, Nodes: []Node{nodeAt("cp1", true, v), nodeAt("w1", false, v), nodeAt("w2", false, v)}}
	offer(&c, releases...)
	return c
}

func TestPolicyChoosesTheTarget(t *testing.T) {
	with := func(c Cluster, change func(*Cluster)) Cluster { change(&c); return c }
	for name, tc := range map[string]struct {
		policy  string
		cluster Cluster
		want    string
		hops    int
		why     string // the whole finding
		refused string // what the plan's only error says
	}{
		"newest patch": {policy: "newest-patch", cluster: offered("v1.36.3", "v1.36.3", "v1.36.4", "v1.36.6", "v1.37.2"), want: "v1.36.6", hops: 1,
			why: "newest-patch: v1.36.6 is the newest release of v1.36 that all nodes are offered"},
		"newest patch is there": {policy: "newest-patch", cluster: offered("v1.36.6", "v1.36.3", "v1.36.6", "v1.37.2"), want: "v1.36.6",
			why: "newest-patch: v1.36.6 is the newest release of v1.36 that all nodes are offered"},
		"newest patch that all are offered": {policy: "newest-patch", want: "v1.36.4", hops: 1,
			cluster: with(offered("v1.36.3", "v1.36.4", "v1.36.6"), func(c *Cluster) { c.Nodes[2].Host.Available = versions("v1.36.4", "v1.36.5") }),
			why:     "newest-patch: v1.36.4 is the newest release of v1.36 that all nodes are offered; v1.36.6 is not offered to w2"},
		"pre-releases do not count": {policy: "newest-patch", cluster: offered("v1.36.3", "v1.36.3", "v1.36.4-rc.0"), want: "v1.36.3",
			why: "newest-patch: v1.36.3 is the newest release of v1.36 that all nodes are offered"},
		"no patch for all": {policy: "newest-patch", want: "v1.36.3",
			cluster: with(offered("v1.36.3", "v1.36.6"), func(c *Cluster) { c.Nodes[2].Host.Available = versions("v1.36.5") }),
			why:     "newest-patch: v1.36.3 is the newest release of v1.36 that all nodes are offered; v1.36.6 is not offered to w2"},
		"a node ahead of what the others are offered": {policy: "newest-patch", want: "v1.36.5",
			cluster: with(offered("v1.36.3", "v1.36.4"), func(c *Cluster) {
				c.Nodes[2] = nodeAt("w2", false, MustVersion("v1.36.5"))
				c.Nodes[2].Host.Available = versions("v1.36.4")
			}),
			refused: "cp1, w1: the repository https://pkgs/v1.36 has no kubeadm v1.36.5 (its newest is v1.36.4); choose a version that it has, or update the mirror"},
		"a mirror older than the cluster": {policy: "newest-patch", cluster: offered("v1.36.3", "v1.36.2"), want: "v1.36.3",
			why: "newest-patch: v1.36.3 is the newest release of v1.36 that all nodes are offered"},
		"the minor is not in the mirror": {policy: "newest-patch", cluster: offered("v1.36.3", "v1.37.2"), want: "v1.36.3",
			refused: "cp1, w1, w2: its package repository has no release of v1.36; update the mirror, or name a version"},
		"the repository cannot be read": {policy: "newest-patch", want: "v1.36.3",
			cluster: with(offered("v1.36.3", "v1.36.3"), func(c *Cluster) {
				c.Nodes[1].Host.Available, c.Nodes[1].Host.Unread = nil, Unread{v136, "read the package repository: no route"}
			}),
			refused: "w1: read the package repository: no route"},
		"a host that is away is an error of the plan": {policy: "newest-patch", want: "v1.36.4",
			cluster: with(offered("v1.36.3", "v1.36.4"), func(c *Cluster) { c.Nodes[1].Host = Host{Problem: "connect to w1: refused"} }),
			why:     "newest-patch: v1.36.4 is the newest release of v1.36 that all nodes are offered", refused: "w1: connect to w1: refused"},
		"all hosts away": {policy: "newest-minor", want: "v1.36.3",
			cluster: with(offered("v1.36.3"), func(c *Cluster) {
				for i := range c.Nodes {
					c.Nodes[i].Host = Host{Problem: "refused"}
				}
			}),
			why:     "newest-minor: the newest minor that all nodes are offered is v1.36; v1.36.3 is the newest release of v1.36 that all nodes are offered",
			refused: "cp1, w1, w2: refused"},
		"newest minor": {policy: "newest-minor", cluster: offered("v1.36.3", "v1.36.3", "v1.36.4", "v1.37.0", "v1.37.2"), want: "v1.37.2", hops: 1,
			why: "newest-minor: the newest minor that all nodes are offered is v1.37; v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"newest minor by two hops": {policy: "newest-minor", cluster: offered("v1.36.3", "v1.37.2", "v1.38.0", "v1.38.1"), want: "v1.38.1", hops: 2,
			why: "newest-minor: the newest minor that all nodes are offered is v1.38; v1.38.1 is the newest release of v1.38 that all nodes are offered"},
		"no minor is passed by": {policy: "newest-minor", cluster: offered("v1.36.3", "v1.36.4", "v1.38.1"), want: "v1.36.4", hops: 1,
			why: "newest-minor: the newest minor that all nodes are offered is v1.36; v1.36.4 is the newest release of v1.36 that all nodes are offered"},
		"a minor that one node is not offered": {policy: "newest-minor", want: "v1.37.2", hops: 1,
			cluster: with(offered("v1.36.3", "v1.37.2", "v1.38.1"), func(c *Cluster) { c.Nodes[2].Host.Available = versions("v1.37.2") }),
			why:     "newest-minor: the newest minor that all nodes are offered is v1.37 (v1.38 is not offered to w2); v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"less one": {policy: "newest-minor-less-1", cluster: offered("v1.36.3", "v1.37.0", "v1.37.2", "v1.38.1"), want: "v1.37.2", hops: 1,
			why: "newest-minor-less-1: the newest minor that all nodes are offered is v1.38; v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"less one brings patches": {policy: "newest-minor-less-1", cluster: offered("v1.37.0", "v1.37.0", "v1.37.2", "v1.38.1"), want: "v1.37.2", hops: 1,
			why: "newest-minor-less-1: the newest minor that all nodes are offered is v1.38; v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"never back": {policy: "newest-minor-less-2", cluster: offered("v1.37.0", "v1.36.9", "v1.37.0", "v1.38.1"), want: "v1.37.0",
			why: "newest-minor-less-2: the newest minor that all nodes are offered is v1.38; v1.37.0 is the newest release of v1.37 that all nodes are offered"},
		"less than there is": {policy: "newest-minor-less-20", cluster: offered("v1.3.0", "v1.3.0"), want: "v1.3.0",
			why: "newest-minor-less-20: the newest minor that all nodes are offered is v1.3; v1.3.0 is the newest release of v1.3 that all nodes are offered"},
		"half-upgraded is finished first": {policy: "newest-minor", want: "v1.37.2", hops: 1,
			cluster: with(offered("v1.36.3", "v1.37.1", "v1.37.2", "v1.38.0"), func(c *Cluster) { c.Nodes[0].Components[APIServer] = MustVersion("v1.37.1") }),
			why:     "newest-minor: an upgrade to v1.37 was begun and is finished first; v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"half-upgraded, by patch": {policy: "newest-patch", want: "v1.37.2", hops: 1,
			cluster: with(offered("v1.36.3", "v1.36.5", "v1.37.1", "v1.37.2"), func(c *Cluster) { c.Nodes[0].Components[APIServer] = MustVersion("v1.37.1") }),
			why:     "newest-patch: an upgrade to v1.37 was begun and is finished first; v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"workers were left behind": {policy: "newest-patch", want: "v1.37.2", hops: 1,
			cluster: with(offered("v1.37.2", "v1.37.2"), func(c *Cluster) { c.Nodes[1] = nodeAt("w1", false, v136) }),
			why:     "newest-patch: v1.37.2 is the newest release of v1.37 that all nodes are offered"},
		"a kubelet by mistake leads nowhere": {policy: "newest-patch", want: "v1.36.4",
			cluster: with(offered("v1.36.3", "v1.36.4", "v1.37.2"), func(c *Cluster) { c.Nodes[1].Kubelet = v137 }),
			why:     "newest-patch: v1.36.4 is the newest release of v1.36 that all nodes are offered",
			refused: "w1: kubelet is v1.37.2, newer than the target v1.36.4; choose a target of v1.37.2 or newer"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := ParsePolicy(tc.policy)
			require.NoError(t, err)
			p := MakePlan(tc.cluster, Wanted{Policy: policy}, settings())
			require.Equal(t, tc.want, p.Target.String())
			require.Len(t, p.Hops, tc.hops)
			why := ""
			for _, f := range p.Findings {
				if f.ID == ChosenByPolicy {
					why = f.Message
				}
			}
			require.Equal(t, tc.why, why)
			refused := ""
			for _, f := range p.Errors() {
				refused = f.String()
			}
			require.Equal(t, tc.refused, refused)
			require.LessOrEqual(t, len(p.Errors()), 1)
			require.False(t, p.Target.Less(Oldest(tc.cluster)), "never back")
		})
	}
}

func TestPolicySaysHowFarToLook(t *testing.T) {
	c := offered("v1.36.3")
	c.Nodes[0].Components[APIServer] = v137
	patch, minor := Policy{rule: newestPatchRule}, Policy{rule: newestMinorRule, less: 1}
	require.Equal(t, v137, Wanted{Policy: patch}.LookUpTo(c))
	require.Equal(t, Farthest(c), Wanted{Policy: minor}.LookUpTo(c))
	require.Equal(t, MustVersion("v1.38.0"), Wanted{Target: MustVersion("v1.38.0")}.LookUpTo(c))
	require.False(t, patch.FollowsMinors())
	require.True(t, minor.FollowsMinors())
	c.Nodes = nil
	require.Equal(t, v136, Wanted{Policy: patch}.LookUpTo(c), "of a cluster without a control plane, what it is configured for")
}

func TestBriefPlanHasNoNodes(t *testing.T) {
	p := MakePlan(healthy(1, 2), Wanted{Target: v137}, settings())
	p.Forecast = &Forecast{}
	o := p.Brief()
	require.Len(t, o.Hops, 1)
	require.Equal(t, Hop{From: v136, To: v137}, o.Hops[0])
	require.Empty(t, o.Nodes)
	require.Empty(t, o.Components)
	require.Nil(t, o.Forecast)
	require.Equal(t, p.Drains, o.Drains)
	require.NotEmpty(t, p.Hops[0].Workers, "the plan itself stays as it is")
}
