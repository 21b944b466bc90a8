package eks

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Observe looks at everything that a plan to target judges, and changes nothing.
func (c *Cluster) Observe(ctx context.Context, target upgrade.Version) (upgrade.Managed, error) {
	now, at, err := c.cluster(ctx)
	if err != nil {
		return upgrade.Managed{}, err
	}
	m := upgrade.Managed{
		Provider: upgrade.ProviderEKS, Name: c.config.Name, Version: at, PlatformVersion: str(now.PlatformVersion), Status: string(now.Status),
		AutoMode: now.ComputeConfig != nil && val(now.ComputeConfig.Enabled),
	}
	if now.UpgradePolicy != nil {
		m.Support = supports[now.UpgradePolicy.SupportType]
	}
	if now.Health != nil {
		m.Issues = issues(now.Health.Issues, func(i types.ClusterIssue) (string, *string, []string) {
			return string(i.Code), i.Message, i.ResourceIds
		})
	}
	minors := append([]upgrade.Version{at}, m.Way(target)...)
	for _, look := range []struct {
		what string
		at   func() error
	}{
		{"its updates", func() error { return c.seeUpdates(ctx, &m) }},
		{"the versions that EKS offers", func() error { return c.seeOffers(ctx, &m, minors) }},
		{"its insights", func() error { return c.seeInsights(ctx, &m) }},
		{"its subnets", func() error { return c.seeSubnets(ctx, &m, now) }},
		{"its add-ons", func() error { return c.seeAddons(ctx, &m, minors) }},
		{"its node groups", func() error { return c.seeGroups(ctx, &m) }},
		{"its Fargate profiles", func() error { return c.seeFargate(ctx, &m) }},
	} {
		err := look.at()
		switch {
		case err == nil:
		case ctx.Err() != nil || fault.Is(err, fault.Unreachable, fault.Conflict, fault.OutcomeUnknown):
			return m, err // the next attempt may see more
		default:
			m.Found = append(m.Found, upgrade.Finding{
				ID: upgrade.NotObserved, Severity: upgrade.SeverityWarning, Target: c.config.Name, Message: look.what + " could not be looked at: " + err.Error(),
			})
		}
	}
	return m, nil
}

var supports = map[types.SupportType]upgrade.ManagedSupport{
	types.SupportTypeStandard: upgrade.StandardSupport, types.SupportTypeExtended: upgrade.ExtendedSupport,
}

var supported = map[types.VersionStatus]upgrade.ManagedSupport{
	types.VersionStatusStandardSupport: upgrade.StandardSupport, types.VersionStatusExtendedSupport: upgrade.ExtendedSupport,
}

// seeUpdates finds what is under way, and when the control plane came to its minor.
func (c *Cluster) seeUpdates(ctx context.Context, m *upgrade.Managed) error {
	all, err := c.updates(ctx, part{})
	if err != nil {
		return err
	}
	var last time.Time // of a move of the version
	for _, u := range all {
		if !ended(u) {
			m.Update = described(u)
		}
		moved := u.Type == types.UpdateTypeVersionUpdate || u.Type == types.UpdateTypeVersionRollback
		if !moved || u.Status != types.UpdateStatusSuccessful || !val(u.CreatedAt).After(last) {
			continue
		}
		last, m.UpgradedAt = val(u.CreatedAt), time.Time{}
		if u.Type == types.UpdateTypeVersionUpdate && param(u, types.UpdateParamTypeVersion) == m.Version.MinorNumber() {
			m.UpgradedAt = last
		}
	}
	return nil
}

func (c *Cluster) seeOffers(ctx context.Context, m *upgrade.Managed, minors []upgrade.Version) error {
	in := &sdk.DescribeClusterVersionsInput{}
	for _, v := range minors {
		in.ClusterVersions = append(in.ClusterVersions, v.MinorNumber())
	}
	pages := sdk.NewDescribeClusterVersionsPaginator(c.api, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return looked("look at the versions that EKS offers to", c.target(), err)
		}
		for _, o := range page.ClusterVersions {
			if v, err := upgrade.ParseMinor(str(o.ClusterVersion)); err == nil {
				m.Offered = append(m.Offered, upgrade.ManagedMinor{Version: v, Support: supported[o.VersionStatus], StandardUntil: val(o.EndOfStandardSupportDate), ExtendedUntil: val(o.EndOfExtendedSupportDate)})
			}
		}
	}
	slices.SortFunc(m.Offered, func(a, b upgrade.ManagedMinor) int { return a.Version.Compare(b.Version) })
	return nil
}

func (c *Cluster) seeInsights(ctx context.Context, m *upgrade.Managed) error {
	all, newest, err := c.insights(ctx)
	if err != nil {
		return err
	}
	m.RefreshedAt = newest
	m.Insights, err = c.details(ctx, all)
	return err
}

// seeSubnets counts free addresses in those subnets that were given to the cluster: EKS takes one of any of them.
func (c *Cluster) seeSubnets(ctx context.Context, m *upgrade.Managed, now types.Cluster) error {
	if now.ResourcesVpcConfig == nil || len(now.ResourcesVpcConfig.SubnetIds) == 0 {
		return nil
	}
	pages := ec2.NewDescribeSubnetsPaginator(c.ec2, &ec2.DescribeSubnetsInput{SubnetIds: now.ResourcesVpcConfig.SubnetIds})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return looked("look at the subnets of", c.target(), err)
		}
		for _, s := range page.Subnets {
			m.Subnets = append(m.Subnets, upgrade.ManagedSubnet{ID: str(s.SubnetId), Zone: str(s.AvailabilityZone), Free: int(val(s.AvailableIpAddressCount))})
		}
	}
	return nil
}

func (c *Cluster) seeFargate(ctx context.Context, m *upgrade.Managed) error {
	pages := sdk.NewListFargateProfilesPaginator(c.api, &sdk.ListFargateProfilesInput{ClusterName: &c.config.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return looked("look at the Fargate profiles of", c.target(), err)
		}
		m.Fargate = append(m.Fargate, page.FargateProfileNames...)
	}
	return nil
}
