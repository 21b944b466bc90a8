package kubelet

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// proxy is the node's kube-proxy as far as the API server sees it: a watch on EndpointSlices through the load balancer.
// When the API server behind it goes away it comes back as client-go's reflector does, after 0.8 s at first and after
// up to 30 s later (k8s.io/client-go/tools/cache/reflector.go). It ends with the kubelet's run, and is back with the
// next one.
func (r *run) proxy(ctx context.Context) {
	const first, longest = 800 * time.Millisecond, 30 * time.Second
	for pause := first; ; {
		w, err := r.opts.Balanced.DiscoveryV1().EndpointSlices("").Watch(ctx, metav1.ListOptions{})
		if err == nil {
			for range w.ResultChan() {
				pause = first
			}
			w.Stop()
		}
		if r.m.Sleep(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, longest)
	}
}
