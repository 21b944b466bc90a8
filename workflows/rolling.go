package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// rolling upgrades a pool's nodes in place, a few at a time: the applications go on on the others.
func (u *clusterUpgrade) rolling(ctx workflow.Context, part upgrade.PoolPart) error {
	return u.inRounds(ctx, part, "node")
}
