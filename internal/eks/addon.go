package eks

import (
	"context"

	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// addon is an add-on as it is now.
func (c *Cluster) addon(ctx context.Context, name string) (types.Addon, error) {
	out, err := c.api.DescribeAddon(ctx, &sdk.DescribeAddonInput{ClusterName: &c.config.Name, AddonName: &name})
	if err != nil {
		return types.Addon{}, looked("look at add-on "+name+" of", c.target(), err)
	}
	return *out.Addon, nil
}

// UpgradeAddon brings an add-on to a version. Its settings, its role and what was changed in the cluster by hand stay. The
// settings may hold what nobody else is to read: they are passed on from EKS to EKS, and go nowhere else.
func (c *Cluster) UpgradeAddon(ctx context.Context, key, name, version string) (upgrade.ManagedOutcome, error) {
	op, target := "update add-on "+name+" to "+version+" in", c.target()
	var now types.Addon
	return c.carryOut(ctx, change{
		part: part{addon: &name}, op: op, target: target, kind: types.UpdateTypeAddonUpdate, param: types.UpdateParamTypeAddonVersion, to: version,
		look: func(ctx context.Context) (at string, there bool, lacks string, err error) {
			if now, err = c.addon(ctx, name); err != nil {
				return "", false, "", err
			}
			at = str(now.AddonVersion)
			switch now.Status {
			case types.AddonStatusDeleting, types.AddonStatusDeleteFailed, types.AddonStatusCreateFailed:
				return at, false, "", fault.New(fault.PreflightFailed, op, target, "it is "+string(now.Status), "have it made anew, or leave it out")
			case types.AddonStatusCreating, types.AddonStatusUpdating:
				return at, at == version, "it is " + string(now.Status), nil
			case types.AddonStatusActive:
				return at, at == version, "", nil
			}
			if at == version {
				return at, false, "", fault.New(fault.VerificationFailed, op, target, "it is "+string(now.Status)+worded(addonIssues(now)), "put it right, then retry")
			}
			return at, false, "", nil
		},
		start: func(ctx context.Context) (*types.Update, error) {
			out, err := c.api.UpdateAddon(ctx, &sdk.UpdateAddonInput{
				ClusterName: &c.config.Name, AddonName: &name, AddonVersion: &version, ResolveConflicts: types.ResolveConflictsPreserve,
				ConfigurationValues: now.ConfigurationValues, ServiceAccountRoleArn: now.ServiceAccountRoleArn,
				ClientRequestToken: token(key, "addon", c.config.Name, name, version, str(now.ConfigurationValues), str(now.ServiceAccountRoleArn)),
			})
			if err != nil {
				return nil, err
			}
			return out.Update, nil
		},
	})
}

// worded renders issues after what they are about.
func worded(issues []upgrade.ManagedIssue) string {
	s := ""
	for _, i := range issues {
		s += ", " + i.Code + ": " + i.Message
	}
	return s
}

func addonIssues(a types.Addon) []upgrade.ManagedIssue {
	if a.Health == nil {
		return nil
	}
	return issues(a.Health.Issues, func(i types.AddonIssue) (string, *string, []string) { return string(i.Code), i.Message, i.ResourceIds })
}

// issues are the first few of what EKS complains of.
func issues[T any](all []T, of func(T) (string, *string, []string)) []upgrade.ManagedIssue {
	var kept []upgrade.ManagedIssue
	for i, one := range all {
		if i == issuesKept {
			break
		}
		code, text, ids := of(one)
		kept = append(kept, upgrade.ManagedIssue{Code: code, Message: clip(str(text)) + about(ids)})
	}
	return kept
}
