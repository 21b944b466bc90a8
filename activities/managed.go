package activities

import (
	"context"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Managed is a control plane that a provider runs, with its add-ons and node groups. Every method looks first, acts if
// something is left to do, waits for its end, and verifies it; it may be cut off at any instant and called again with the
// same key, and never begins the same twice. A call lasts as long as the provider needs: minutes for a control plane,
// hours for a large node group; it returns when ctx ends, and what it began goes on.
//
// A key stands for one attempt at one step: an attempt that failed fails again under the same key, and a person's retry
// needs another. An update that somebody else began is adopted if it leads to the same, else refused by name as
// fault.PreflightFailed. What a person has to put right before is fault.PreflightFailed; an update that the provider
// carried out and that failed is fault.VerificationFailed; fault.OutcomeUnknown is a wait that ctx ended.
type Managed interface {
	// Observe looks at everything that a plan to target judges. What may not be looked at is a finding, not an error.
	Observe(ctx context.Context, target upgrade.Version) (upgrade.Managed, error)
	// RefreshInsights has the provider make its checks anew, waits until they are, and returns those that do not pass.
	RefreshInsights(ctx context.Context) ([]upgrade.ManagedInsight, error)
	// UpgradeControlPlane brings the control plane to the minor of v, which is the next one. force overrules the provider's
	// own checks, and nothing else.
	UpgradeControlPlane(ctx context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error)
	// RollBackControlPlane brings it back to the minor of v, which is the one before. Add-ons and node groups stay as they are.
	RollBackControlPlane(ctx context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error)
	// UpgradeAddon brings an add-on to a version, with its settings as they are.
	UpgradeAddon(ctx context.Context, key, name, version string) (upgrade.ManagedOutcome, error)
	// UpgradeNodeGroup has the provider replace the group's nodes by ones of the minor of v, which is the control plane's or
	// older. force ends pods that their budgets do not let go.
	UpgradeNodeGroup(ctx context.Context, key, name string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error)
}
