package eks

import (
	"context"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func (c *Cluster) seeAddons(ctx context.Context, m *upgrade.Managed, minors []upgrade.Version) error {
	pages := sdk.NewListAddonsPaginator(c.api, &sdk.ListAddonsInput{ClusterName: &c.config.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return looked("look at the add-ons of", c.target(), err)
		}
		for _, name := range page.Addons {
			a, err := c.seeAddon(ctx, name, minors)
			switch {
			case fault.Is(err, fault.NotFound): // it was removed since
			case err != nil:
				return err
			default:
				m.Addons = append(m.Addons, a)
			}
		}
	}
	return nil
}

func (c *Cluster) seeAddon(ctx context.Context, name string, minors []upgrade.Version) (upgrade.ManagedAddon, error) {
	now, err := c.addon(ctx, name)
	if err != nil {
		return upgrade.ManagedAddon{}, err
	}
	a := upgrade.ManagedAddon{
		Name: name, Version: str(now.AddonVersion), Status: string(now.Status), Owner: str(now.Owner), Publisher: str(now.Publisher),
		Configured: str(now.ConfigurationValues) != "", Issues: addonIssues(now),
	}
	if now.Status == types.AddonStatusUpdating {
		if a.Update, err = c.underWay(ctx, part{addon: &name}); err != nil {
			return a, err
		}
	}
	pages := sdk.NewDescribeAddonVersionsPaginator(c.api, &sdk.DescribeAddonVersionsInput{AddonName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return a, looked("look at the versions of add-on "+name+" of", c.target(), err)
		}
		for _, info := range page.Addons {
			if str(info.AddonName) == name {
				a.Versions = append(a.Versions, versions(info.AddonVersions, minors)...)
			}
		}
	}
	a.Versions = a.Choices()
	return a, nil
}

// versions are those that are good for any of the minors.
func versions(all []types.AddonVersionInfo, minors []upgrade.Version) []upgrade.ManagedAddonVersion {
	var kept []upgrade.ManagedAddonVersion
	for _, info := range all {
		v := upgrade.ManagedAddonVersion{Version: str(info.AddonVersion)}
		for _, for_ := range info.Compatibilities {
			minor, err := upgrade.ParseMinor(str(for_.ClusterVersion))
			if err != nil || !slices.Contains(minors, minor) || slices.Contains(v.For, minor) {
				continue
			}
			v.For = append(v.For, minor)
			if for_.DefaultVersion {
				v.DefaultFor = append(v.DefaultFor, minor)
			}
		}
		slices.SortFunc(v.For, upgrade.Version.Compare)
		slices.SortFunc(v.DefaultFor, upgrade.Version.Compare)
		if len(v.For) > 0 {
			kept = append(kept, v)
		}
	}
	return kept
}

// underWay is the update of a part that is under way, or nil.
func (c *Cluster) underWay(ctx context.Context, p part) (*upgrade.ManagedUpdate, error) {
	u, err := c.busy(ctx, p)
	if err != nil || u == nil {
		return nil, err
	}
	return described(*u), nil
}

func (c *Cluster) seeGroups(ctx context.Context, m *upgrade.Managed) error {
	pages := sdk.NewListNodegroupsPaginator(c.api, &sdk.ListNodegroupsInput{ClusterName: &c.config.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return looked("look at the node groups of", c.target(), err)
		}
		for _, name := range page.Nodegroups {
			g, err := c.seeGroup(ctx, name)
			switch {
			case fault.Is(err, fault.NotFound): // it was removed since
			case err != nil:
				return err
			default:
				m.NodeGroups = append(m.NodeGroups, g)
			}
		}
	}
	return nil
}

func (c *Cluster) seeGroup(ctx context.Context, name string) (upgrade.NodeGroup, error) {
	now, err := c.group(ctx, name)
	if err != nil {
		return upgrade.NodeGroup{}, err
	}
	v, _ := upgrade.ParseMinor(str(now.Version)) // zero: EKS does not say
	g := upgrade.NodeGroup{
		Name: name, Version: v, Release: str(now.ReleaseVersion), AMIType: string(now.AmiType), Capacity: string(now.CapacityType),
		Status: string(now.Status), Issues: groupIssues(now),
	}
	if s := now.ScalingConfig; s != nil {
		g.Min, g.Max, g.Desired = int(val(s.MinSize)), int(val(s.MaxSize)), int(val(s.DesiredSize))
	}
	if u := now.UpdateConfig; u != nil {
		g.MaxUnavailable, g.MaxUnavailablePercent = int(val(u.MaxUnavailable)), int(val(u.MaxUnavailablePercentage))
		g.Minimal = u.UpdateStrategy == types.NodegroupUpdateStrategiesMinimal
	}
	if t := now.LaunchTemplate; t != nil {
		if g.Template = str(t.Id); g.Template == "" {
			g.Template = str(t.Name)
		}
		g.TemplateVersion = str(t.Version)
	}
	if now.Status == types.NodegroupStatusUpdating {
		if g.Update, err = c.underWay(ctx, part{group: &name}); err != nil {
			return g, err
		}
	}
	if custom(now) {
		g.ImageID, g.Release = g.Release, ""
		number, image, err := c.template(ctx, now)
		if err != nil && !fault.Is(err, fault.PreflightFailed, fault.Unauthorized) { // a plan says that there is no image
			return g, err
		}
		g.NextTemplateVersion, g.NextImageID = number, image
	}
	return g, nil
}
