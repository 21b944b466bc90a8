package activities

import (
	"context"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// WindowInput asks when something may begin.
type WindowInput struct {
	Cluster string `json:"cluster"`
	What    string `json:"what"` // is to begin, for people: a node, the cluster
	// After is the time from which on it may.
	After time.Time `json:"after"`
	// Needs is how long it is expected to take.
	Needs upgrade.Duration `json:"needs"`
	// Waived: where no window is that long, it may begin when one as long as any has just opened.
	Waived bool `json:"waived,omitempty"`
}

// NextWindow finds the maintenance window in which something may begin. It reads the cluster's definition anew, so that
// an edit takes effect. All that depends on time zones is done here: their rules differ from worker to worker, and what is
// found is kept in the history.
func (a *Activities) NextWindow(_ context.Context, in WindowInput) (upgrade.Turn, error) {
	settings, err := a.Directory.Settings(in.Cluster)
	if err != nil {
		return upgrade.Turn{}, err
	}
	const op = "find a maintenance window for"
	calendar, err := settings.Windows.Calendar()
	if err != nil {
		return upgrade.Turn{}, fault.Wrap(fault.InvalidInput, op, in.What, err, "")
	}
	turn, err := calendar.Turn(in.After, in.Needs.Std(), in.Waived)
	return turn, fault.Wrap(fault.PreflightFailed, op, in.What, err, "make a window longer in the cluster's definition, then retry")
}
