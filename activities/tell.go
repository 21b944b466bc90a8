package activities

import "context"

// TellInput says what to tell the upgrade of a cluster: an update by its name, and what a person gave with it.
type TellInput struct {
	Workflow string `json:"workflow"`
	Run      string `json:"run"` // "" is the newest
	Update   string `json:"update"`
	Reason   string `json:"reason,omitempty"`
	By       string `json:"by,omitempty"`
}

// TellUpgrade tells the upgrade of a cluster what a person decided for the whole fleet, and returns its answer.
func (a *Activities) TellUpgrade(ctx context.Context, in TellInput) (string, error) {
	return a.Upgrades.Tell(ctx, in)
}
