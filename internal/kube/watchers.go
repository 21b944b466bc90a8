package kube

import (
	"context"

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
			err := c.metricsOf(ctx, p.Spec.NodeName, endpoint, "apiserver_longrunning_requests", func(s sample) { all += endpointWatches(s) })
			if err != nil {
				return 0, err
			}
		}
	}
	return all, nil
}

// endpointWatches is how many open EndpointSlice watches a sample of apiserver_longrunning_requests stands for.
func endpointWatches(s sample) int {
	if s.labels["resource"] == "endpointslices" && s.labels["verb"] == "WATCH" {
		return int(s.value)
	}
	return 0
}
