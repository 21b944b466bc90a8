package eks

import (
	"context"
	"errors"
	"strconv"

	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/smithy-go"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// message is what AWS said beside a code.
func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return ""
}

// cluster is the control plane as it is now, and its minor.
func (c *Cluster) cluster(ctx context.Context) (types.Cluster, upgrade.Version, error) {
	const op = "look at"
	out, err := c.api.DescribeCluster(ctx, &sdk.DescribeClusterInput{Name: &c.config.Name})
	if err != nil {
		return types.Cluster{}, upgrade.Version{}, looked(op, c.target(), err)
	}
	v, err := upgrade.ParseMinor(str(out.Cluster.Version))
	if err != nil {
		return types.Cluster{}, v, fault.Wrap(fault.Unexpected, op, c.target(), err, "")
	}
	return *out.Cluster, v, nil
}

// UpgradeControlPlane brings the control plane to the minor of v, which is the next one.
func (c *Cluster) UpgradeControlPlane(ctx context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error) {
	op := "upgrade the control plane to " + v.MinorString() + " of"
	return c.move(ctx, op, key, v, force, types.UpdateTypeVersionUpdate, func(at upgrade.Version) error {
		switch behind := at.MinorsBehind(v); {
		case behind < 0:
			return fault.New(fault.PreflightFailed, op, c.target(), "it is "+at.MinorString()+" already: somebody else, or EKS itself, has upgraded it", "make a new plan")
		case behind > 1:
			return fault.New(fault.PreflightFailed, op, c.target(), "it is "+at.MinorString()+", and goes one minor at a time", "make a new plan")
		}
		return nil
	})
}

// RollBackControlPlane brings the control plane back to the minor of v, which is the one before.
func (c *Cluster) RollBackControlPlane(ctx context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error) {
	op := "roll the control plane back to " + v.MinorString() + " of"
	return c.move(ctx, op, key, v, force, types.UpdateTypeVersionRollback, func(at upgrade.Version) error {
		if at.MinorsBehind(v) != -1 {
			return fault.New(fault.PreflightFailed, op, c.target(), "it is "+at.MinorString()+", and goes back by one minor only", "")
		}
		return nil
	})
}

// move brings the control plane to a minor. may says whether that may be from where it is.
func (c *Cluster) move(ctx context.Context, op, key string, v upgrade.Version, force bool, kind types.UpdateType, may func(at upgrade.Version) error) (upgrade.ManagedOutcome, error) {
	to := v.MinorNumber()
	return c.carryOut(ctx, change{
		op: op, target: c.target(), kind: kind, param: types.UpdateParamTypeVersion, to: to,
		look: func(ctx context.Context) (string, bool, string, error) {
			now, at, err := c.cluster(ctx)
			switch {
			case err != nil:
				return "", false, "", err
			case now.Status == types.ClusterStatusDeleting, now.Status == types.ClusterStatusFailed, now.Status == types.ClusterStatusPending:
				return upgrade.ManagedTo(at), false, "", fault.New(fault.PreflightFailed, op, c.target(), "it is "+string(now.Status), "")
			case now.Status != types.ClusterStatusActive:
				return upgrade.ManagedTo(at), at.SameMinor(v), "it is " + string(now.Status), nil
			case at.SameMinor(v):
				return upgrade.ManagedTo(at), true, "", nil
			}
			return upgrade.ManagedTo(at), false, "", may(at)
		},
		start: func(ctx context.Context) (*types.Update, error) {
			out, err := c.api.UpdateClusterVersion(ctx, &sdk.UpdateClusterVersionInput{
				Name: &c.config.Name, Version: &to, Force: force, ClientRequestToken: token(key, string(kind), c.config.Name, to, strconv.FormatBool(force)),
			})
			if err != nil {
				return nil, err
			}
			return out.Update, nil
		},
	})
}
