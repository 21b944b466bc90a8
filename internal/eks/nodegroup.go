package eks

import (
	"cmp"
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// group is a node group as it is now.
func (c *Cluster) group(ctx context.Context, name string) (types.Nodegroup, error) {
	out, err := c.api.DescribeNodegroup(ctx, &sdk.DescribeNodegroupInput{ClusterName: &c.config.Name, NodegroupName: &name})
	if err != nil {
		return types.Nodegroup{}, looked("look at node group "+name+" of", c.target(), err)
	}
	return *out.Nodegroup, nil
}

// custom reports whether the group's image is a person's own.
func custom(g types.Nodegroup) bool { return g.AmiType == types.AMITypesCustom }

// template is the version of its launch template that a custom group goes to next, and that version's image.
func (c *Cluster) template(ctx context.Context, g types.Nodegroup) (number, image string, err error) {
	op, name := "find the next launch template of", "node group "+str(g.NodegroupName)
	if g.LaunchTemplate == nil {
		return "", "", fault.New(fault.PreflightFailed, op, name, "its image is a custom one, and it has no launch template", "make the node group anew")
	}
	version := cmp.Or(c.config.TemplateVersions[str(g.NodegroupName)], preset)
	in := &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: g.LaunchTemplate.Id, Versions: []string{version}}
	if in.LaunchTemplateId == nil {
		in.LaunchTemplateName = g.LaunchTemplate.Name
	}
	out, err := c.ec2.DescribeLaunchTemplateVersions(ctx, in)
	switch {
	case err != nil:
		return "", "", looked(op, name, err)
	case len(out.LaunchTemplateVersions) == 0:
		return "", "", fault.New(fault.PreflightFailed, op, name, "it has no version "+version, "make one with the new image")
	}
	v := out.LaunchTemplateVersions[0]
	if v.LaunchTemplateData != nil {
		image = str(v.LaunchTemplateData.ImageId)
	}
	return strconv.FormatInt(val(v.VersionNumber), 10), image, nil
}

// UpgradeNodeGroup has EKS replace the group's nodes by ones of the minor of v. A group with a custom image goes to another
// version of its launch template instead: of which minor that image is, only the new nodes' kubelets tell.
func (c *Cluster) UpgradeNodeGroup(ctx context.Context, key, name string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error) {
	op := "bring node group " + name + " to " + v.MinorString() + " in"
	now, err := c.group(ctx, name)
	if err != nil {
		return upgrade.ManagedOutcome{}, err
	}
	ch := change{
		part: part{group: &name}, op: op, target: c.target(), kind: types.UpdateTypeVersionUpdate, param: types.UpdateParamTypeVersion, to: v.MinorNumber(),
	}
	in := &sdk.UpdateNodegroupVersionInput{ClusterName: &c.config.Name, NodegroupName: &name, Force: force, Version: &ch.to}
	if custom(now) {
		number, _, err := c.template(ctx, now)
		if err != nil {
			return upgrade.ManagedOutcome{}, err
		}
		ch.param, ch.to = types.UpdateParamTypeLaunchTemplateVersion, number
		in.Version, in.LaunchTemplate = nil, &types.LaunchTemplateSpecification{Version: &number}
		if in.LaunchTemplate.Id = now.LaunchTemplate.Id; in.LaunchTemplate.Id == nil {
			in.LaunchTemplate.Name = now.LaunchTemplate.Name
		}
	}
	in.ClientRequestToken = token(key, "group", c.config.Name, name, ch.to, strconv.FormatBool(force))
	ch.look = func(ctx context.Context) (string, bool, string, error) {
		g, err := c.group(ctx, name)
		if err != nil {
			return "", false, "", err
		}
		at, there := "v"+str(g.Version), str(g.Version) == ch.to
		if custom(g) && g.LaunchTemplate != nil {
			at, there = "template version "+str(g.LaunchTemplate.Version), str(g.LaunchTemplate.Version) == ch.to
		}
		switch g.Status {
		case types.NodegroupStatusDeleting, types.NodegroupStatusDeleteFailed, types.NodegroupStatusCreateFailed:
			return at, false, "", fault.New(fault.PreflightFailed, op, c.target(), "it is "+string(g.Status), "leave it out, or have it made anew")
		case types.NodegroupStatusCreating, types.NodegroupStatusUpdating:
			return at, there, "it is " + string(g.Status), nil
		case types.NodegroupStatusDegraded:
			if there {
				return at, false, "", fault.New(fault.VerificationFailed, op, c.target(), "it is DEGRADED"+worded(groupIssues(g)), "put it right, then retry")
			}
		}
		return at, there, "", nil
	}
	ch.start = func(ctx context.Context) (*types.Update, error) {
		out, err := c.api.UpdateNodegroupVersion(ctx, in)
		if err != nil {
			return nil, err
		}
		return out.Update, nil
	}
	return c.carryOut(ctx, ch)
}

func groupIssues(g types.Nodegroup) []upgrade.ManagedIssue {
	if g.Health == nil {
		return nil
	}
	return issues(g.Health.Issues, func(i types.Issue) (string, *string, []string) { return string(i.Code), i.Message, i.ResourceIds })
}
