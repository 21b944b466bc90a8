// Package temporalui knows where Temporal's web UI shows a workflow.
package temporalui

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Link is where Temporal's web UI shows a run of a workflow, or with run "" the workflow; "" when nobody knows where the
// UI is. address is the server's; configured is the UI's own address, where it is known.
func Link(address, configured, namespace, workflow, run string) string {
	base := Base(address, configured)
	if base == "" {
		return ""
	}
	link := fmt.Sprintf("%s/namespaces/%s/workflows/%s", base, url.PathEscape(namespace), url.PathEscape(workflow))
	if run != "" {
		link += "/" + url.PathEscape(run) + "/history"
	}
	return link
}

// Base is the address of the UI, or "". A server on this machine has its UI 1000 ports above its own, as `pawl dev` and `temporal server
// start-dev` do.
func Base(address, configured string) string {
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
