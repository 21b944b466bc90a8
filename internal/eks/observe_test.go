package eks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
	"github.com/pawl-dev/pawl/internal/eks/fake"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestObserve(t *testing.T) {
	e := prod()
	e.Support, e.AutoMode, e.Fargate, e.Issues = "STANDARD", true, []string{"fp-1", "fp-2", "fp-3"}, []string{"Ec2SubnetNotFound"}
	e.Subnets = map[string]int{"subnet-a": 3, "subnet-b": 250}
	e.Groups["blue"].Issues, e.Groups["blue"].MaxUnavailable, e.Groups["blue"].Minimal = []string{"AccessDenied"}, 3, true
	e.Insights = []*fake.Insight{
		{ID: "i-1", Name: "Kubelet skew", Category: "UPGRADE_READINESS", Status: "PASSING", Version: "1.35"},
		{ID: "i-2", Name: "Add-ons", Category: "UPGRADE_READINESS", Status: "WARNING", Version: "1.36", Reason: "old"},
		{ID: "i-3", Name: "Deprecated APIs", Category: "UPGRADE_READINESS", Status: "ERROR", Version: "1.35", Reason: "in use", Recommendation: "move\n on", Resources: []string{"/apis/policy/v1beta1"}},
		{ID: "i-4", Name: "Fields", Category: "ROLLBACK_READINESS", Status: "UNKNOWN"},
		{ID: "i-5", Name: "Hybrid", Category: "MISCONFIGURATION", Status: "ERROR"},
	}
	for i, insight := range e.Insights {
		insight.Refreshed = time.Date(2026, time.November, 1, 10, i, 0, 0, time.UTC)
	}
	e.Lasting = 1000
	e.Begin("group/green", "ConfigUpdate", [][2]string{{"MinSize", "1"}}, nil)
	e.Begin("addon/vpc-cni", "AddonUpdate", [][2]string{{"AddonVersion", "v1.20.4-eksbuild.2"}}, nil)
	k := start(t, e)
	m, err := k.Observe(t.Context(), v("1.37"))
	require.NoError(t, err)
	require.Empty(t, m.Found)
	require.Equal(t, []any{"eks", "prod", v("1.34"), "eks.9", "ACTIVE", upgrade.StandardSupport, true}, []any{m.Provider, m.Name, m.Version, m.PlatformVersion, m.Status, m.Support, m.AutoMode})
	require.Equal(t, []upgrade.ManagedIssue{{Code: "Ec2SubnetNotFound", Message: "about Ec2SubnetNotFound (resource-1)"}}, m.Issues)
	require.Equal(t, []string{"fp-1", "fp-2", "fp-3"}, m.Fargate)
	require.Equal(t, []upgrade.ManagedSubnet{{ID: "subnet-a", Zone: "zone-of-subnet-a", Free: 3}, {ID: "subnet-b", Zone: "zone-of-subnet-b", Free: 250}}, m.Subnets)
	require.Len(t, m.Offered, 4)
	require.Equal(t, v("1.34"), m.Offered[0].Version)
	require.Equal(t, upgrade.StandardSupport, m.Offered[0].Support)
	require.Equal(t, time.Date(2026, time.November, 1, 10, 3, 0, 0, time.UTC), m.RefreshedAt.UTC())
	require.Len(t, m.Insights, 3)
	require.Equal(t, []string{"Deprecated APIs", "Add-ons", "Fields"}, []string{m.Insights[0].Name, m.Insights[1].Name, m.Insights[2].Name})
	require.Equal(t, upgrade.InsightError, m.Insights[0].Status)
	require.Equal(t, []string{"in use", "move on", "/apis/policy/v1beta1"}, append([]string{m.Insights[0].Reason, m.Insights[0].Recommendation}, m.Insights[0].Resources...))
	require.True(t, m.Insights[2].Rollback)
	require.Len(t, m.Addons, 3)
	require.Equal(t, []any{"vpc-cni", true, "eks"}, []any{m.Addons[2].Name, m.Addons[2].Configured, m.Addons[2].Publisher})
	require.Len(t, m.NodeGroups, 2)
	blue, green := m.NodeGroups[0], m.NodeGroups[1]
	require.Equal(t, upgrade.NodeGroup{
		Name: "blue", Version: v("1.34"), Release: "1.34.1-20261101", AMIType: "AL2023_x86_64_STANDARD", Capacity: "ON_DEMAND", Status: "ACTIVE",
		Issues: []upgrade.ManagedIssue{{Code: "AccessDenied", Message: "about AccessDenied (resource-1)"}}, Min: 1, Max: 5, Desired: 3, MaxUnavailable: 3, Minimal: true,
	}, blue)
	require.Equal(t, []string{"lt-1", "1", "ami-1", "2", "ami-2"}, []string{green.Template, green.TemplateVersion, green.ImageID, green.NextTemplateVersion, green.NextImageID})

	require.Equal(t, []string{"ConfigUpdate update-1", "UPDATING"}, []string{green.Update.String(), green.Status})
	require.Equal(t, "AddonUpdate update-2 to v1.20.4-eksbuild.2", m.Addons[2].Update.String())

	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.NotContains(t, string(text), "ENABLE_PREFIX_DELEGATION", "settings of add-ons are nobody else's business")
	require.Less(t, len(text), 8000)
}

// TestObserveUpdates: what is under way, and since when the control plane is where it is.
func TestObserveUpdates(t *testing.T) {
	e := prod()
	k := start(t, e)
	_, err := k.UpgradeControlPlane(t.Context(), "run/1", v("1.35"), false)
	require.NoError(t, err)
	var began time.Time
	e.Do(func() { began = e.Updates[0].Created })
	m, err := k.Observe(t.Context(), v("1.37"))
	require.NoError(t, err)
	require.Equal(t, began, m.UpgradedAt.UTC())
	require.Nil(t, m.Update)
	_, err = k.RollBackControlPlane(t.Context(), "run/2", v("1.34"), false)
	require.NoError(t, err)
	e.Do(func() {
		e.Lasting = 1000
		e.Begin("", "VersionUpdate", [][2]string{{"Version", "1.35"}}, nil)
	})
	asked := 0
	e.Do(func() {
		e.After = func(_ int, action string) {
			if action == "DescribeUpdate" {
				asked++
			}
		}
	})
	m, err = k.Observe(t.Context(), v("1.37"))
	require.NoError(t, err)
	require.True(t, m.UpgradedAt.IsZero(), "it went back")
	require.Equal(t, "v1.35", m.Update.To)
	require.Equal(t, 1, asked, "what has ended is not asked for again")
}

// TestObserveWithoutPermission: what may not be looked at is said, and nothing else is lost.
func TestObserveWithoutPermission(t *testing.T) {
	e := prod()
	for _, action := range []string{"ListUpdates", "DescribeClusterVersions", "ListInsights", "DescribeSubnets", "ListAddons", "ListNodegroups", "ListFargateProfiles"} {
		e.Forbidden[action] = true
	}
	k := start(t, e)
	m, err := k.Observe(t.Context(), v("1.37"))
	require.NoError(t, err)
	require.Len(t, m.Found, 7)
	for _, f := range m.Found {
		require.Equal(t, upgrade.NotObserved, f.ID)
		require.Contains(t, f.Message, "docs/eks.md lists the permissions")
	}
	e.Do(func() { e.Forbidden["DescribeCluster"] = true })
	_, err = k.Observe(t.Context(), v("1.37"))
	require.Equal(t, fault.Unauthorized, fault.KindOf(err))
}

func TestRefreshInsights(t *testing.T) {
	e := prod()
	for n := range 5 {
		e.Insights = append(e.Insights, &fake.Insight{ID: fmt.Sprint(n), Name: "old", Category: "UPGRADE_READINESS", Status: "ERROR", Version: "1.35", Refreshed: time.Date(2026, time.October, 31, 0, 0, 0, 0, time.UTC)})
	}
	k := start(t, e)
	e.After = func(_ int, action string) { // a person puts it right before the refresh
		if action == "StartInsightsRefresh" {
			e.Do(func() {
				for _, i := range e.Insights[1:] {
					i.Status = "PASSING"
				}
			})
		}
	}
	found, err := k.RefreshInsights(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.True(t, found[0].RefreshedAt.After(time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)))
	again, err := k.RefreshInsights(t.Context())
	require.NoError(t, err)
	require.True(t, again[0].RefreshedAt.After(found[0].RefreshedAt))
	starts := 0
	for _, action := range e.Done {
		if action == "StartInsightsRefresh" {
			starts++
		}
	}
	require.Equal(t, 2, starts)

	lost := false // the answer to the request that begins it
	e.Do(func() {
		e.Decide = func(_ int, action string) fate.Fate {
			if action == "StartInsightsRefresh" && !lost {
				lost = true
				return fate.Lost
			}
			return fate.Answered
		}
	})
	_, err = k.RefreshInsights(t.Context())
	require.NoError(t, err)
	require.True(t, lost)

	e.Do(func() { e.RefreshFails = 1 })
	_, err = k.RefreshInsights(t.Context())
	require.Equal(t, fault.VerificationFailed, fault.KindOf(err))

	e.Do(func() { e.Insights, e.After = nil, nil })
	found, err = k.RefreshInsights(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

// TestOpening goes by the environment, as a worker does.
func TestOpening(t *testing.T) {
	e := prod()
	start(t, e)
	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(key, value)
	}
	config := Config{Name: "prod", Region: "eu-north-1", Endpoint: e.URL}
	k, err := New(t.Context(), config)
	require.NoError(t, err)
	m, err := k.Observe(t.Context(), v("1.35"))
	require.NoError(t, err)
	require.Equal(t, v("1.34"), m.Version)

	_, err = New(t.Context(), Config{Name: "prod"})
	require.ErrorContains(t, err, "no region is named")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	k, err = New(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = k.Observe(ctx, v("1.35"))
	require.Equal(t, fault.Unauthorized, fault.KindOf(err), "%v", err)
}

func TestConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"it has no name":                       {},
		"that is no name of a cluster":         {Name: "a/b"},
		"0 is no version of a launch template": {Name: "a", TemplateVersions: map[string]string{"g": "0"}},
		"x is no version of a launch template": {Name: "a", TemplateVersions: map[string]string{"g": "x"}},
	} {
		err := c.Validate()
		require.Equal(t, fault.InvalidInput, fault.KindOf(err))
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, Config{Name: strings.Repeat("a", 100), TemplateVersions: map[string]string{"g": "$Latest", "h": "3"}}.Validate())
}

// TestChosenTemplate: the definition says which version of its launch template a custom group goes to.
func TestChosenTemplate(t *testing.T) {
	e := prod()
	e.Templates["lt-1"].Images = append(e.Templates["lt-1"].Images, "ami-3")
	start(t, e)
	k := at(t, e.URL, Config{Name: "prod", TemplateVersions: map[string]string{"green": "3"}})
	out, err := k.UpgradeNodeGroup(t.Context(), "run/1", "green", v("1.34"), false)
	require.NoError(t, err)
	require.Equal(t, "template version 3", out.Version)
	require.Equal(t, "ami-3", e.Groups["green"].Release)
}
