package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// nodeEvents shows events in the clusters of a directory.
type nodeEvents struct {
	directory *directory
	logger    *slog.Logger
	refused   sync.Map // clusters that do not let pawl
}

// Show implements activities.Events. That a cluster does not let pawl is said once.
func (n *nodeEvents) Show(ctx context.Context, cluster, node string, e upgrade.NodeEvent) {
	if _, refused := n.refused.Load(cluster); refused {
		return
	}
	api, err := n.directory.kube(cluster)
	if err == nil {
		err = api.ShowEvent(ctx, node, e)
	}
	switch {
	case fault.Is(err, fault.Unauthorized):
		if _, said := n.refused.LoadOrStore(cluster, true); !said {
			n.logger.Warn("nodes get no Events until this worker is restarted: let it create events in the namespace default", "cluster", cluster, "error", err)
		}
	case err != nil:
		n.logger.Warn("a node gets no Event", "cluster", cluster, "node", node, "reason", e.Reason, "error", err)
	}
}
