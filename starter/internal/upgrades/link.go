package upgrades

import (
	"fmt"
	"net/url"
	"os"

	"github.com/pawl-dev/pawl/internal/temporalui"
	"github.com/pawl-dev/pawl/workflows"
)

// Link is where Temporal's web UI shows a workflow; "" when nobody knows where the UI is. PAWL_TEMPORAL_UI names it; see
// package temporalui.
func (c *Client) Link(workflow, run string) string {
	return temporalui.Link(c.Address, os.Getenv("PAWL_TEMPORAL_UI"), c.Namespace, workflow, run)
}

// StartForm is the page of a Temporal UI that starts an upgrade: all but the cluster is filled in.
func StartForm(ui, namespace string) string {
	filled := url.Values{
		"workflowType": {workflows.ClusterUpgradeName}, "taskQueue": {workflows.TaskQueue},
		"workflowId": {workflows.ClusterUpgradeID("NAME")},
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/start-workflow?%s", ui, url.PathEscape(namespace), filled.Encode())
}
