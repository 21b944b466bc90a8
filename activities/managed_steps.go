package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What a provider changes by itself. Its own updates cannot be paused; pawl begins each once, finds it again, and waits.

// UpdateControlPlane has the provider bring the control plane to the version, which is of the next minor. Its checks are made
// anew before.
func (a *Activities) UpdateControlPlane(ctx context.Context, in NodeInput) (Outcome, error) {
	managed, err := a.Directory.Managed(ctx, in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	insights, err := managed.RefreshInsights(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if stop := upgrade.InsightsAgainst(insights, in.Version); len(stop) > 0 && !in.Force {
		return Outcome{}, fault.New(fault.PreflightFailed, "update the control plane of", in.Cluster, stop[0].String(), "")
	}
	done, err := managed.UpgradeControlPlane(ctx, in.updateKey(), in.Version, in.Force)
	return noted(done), err
}

// RollBackControlPlane has the provider bring the control plane back to the version, which is of the minor before.
func (a *Activities) RollBackControlPlane(ctx context.Context, in NodeInput) (Outcome, error) {
	managed, err := a.Directory.Managed(ctx, in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	done, err := managed.RollBackControlPlane(ctx, in.updateKey(), in.Version, in.Force)
	return noted(done), err
}

// UpdateAddon has the provider bring an add-on to a version, with its settings as they are.
func (a *Activities) UpdateAddon(ctx context.Context, in NodeInput) (Outcome, error) {
	managed, err := a.Directory.Managed(ctx, in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	done, err := managed.UpgradeAddon(ctx, in.updateKey(), in.Addon.Name, in.Addon.To)
	return noted(done), err
}

// UpdateNodeGroup has the provider replace a node group's nodes by ones of the version, within budgets.
func (a *Activities) UpdateNodeGroup(ctx context.Context, in NodeInput) (Outcome, error) {
	managed, err := a.Directory.Managed(ctx, in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	done, err := managed.UpgradeNodeGroup(ctx, in.updateKey(), upgrade.NodeGroupOf(in.Node), in.Version, in.Force)
	return noted(done), err
}

// followTime is for how long nodes that replace themselves are waited for: budgets and their own windows slow them down.
const followTime = 12 * time.Hour

// AwaitNodes waits until the nodes that Karpenter or Auto Mode replaces are of the version's minor. They are not touched.
func (a *Activities) AwaitNodes(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	patience := upgrade.Verify{Timeout: upgrade.Duration(followTime)}
	return Outcome{}, await(ctx, patience, "wait for the nodes of", in.Cluster, func(ctx context.Context) error {
		behind, err := api.NodesBehind(ctx, in.Version)
		if err == nil && len(behind) > 0 {
			err = fault.New(fault.VerificationFailed, "replace", strings.Join(behind, ", "), "older than "+in.Version.MinorString(),
				"look at the NodePool's budgets and its expireAfter, or at what keeps their pods")
		}
		return err
	})
}

// restartTime is for how long workloads on Fargate are waited for: each of their pods waits for a machine of its own.
const restartTime = 2 * time.Hour

// RestartFargate has the workloads whose pods are on Fargate nodes of an older minor make them anew, since such a node lives as
// long as its pod, and waits until they have.
func (a *Activities) RestartFargate(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	var now upgrade.Restart
	patience := upgrade.Verify{Timeout: upgrade.Duration(restartTime)}
	err = await(ctx, patience, "restart the pods on Fargate of", in.Cluster, func(ctx context.Context) (err error) {
		now, err = api.RestartFargate(ctx, in.Version, in.Since)
		if err == nil && len(now.Waiting) > 0 {
			err = fault.New(fault.VerificationFailed, "restart", strings.Join(now.Waiting, ", "), "their pods are not all made anew", "look at them, and at the Fargate profiles")
		}
		return err
	})
	var out Outcome
	if len(now.Left) > 0 {
		out.Left = "as they are, since nobody makes them anew: " + strings.Join(now.Left, ", ")
	}
	return out, err
}

// updateKey stands for one attempt that a person has let begin: the same for all that follow by themselves.
func (in NodeInput) updateKey() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%s\x00%d", in.Owner, in.Run, in.Cluster, in.Node, in.Version, in.Try))
	return "pawl-" + hex.EncodeToString(sum[:16])
}

// noted tells which update it was.
func noted(done upgrade.ManagedOutcome) Outcome {
	var out Outcome
	if done.Update != "" {
		out.Note = "update " + done.Update
		if done.Adopted {
			out.Note += ", which somebody else had begun"
		}
	}
	return out
}
