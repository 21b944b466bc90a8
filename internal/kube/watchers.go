package kube

import (
	"context"
	"net"
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// EndpointWatchers counts the watches on EndpointSlices that all API servers together serve now: every node's
// kube-proxy has one, CoreDNS and controllers have theirs. After an API server was away its clients come back by and by
// (client-go's reflector waits up to 30 s between two tries), and until then a kube-proxy sends traffic to pods that
// are gone.
func (c *Cluster) EndpointWatchers(ctx context.Context) (int, error) {
	if c.byHand {
		return c.watchersByHand(ctx)
	}
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

// watchersByHand asks the API servers at the addresses that they themselves keep as the endpoints of the service
// "kubernetes". One that does not answer there counts none: its certificate need not name that address.
// Source: https://github.com/kubernetes/kubernetes/blob/master/pkg/controlplane/reconcilers/lease.go
func (c *Cluster) watchersByHand(ctx context.Context) (all int, err error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	slices, err := c.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(bound, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
	if err = c.classify("read the endpoints of", "default/kubernetes", err); fault.Is(err, fault.Unauthorized) {
		return 0, nil // nobody counts, and nobody is waited for
	}
	if err != nil {
		return 0, err
	}
	for _, s := range slices.Items {
		for _, port := range s.Ports {
			if port.Port == nil {
				continue
			}
			for _, e := range s.Endpoints {
				for _, address := range e.Addresses {
					endpoint := net.JoinHostPort(address, strconv.Itoa(int(*port.Port)))
					_ = c.metricsOf(ctx, address, endpoint, "apiserver_longrunning_requests", func(s sample) { all += endpointWatches(s) })
				}
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
