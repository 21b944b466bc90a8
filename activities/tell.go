package activities

import (
	"context"

	"go.temporal.io/sdk/activity"
)

// TellInput says what to tell the upgrade of a cluster: an update by its name, and what a person gave with it.
type TellInput struct {
	Workflow string `json:"workflow"`
	Run      string `json:"run"` // "" is the newest
	Update   string `json:"update"`
	Reason   string `json:"reason,omitempty"`
	By       string `json:"by,omitempty"`
	// Key is the same for every attempt, so that one whose answer was lost is not told twice.
	Key string `json:"-"`
}

// TellUpgrade tells the upgrade of a cluster what a person decided for the whole fleet, and returns its answer.
func (a *Activities) TellUpgrade(ctx context.Context, in TellInput) (string, error) {
	info := activity.GetInfo(ctx)
	in.Key = info.WorkflowExecution.RunID + "/" + info.ActivityID
	return a.Upgrades.Tell(ctx, in)
}
