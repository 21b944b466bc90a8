package upgrades

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/pawl-dev/pawl/workflows"
)

// Link is where Temporal's web UI shows a workflow; "" when nobody knows where the UI is. PAWL_TEMPORAL_UI names it;
// a server on this machine has it 1000 ports above its own, as `pawl dev` and `temporal server start-dev` do.
func (c *Client) Link(workflow, run string) string {
	base := uiBase(c.Address, os.Getenv("PAWL_TEMPORAL_UI"))
	if base == "" {
		return ""
	}
	link := fmt.Sprintf("%s/namespaces/%s/workflows/%s", base, url.PathEscape(c.Namespace), url.PathEscape(workflow))
	if run != "" {
		link += "/" + url.PathEscape(run) + "/history"
	}
	return link
}

// StartForm is the page of a Temporal UI that starts an upgrade: all but the cluster is filled in.
func StartForm(ui, namespace string) string {
	filled := url.Values{
		"workflowType": {workflows.ClusterUpgradeName}, "taskQueue": {workflows.TaskQueue},
		"workflowId": {workflows.ClusterUpgradeID("NAME")},
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/start-workflow?%s", ui, url.PathEscape(namespace), filled.Encode())
}

func uiBase(address, configured string) string {
	if configured != "" {
		return strings.TrimRight(configured, "/")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if strings.HasSuffix(host, ".tmprl.cloud") || strings.HasSuffix(host, ".temporal.io") {
		return "https://cloud.temporal.io"
	}
	n, err := strconv.Atoi(port)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return ""
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(n+1000))
}
