package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
)

// ServedOnlyBy are the services (namespace/name), in order, that pods on these nodes serve, and no others.
func (c *Cluster) ServedOnlyBy(ctx context.Context, nodes []string) ([]string, error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	slicesOf, err := c.client.DiscoveryV1().EndpointSlices("").List(bound, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list EndpointSlices of", c.name, err)
	}
	here, elsewhere := map[string]bool{}, map[string]bool{}
	for _, s := range slicesOf.Items {
		name := s.Labels[discoveryv1.LabelServiceName]
		if name == "" {
			continue
		}
		service := s.Namespace + "/" + name
		for _, e := range s.Endpoints {
			switch {
			case !isReady(e):
			case e.NodeName != nil && slices.Contains(nodes, *e.NodeName):
				here[service] = true
			default:
				elsewhere[service] = true
			}
		}
	}
	var only []string
	for service := range here {
		if !elsewhere[service] {
			only = append(only, service)
		}
	}
	slices.Sort(only)
	return only, nil
}

func isReady(e discoveryv1.Endpoint) bool {
	return (e.Conditions.Ready == nil || *e.Conditions.Ready) && (e.Conditions.Terminating == nil || !*e.Conditions.Terminating)
}

// ServedSince says since when the service is served again, after it was not for a time that began then: when the first of
// the pods that serve it now became Ready, by the kubelet's clock and to the second. One of whom a pod was Ready before has
// been served all the time. While nobody serves it that is fault.VerificationFailed.
func (c *Cluster) ServedSince(ctx context.Context, service string, began time.Time) (time.Time, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	namespace, name, _ := strings.Cut(service, "/")
	slicesOf, err := c.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return time.Time{}, c.classify("list EndpointSlices of", service, err)
	}
	if len(slicesOf.Items) == 0 {
		return began, nil // the service is gone, and nobody misses it
	}
	var first time.Time
	for _, s := range slicesOf.Items {
		for _, e := range s.Endpoints {
			if !isReady(e) || e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
				continue
			}
			pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, e.TargetRef.Name, metav1.GetOptions{})
			if err != nil {
				continue // gone meanwhile
			}
			for _, condition := range pod.Status.Conditions {
				since := condition.LastTransitionTime.UTC()
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && (first.IsZero() || since.Before(first)) {
					first = since
				}
			}
		}
	}
	if first.IsZero() {
		return first, fault.New(fault.VerificationFailed, "wait for service", service, "none of its pods is Ready", fmt.Sprintf("kubectl describe pods -n %s", namespace))
	}
	if first.Before(began) {
		return began, nil
	}
	return first, nil
}
