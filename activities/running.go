package activities

import (
	"context"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// RunningUpgrade is an upgrade that is under way.
type RunningUpgrade struct {
	Workflow string `json:"workflow,omitempty"` // its id; "" is no upgrade
	// Target, State and Message are zero where the upgrade did not answer.
	Target  upgrade.Version `json:"target,omitzero"`
	State   upgrade.State   `json:"state,omitempty"`
	Message string          `json:"message,omitempty"`
	Since   time.Time       `json:"since,omitzero"`
}

// FindUpgrade looks for an upgrade of the cluster that is under way.
func (a *Activities) FindUpgrade(ctx context.Context, in ObserveInput) (RunningUpgrade, error) {
	found, err := a.Past.Running(ctx, in.Cluster)
	return found, fault.Wrap(fault.Unreachable, "look for an upgrade of", in.Cluster, err, "")
}
