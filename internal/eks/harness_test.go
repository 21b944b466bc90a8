package eks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/awstest"
	"github.com/pawl-dev/pawl/internal/eks/fake"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// managed is activities.Managed, as this package sees it.
type managed interface {
	Observe(ctx context.Context, target upgrade.Version) (upgrade.Managed, error)
	RefreshInsights(ctx context.Context) ([]upgrade.ManagedInsight, error)
	UpgradeControlPlane(ctx context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error)
	RollBackControlPlane(ctx context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error)
	UpgradeAddon(ctx context.Context, key, name, version string) (upgrade.ManagedOutcome, error)
	UpgradeNodeGroup(ctx context.Context, key, name string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error)
}

var _ managed = (*Cluster)(nil)

// v is a minor: v("1.37").
func v(minor string) upgrade.Version { return upgrade.MustVersion(minor + ".0").Whole() }

// at is the adapter of the cluster that is served there.
func at(t *testing.T, url string, c Config) *Cluster {
	t.Helper()
	require.NoError(t, c.Validate())
	opened := awstest.Quick(url)
	return &Cluster{api: sdk.NewFromConfig(opened), ec2: ec2.NewFromConfig(opened), config: c, first: time.Microsecond, most: time.Microsecond}
}

// minors are those from one to another.
func minors(from, to int) []string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprintf("1.%d", n))
	}
	return all
}

// prod is a cluster of 1.34 with all that a cluster has.
func prod() *fake.EKS {
	e := fake.New("prod", "1.34", minors(33, 37)...)
	e.AddAddon("coredns",
		fake.AddonVersion{Version: "v1.12.1-eksbuild.1", For: minors(37, 37), Default: minors(37, 37)},
		fake.AddonVersion{Version: "v1.11.4-eksbuild.10", For: minors(35, 37), Default: minors(35, 36)},
		fake.AddonVersion{Version: "v1.11.4-eksbuild.2", For: minors(34, 36), Default: minors(34, 34)},
		fake.AddonVersion{Version: "v1.10.1-eksbuild.1", For: minors(33, 34)})
	e.Addons["coredns"].Version = "v1.11.4-eksbuild.2"
	e.AddAddon("vpc-cni",
		fake.AddonVersion{Version: "v1.20.4-eksbuild.2", For: minors(34, 37), Default: minors(35, 37)},
		fake.AddonVersion{Version: "v1.19.0-eksbuild.1", For: minors(33, 34)})
	cni := e.Addons["vpc-cni"]
	cni.Version, cni.Config, cni.Role, cni.Pods, cni.Conflict = "v1.19.0-eksbuild.1", `{"env":{"ENABLE_PREFIX_DELEGATION":"true"}}`, "arn:aws:iam::1:role/cni", []string{"assoc-1"}, true
	var proxies []fake.AddonVersion
	for n := 37; n >= 33; n-- {
		proxies = append(proxies, fake.AddonVersion{Version: fmt.Sprintf("v1.%d.1-eksbuild.2", n), For: minors(n, n), Default: minors(n, n)})
	}
	e.AddAddon("kube-proxy", proxies...)
	e.AddGroup("blue")
	green := e.AddGroup("green")
	green.AMIType, green.Template, green.TemplateVersion, green.Release = "CUSTOM", "lt-1", "1", "ami-1"
	e.Templates["lt-1"] = &fake.Template{Default: 2, Images: []string{"ami-1", "ami-2"}}
	return e
}

// start serves a cluster until the test's end.
func start(t *testing.T, e *fake.EKS) *Cluster {
	t.Helper()
	e.Start()
	t.Cleanup(e.Close)
	return at(t, e.URL, Config{Name: "prod"})
}

// caller calls the adapter as the workflow does.
type caller struct{ awstest.Caller[*Cluster] }

// observe looks at the cluster.
func (c caller) observe(target upgrade.Version) (m upgrade.Managed) {
	c.T.Helper()
	c.Until("observe", func(ctx context.Context, k *Cluster) (err error) { m, err = k.Observe(ctx, target); return err })
	return m
}

func (c caller) addons(moves []upgrade.AddonMove) {
	c.T.Helper()
	for _, move := range moves {
		c.Until("add-on "+move.Name, func(ctx context.Context, k *Cluster) error {
			out, err := k.UpgradeAddon(ctx, "run/"+move.Name+move.To, move.Name, move.To)
			if err == nil {
				require.Equal(c.T, move.To, out.Version)
			}
			return err
		})
	}
}

// walk brings the cluster to the target as a workflow does. A custom image is moved in the last hop.
func (c caller) walk(target upgrade.Version, path upgrade.WorkerPath) {
	c.T.Helper()
	c.Until("refresh", func(ctx context.Context, k *Cluster) error { _, err := k.RefreshInsights(ctx); return err })
	for {
		m := c.observe(target)
		to := m.NextMinor(target)
		if to.IsZero() {
			return
		}
		for _, f := range upgrade.CheckManaged(m, target, path, time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)) {
			require.NotEqual(c.T, upgrade.SeverityError, f.Severity, f.String())
		}
		before, found := m.AddonsBefore(to)
		require.Empty(c.T, found)
		c.addons(before)
		c.Until("control plane", func(ctx context.Context, k *Cluster) error {
			out, err := k.UpgradeControlPlane(ctx, "run/"+to.String(), to, false)
			if err == nil {
				require.Equal(c.T, to.MinorString(), out.Version)
			}
			return err
		})
		m = m.WithAddons(before)
		m.Version = to
		c.addons(m.KubeProxyAfter(to))
		next := m.NextOf(to, target)
		move, _ := m.MovingGroups(to, next, path)
		for _, g := range move {
			if g.Custom() && !next.IsZero() {
				continue
			}
			c.Until("group "+g.Name, func(ctx context.Context, k *Cluster) error {
				_, err := k.UpgradeNodeGroup(ctx, "run/"+g.Name+to.String(), g.Name, to, false)
				return err
			})
		}
		if next.IsZero() {
			c.addons(m.AddonsAfter(to))
		}
	}
}

func callerOf(t *testing.T, k *Cluster) caller { return caller{awstest.Plainly(t, k)} }

// started are the updates that were begun, each by its part and what it leads to.
func started(e *fake.EKS) (all []string) {
	e.Do(func() {
		for _, u := range e.Updates {
			all = append(all, u.Part+" "+u.Params[0][1])
		}
	})
	return all
}
