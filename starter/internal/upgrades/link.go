package upgrades

import (
	"os"

	"github.com/pawl-dev/pawl/internal/temporalui"
)

// Link is where Temporal's web UI shows a workflow; "" when nobody knows where the UI is. PAWL_TEMPORAL_UI names it; see
// package temporalui.
func (c *Client) Link(workflow, run string) string {
	return temporalui.Link(c.Address, os.Getenv("PAWL_TEMPORAL_UI"), c.Namespace, workflow, run)
}
