package upgrade

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eks is a control plane at v1.n with nothing in the way of going on by three minors.
func minor(n int) Version { return release(n).Whole() }

func eks(n int) Managed {
	m := Managed{Provider: ProviderEKS, Name: "prod", Version: minor(n), Status: "ACTIVE", Support: ExtendedSupport,
		Subnets: []ManagedSubnet{{ID: "subnet-a", Free: 50}, {ID: "subnet-b", Free: 50}}}
	for i := range 4 {
		m.Offered = append(m.Offered, ManagedMinor{Version: minor(n + i), Support: StandardSupport, StandardUntil: day(2027, time.June, i+1)})
	}
	m.Addons = []ManagedAddon{
		addon("vpc-cni", "v1.19.0-eksbuild.1", good("v1.20.4-eksbuild.2", n, n+3), good("v1.19.0-eksbuild.1", n, n+3)),
		addon("kube-proxy", fmt.Sprintf("v1.%d.1-eksbuild.1", n)),
		addon("coredns", "v1.11.4-eksbuild.2", good("v1.12.4-eksbuild.1", n+1, n+3), good("v1.11.4-eksbuild.10", n, n+2), good("v1.11.4-eksbuild.2", n, n)),
	}
	for i := range 4 {
		m.Addons[1].Versions = append(m.Addons[1].Versions, good(fmt.Sprintf("v1.%d.1-eksbuild.1", n+i), n+i, n+i))
	}
	m.NodeGroups = []NodeGroup{{Name: "workers", Version: minor(n), Status: "ACTIVE", AMIType: "AL2023_x86_64_STANDARD", Desired: 3, Max: 5, MaxUnavailable: 1}}
	return m
}

func addon(name, version string, versions ...ManagedAddonVersion) ManagedAddon {
	return ManagedAddon{Name: name, Version: version, Status: "ACTIVE", Publisher: "eks", Versions: versions}
}

// good is a version that is for these minors.
func good(version string, from, to int) ManagedAddonVersion {
	v := ManagedAddonVersion{Version: version}
	for n := from; n <= to; n++ {
		v.For = append(v.For, minor(n))
	}
	return v
}

func TestWayOfManaged(t *testing.T) {
	for _, c := range []struct {
		target string
		way    []Version
	}{
		{"v1.34.0", nil}, {"v1.34.7", nil}, {"v1.33.0", nil}, {"v2.35.0", nil},
		{"v1.35.2", []Version{minor(35)}},
		{"v1.37.0", []Version{minor(35), minor(36), minor(37)}},
	} {
		target := MustVersion(c.target)
		m := eks(34)
		require.Equal(t, c.way, m.Way(target), c.target)
		next := Version{}
		if len(c.way) > 0 {
			next = c.way[0]
		}
		require.Equal(t, next, m.NextMinor(target), c.target)
	}
	require.Equal(t, minor(36), eks(34).NextOf(minor(35), MustVersion("v1.37.2")))
	require.True(t, eks(34).NextOf(minor(37), MustVersion("v1.37.2")).IsZero())
	v, err := ParseMinor("1.37")
	require.NoError(t, err)
	require.Equal(t, "1.37", v.MinorNumber())
	_, err = ParseMinor("1.37.2")
	require.Error(t, err)
}

// TestAddonsOnTheWay: which add-on goes where, at each of three minors.
func TestAddonsOnTheWay(t *testing.T) {
	m := eks(34)
	m.Addons[0].Versions[0].DefaultFor = []Version{minor(37)}
	for _, c := range []struct {
		to     int
		before []AddonMove
		after  []AddonMove
	}{
		{35, []AddonMove{{"coredns", "v1.11.4-eksbuild.2", "v1.11.4-eksbuild.10"}}, []AddonMove{{"kube-proxy", "v1.34.1-eksbuild.1", "v1.35.1-eksbuild.1"}}},
		{36, nil, []AddonMove{{"kube-proxy", "v1.35.1-eksbuild.1", "v1.36.1-eksbuild.1"}}},
		{37, []AddonMove{{"coredns", "v1.11.4-eksbuild.10", "v1.12.4-eksbuild.1"}}, []AddonMove{{"kube-proxy", "v1.36.1-eksbuild.1", "v1.37.1-eksbuild.1"}}},
	} {
		before, found := m.AddonsBefore(minor(c.to))
		require.Empty(t, found)
		require.Equal(t, c.before, before, "before v1.%d", c.to)
		m = m.WithAddons(before)
		m.Version = minor(c.to)
		after := m.KubeProxyAfter(minor(c.to))
		require.Equal(t, c.after, after, "after v1.%d", c.to)
		m = m.WithAddons(after)
		require.Empty(t, m.KubeProxyAfter(minor(c.to)), "once is enough")
	}
	require.Equal(t, []AddonMove{{"vpc-cni", "v1.19.0-eksbuild.1", "v1.20.4-eksbuild.2"}}, m.AddonsAfter(minor(37)))
	require.Empty(t, m.WithAddons(m.AddonsAfter(minor(37))).AddonsAfter(minor(37)))
}

func TestOrderOfAddons(t *testing.T) {
	m := Managed{Version: minor(34)}
	for _, name := range []string{"zeta", "aws-ebs-csi-driver", "kube-proxy", "vpc-cni", "alpha", "coredns"} {
		m.Addons = append(m.Addons, addon(name, "v1.0.0", good("v1.1.0", 34, 35), good("v1.0.0", 34, 34)))
	}
	moves, found := m.AddonsBefore(minor(35))
	require.Empty(t, found)
	var names []string
	for _, move := range moves {
		names = append(names, move.Name)
	}
	require.Equal(t, []string{"coredns", "vpc-cni", "aws-ebs-csi-driver", "alpha", "zeta"}, names)
}

func TestChoiceOfAddonVersion(t *testing.T) {
	both := func(version string, recommended bool) ManagedAddonVersion {
		v := good(version, 34, 35)
		if recommended {
			v.DefaultFor = []Version{minor(35)}
		}
		return v
	}
	for name, c := range map[string]struct {
		versions []ManagedAddonVersion
		want     string
	}{
		"the recommended before the newest": {[]ManagedAddonVersion{both("v1.3.0", false), both("v1.2.0", true)}, "v1.2.0"},
		"the newest":                        {[]ManagedAddonVersion{both("v1.2.0", false), both("v1.10.0", false)}, "v1.10.0"},
		"builds count as numbers":           {[]ManagedAddonVersion{both("v1.2.0-eksbuild.9", false), both("v1.2.0-eksbuild.10", false)}, "v1.2.0-eksbuild.10"},
		"never back":                        {[]ManagedAddonVersion{both("v0.9.0", true)}, ""},
		"good for one is not enough":        {[]ManagedAddonVersion{good("v1.2.0", 35, 35)}, ""},
		"none that cannot be compared":      {[]ManagedAddonVersion{both("stable", false)}, ""},
		"unless it is recommended":          {[]ManagedAddonVersion{both("stable", true)}, "stable"},
		"none":                              {[]ManagedAddonVersion{good("v1.0.0", 34, 34)}, ""},
	} {
		m := Managed{Version: minor(34), Addons: []ManagedAddon{addon("x", "v1.0.0", c.versions...)}}
		moves, found := m.AddonsBefore(minor(35))
		if c.want == "" {
			require.Empty(t, moves, name)
			require.Len(t, found, 1, name)
			require.Equal(t, "x: v1.0.0 is not for v1.35, and no later version is for v1.34 and v1.35; ask its publisher, or remove the add-on", found[0].String())
			continue
		}
		require.Equal(t, []AddonMove{{"x", "v1.0.0", c.want}}, moves, name)
	}
}

func TestChoicesOfAddon(t *testing.T) {
	recommended := good("v1.1.0", 34, 35)
	recommended.DefaultFor = []Version{minor(34)}
	a := addon("x", "v1.0.2", good("v1.0.1", 34, 34), good("v1.0.2", 34, 34), good("v1.0.3", 34, 34), good("v1.2.0", 34, 35), recommended, good("v1.1.5", 34, 35), good("v1.10.0", 35, 35))
	var names []string
	for _, v := range a.Choices() {
		names = append(names, v.Version)
	}
	require.Equal(t, []string{"v1.10.0", "v1.2.0", "v1.1.0", "v1.0.3", "v1.0.2"}, names)
}

func TestGroupsThatMove(t *testing.T) {
	for _, c := range []struct {
		group, to, next int
		path            WorkerPath
		want            bool
	}{
		{34, 35, 36, FewestDrains, false}, {34, 36, 37, FewestDrains, false}, {34, 37, 38, FewestDrains, true},
		{34, 35, 0, FewestDrains, true}, {34, 35, 36, EveryMinor, true},
		{35, 35, 36, EveryMinor, false}, {36, 35, 0, EveryMinor, false}, {0, 35, 0, EveryMinor, false},
		{24, 25, 26, FewestDrains, false}, {24, 26, 27, FewestDrains, true},
		{31, 34, 35, FewestDrains, true},
	} {
		g := NodeGroup{Name: "g"}
		if c.group > 0 {
			g.Version = minor(c.group)
		}
		next := Version{}
		if c.next > 0 {
			next = minor(c.next)
		}
		require.Equal(t, c.want, g.MustMove(minor(c.to), next, c.path), "%+v", c)
	}
	m := Managed{NodeGroups: []NodeGroup{{Name: "c", Version: minor(35)}, {Name: "b", Version: minor(34)}, {Name: "a", Version: minor(32)}}}
	move, wait := m.MovingGroups(minor(35), minor(36), FewestDrains)
	require.Equal(t, []NodeGroup{m.NodeGroups[2]}, move)
	require.Equal(t, []NodeGroup{m.NodeGroups[1]}, wait)
}

func TestNothingInTheWayOfManaged(t *testing.T) {
	require.Empty(t, CheckManaged(eks(34), minor(37), FewestDrains, day(2026, time.November, 1)))
	require.Empty(t, CheckManaged(eks(34), minor(34), FewestDrains, day(2026, time.November, 1)))
}

// TestFindingsOfManaged changes one thing at a time.
func TestFindingsOfManaged(t *testing.T) {
	now := day(2026, time.November, 1)
	for name, c := range map[string]struct {
		change func(*Managed)
		path   WorkerPath
		want   string // severity, id, text
	}{
		"a downgrade":      {func(m *Managed) { m.Version = minor(38) }, "", "error version-path: prod: v1.38 to v1.37 is a downgrade, which Kubernetes does not support; choose a target of v1.38 or newer"},
		"failed":           {func(m *Managed) { m.Status = "FAILED" }, "", "error managed-status: prod: the control plane is FAILED, wanted ACTIVE; wait, or have the provider repair it"},
		"an issue":         {func(m *Managed) { m.Issues = []ManagedIssue{{"Ec2SubnetNotFound", ""}} }, "", "error managed-status: prod: the provider reports Ec2SubnetNotFound; put it right first: an update needs the same"},
		"another's update": {func(m *Managed) { m.Update = &ManagedUpdate{ID: "u-1", Type: "LoggingUpdate"} }, "", "error managed-update: prod: LoggingUpdate u-1 is under way; wait for its end"},
		"the same update": {func(m *Managed) {
			m.Status, m.Update = "UPDATING", &ManagedUpdate{ID: "u-1", Type: "VersionUpdate", To: "v1.35"}
		}, "", "warning managed-update: prod: somebody has begun VersionUpdate u-1 to v1.35 already; it is waited for"},
		"not offered": {func(m *Managed) { m.Offered = m.Offered[:3] }, "", "error managed-version: prod: the provider does not offer v1.37; choose a target that it offers"},
		"an insight's error": {func(m *Managed) {
			m.Insights = []ManagedInsight{{Name: "Deprecated APIs", Version: minor(35), Status: InsightError, Reason: "2 in use", Recommendation: "move on", Resources: []string{"/apis/x"}}, {Version: minor(38), Status: InsightError}, {Rollback: true, Status: InsightError}}
		}, "", "error managed-insight: /apis/x: insight «Deprecated APIs» says 2 in use (for v1.35); move on, or waive managed-insight"},
		"an insight's warning": {func(m *Managed) {
			m.Insights = []ManagedInsight{{Name: "Skew", Status: InsightWarning}}
		}, "", "warning managed-insight: prod: insight «Skew» says warning; see it in the provider's console"},
		"no address":    {func(m *Managed) { m.Subnets = []ManagedSubnet{{ID: "a", Free: 2}, {ID: "b", Free: 2}} }, "", "error managed-addresses: prod: its subnets have 4 free addresses, an update of the control plane needs up to 5; free addresses, or give the cluster another subnet"},
		"few addresses": {func(m *Managed) { m.Subnets[1].Free = 4 }, "", "warning managed-addresses: prod: of its subnets subnet-b has 4 free addresses, and an update may need 5 in any of them; free addresses, or give the cluster another subnet"},
		"upgraded by itself soon": {func(m *Managed) {
			m.Support, m.Offered[0].StandardUntil = StandardSupport, day(2026, time.December, 1)
		}, "", "warning managed-support: prod: standard support of v1.34 ends on 2026-12-01, the provider will upgrade the control plane by itself then; upgrade before, or set the upgrade policy to EXTENDED"},
		"an old target":           {func(m *Managed) { m.Offered[3].Support = ExtendedSupport }, "", "warning managed-support: prod: the target v1.37 is in extended support, which costs more; go on to a newer minor afterwards"},
		"an add-on without a way": {func(m *Managed) { m.Addons[2].Versions = m.Addons[2].Versions[1:] }, "", "error managed-addon: coredns: v1.11.4-eksbuild.10 is not for v1.37, and no later version is for v1.36 and v1.37; ask its publisher, or remove the add-on"},
		"no kube-proxy":           {func(m *Managed) { m.Addons[1].Versions = m.Addons[1].Versions[:3] }, "", "error managed-addon: kube-proxy: v1.36.1-eksbuild.1 is not for v1.37, and no later version is; wait until the provider offers one"},
		"an unknown add-on":       {func(m *Managed) { m.Addons[0].Versions = nil }, "", "warning managed-addon: vpc-cni: the provider does not say which minors its versions are for; make sure yourself that v1.19.0-eksbuild.1 works with v1.37"},
		"an unknown publisher":    {func(m *Managed) { m.Addons[0].Publisher = "acme" }, "", "warning managed-addon-publisher: vpc-cni: its publisher is acme, which the provider does not vouch for; read its release notes for every minor on the way"},
		"a sick add-on": {func(m *Managed) {
			m.Addons[0].Status, m.Addons[0].Issues = "DEGRADED", []ManagedIssue{{"AccessDenied", "no role"}}
		}, "", "warning managed-addon-health: vpc-cni: the add-on is DEGRADED, AccessDenied: no role; put it right: an update of it fails for the same reason"},
		"a busy add-on": {func(m *Managed) { m.Addons[0].Update = &ManagedUpdate{ID: "u", Type: "AddonUpdate", To: "v2"} }, "", "error managed-update: vpc-cni: AddonUpdate u to v2 is under way; wait for its end"},
		"a sick group": {func(m *Managed) {
			m.NodeGroups[0].Issues = []ManagedIssue{{"AsgInstanceLaunchFailures", "no capacity"}}
		}, "",
			"error node-group-health: workers: the node group is ACTIVE, AsgInstanceLaunchFailures: no capacity; put it right first: its update would fail"},
		"a busy group":   {func(m *Managed) { m.NodeGroups[0].Update = &ManagedUpdate{ID: "u", Type: "ConfigUpdate"} }, "", "error managed-update: workers: ConfigUpdate u is under way; wait for its end"},
		"an old group":   {func(m *Managed) { m.NodeGroups[0].Version = minor(31) }, "", "warning node-group-skew: workers: it is v1.31, the control plane v1.34; it is brought to v1.34 before the control plane goes on"},
		"a group behind": {func(m *Managed) { m.NodeGroups[0].Version = minor(33) }, EveryMinor, "warning node-group-skew: workers: it is v1.33, the control plane v1.34; it is brought to v1.34 before the control plane goes on"},
		"no image":       {func(m *Managed) { m.NodeGroups[0].AMIType, m.NodeGroups[0].Template = CustomImage, "lt-1" }, "", "error node-group-image: workers: its image is a custom one, and no version of its launch template says what comes next; make a version of lt-1 with the new image, and make it the default"},
		"the old image": {func(m *Managed) {
			g := &m.NodeGroups[0]
			g.AMIType, g.ImageID, g.NextImageID, g.TemplateVersion, g.NextTemplateVersion = CustomImage, "ami-1", "ami-1", "3", "4"
		}, "", "error node-group-image: workers: its image is a custom one, and version 4 of its launch template has the image ami-1 that it runs already; make a version with the new image, and make it the default"},
		"all at once":                   {func(m *Managed) { m.NodeGroups[0].MaxUnavailablePercent = 100 }, "", "warning node-group-unavailable: workers: its update config lets all 3 nodes be drained at the same time; lower maxUnavailable"},
		"all gone at once":              {func(m *Managed) { m.NodeGroups[0].MaxUnavailable, m.NodeGroups[0].Minimal = 3, true }, "", "error node-group-unavailable: workers: its update config lets all 3 nodes be away at the same time, and old ones end before new ones start; lower maxUnavailable, or set the update strategy to DEFAULT"},
		"nodes that move by themselves": {func(m *Managed) { m.AutoMode = true }, "", "info managed-nodes: prod: EKS Auto Mode replaces its nodes by itself after the control plane; they are waited for"},
	} {
		t.Run(name, func(t *testing.T) {
			m := eks(34)
			c.change(&m)
			found := CheckManaged(m, minor(37), c.path, now)
			require.Len(t, found, 1, "%v", found)
			require.Equal(t, c.want, fmt.Sprintf("%s %s: %s", found[0].Severity, found[0].ID, found[0]))
		})
	}
}

// TestManagedIsData: what was observed survives a workflow's history.
func TestManagedIsData(t *testing.T) {
	m := eks(34)
	m.UpgradedAt = day(2026, time.November, 1)
	text, err := json.Marshal(m)
	require.NoError(t, err)
	var back Managed
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, m, back)
	require.Equal(t, day(2026, time.November, 8), back.RollbackUntil())
	require.True(t, eks(34).RollbackUntil().IsZero())
}

func TestRollback(t *testing.T) {
	now := day(2026, time.November, 10)
	back := eks(34)
	back.UpgradedAt = day(2026, time.November, 8)
	back.NodeGroups[0].Version = minor(33)
	back.Addons[1].Version = "v1.33.3-eksbuild.1"
	require.Empty(t, CheckRollback(back, now))
	for name, c := range map[string]struct {
		change func(*Managed)
		want   string
	}{
		"never upgraded": {func(m *Managed) { m.UpgradedAt = time.Time{} }, "error: prod: it was not upgraded to v1.34, so that it cannot go back; go on, or restore a backup to another cluster"},
		"too late":       {func(m *Managed) { m.UpgradedAt = day(2026, time.November, 1) }, "error: prod: its upgrade began more than 7 days ago, on 2026-11-01; go on, or restore a backup to another cluster"},
		"busy":           {func(m *Managed) { m.Update = &ManagedUpdate{ID: "u", Type: "LoggingUpdate"} }, "error: prod: LoggingUpdate u is under way; wait for its end"},
		"an insight": {func(m *Managed) {
			m.Insights = []ManagedInsight{{Name: "Fields", Rollback: true, Status: InsightError, Reason: "new"}, {Status: InsightError}}
		}, "error: prod: insight «Fields» says new"},
		"new nodes":      {func(m *Managed) { m.NodeGroups[0].Version = minor(34) }, "error: workers: its nodes are v1.34, newer than v1.33; bring the node group back first"},
		"new kube-proxy": {func(m *Managed) { m.Addons[1].Version = "v1.34.1-eksbuild.1" }, "error: kube-proxy: v1.34.1-eksbuild.1 is newer than v1.33; bring it back first"},
		"policy": {func(m *Managed) {
			m.Support, m.Offered = StandardSupport, append(m.Offered, ManagedMinor{Version: minor(33), Support: ExtendedSupport})
		}, "error: prod: v1.33 is in extended support, and the upgrade policy is STANDARD; set the upgrade policy to EXTENDED first"},
		"Fargate": {func(m *Managed) { m.Fargate = []string{"fp"} }, "warning: fp: pods on Fargate that were made since the upgrade are newer than v1.33; delete them first: they are made anew"},
	} {
		m := eks(34)
		m.UpgradedAt, m.NodeGroups[0].Version, m.Addons[1].Version = back.UpgradedAt, minor(33), back.Addons[1].Version
		c.change(&m)
		found := CheckRollback(m, now)
		require.Len(t, found, 1, name)
		require.Equal(t, c.want, fmt.Sprintf("%s: %s", found[0].Severity, found[0]), name)
	}
}

func TestKeeperOfNode(t *testing.T) {
	for _, c := range []struct {
		labels map[string]string
		want   Keeper
		group  string
	}{
		{nil, KeptBySomebody, ""},
		{map[string]string{labelNodeGroup: "g"}, KeptByNodeGroup, "g"},
		{map[string]string{labelNodePool: "p"}, KeptByKarpenter, ""},
		{map[string]string{labelNodePool: "p", labelComputeType: "auto"}, KeptByAutoMode, ""},
		{map[string]string{labelComputeType: "fargate"}, KeptByFargate, ""},
		{map[string]string{labelComputeType: "hybrid"}, KeptByHybrid, ""},
		{map[string]string{labelComputeType: "ec2", labelNodeGroup: "g"}, KeptByNodeGroup, "g"},
	} {
		k, group := KeeperOf(c.labels)
		require.Equal(t, []string{string(c.want), c.group}, []string{string(k), group})
		require.Equal(t, c.want == KeptByAutoMode || c.want == KeptByKarpenter, k.FollowsByItself())
	}
}
