package kube

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// EndpointWatchers counts the watches on EndpointSlices that all API servers together serve now: every node's
// kube-proxy has one, CoreDNS and controllers have theirs. After an API server was away its clients come back by and by
// (client-go's reflector waits up to 30 s between two tries), and until then a kube-proxy sends traffic to pods that
// are gone.
func (c *Cluster) EndpointWatchers(ctx context.Context) (int, error) {
	pods, err := c.controlPlanePods(ctx)
	if err != nil {
		return 0, err
	}
	all := 0
	for _, p := range pods {
		if endpoint := p.Annotations[advertiseAddress]; p.Labels["component"] == upgrade.APIServer && endpoint != "" {
			n, err := c.endpointWatchersOf(ctx, p.Spec.NodeName, endpoint)
			if err != nil {
				return 0, err
			}
			all += n
		}
	}
	return all, nil
}

func (c *Cluster) endpointWatchersOf(ctx context.Context, node, endpoint string) (int, error) {
	const op = "read the metrics of kube-apiserver of"
	response, err := c.getFrom(ctx, op, node, endpoint, "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fault.New(fault.Unreachable, op, node, response.Status, "allow the kubeconfig's user to get /metrics")
	}
	n, err := countEndpointWatches(response.Body)
	return n, fault.Wrap(fault.Unreachable, op, node, err, "")
}

// countEndpointWatches adds up the gauge of open EndpointSlice watches. The metrics of a large cluster are megabytes, so
// they are scanned for the one line that matters instead of being parsed whole.
func countEndpointWatches(metrics io.Reader) (int, error) {
	all := 0
	lines := bufio.NewScanner(metrics)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "apiserver_longrunning_requests{") ||
			!strings.Contains(line, `resource="endpointslices"`) || !strings.Contains(line, `verb="WATCH"`) {
			continue
		}
		n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		all += int(n)
	}
	return all, lines.Err()
}
