package upgrades

import (
	"context"

	"github.com/pawl-dev/pawl/internal/visibility"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// Listed is what Temporal's visibility knows of a cluster's newest upgrade.
type Listed = visibility.Upgrade

// ListQuery is the filter for upgrades, also for Temporal's UI and CLI; held picks those that wait for a person's decision.
func ListQuery(held bool) string {
	if held {
		return visibility.HeldQuery()
	}
	return visibility.Query()
}

// List is the newest upgrade of every cluster, those under way first. It asks visibility only: no worker need run.
func (c *Client) List(ctx context.Context, held bool) ([]Listed, error) {
	all, err := visibility.Newest(ctx, c.temporal, ListQuery(held), queryPatience)
	if err != nil {
		return nil, c.translate("list", err, exit.Unexpected)
	}
	return all, nil
}
