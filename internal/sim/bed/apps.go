package bed

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Namespace is where the applications are.
const Namespace = "shop"

// zone spreads nodes over three zones.
func zone(i int) map[string]string {
	return map[string]string{corev1.LabelTopologyZone: string(rune('a' + i%3)), corev1.LabelTopologyRegion: "home"}
}

// deploy makes a few applications, each with a budget that lets one pod go at a time, and waits until they run.
func (b *Bed) deploy(ctx context.Context) error {
	if b.opts.Workers == 0 {
		return b.AwaitPods(ctx)
	}
	if _, err := b.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for name, perWorker := range map[string]int32{"web": 3, "cart": 2, "search": 1} {
		replicas := max(2, perWorker*int32(b.opts.Workers)/2)
		pod := podTemplate(name, "registry.k8s.io/pause:3.10.2")
		pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: metav1.SetAsLabelSelector(pod.Labels),
		}}
		if err := b.createDeployment(ctx, Namespace, name, replicas, pod); err != nil {
			return err
		}
		most := intstr.FromInt32(max(1, replicas/4))
		_, err := b.client.PolicyV1().PodDisruptionBudgets(Namespace).Create(ctx, &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &most, Selector: metav1.SetAsLabelSelector(pod.Labels)},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("make budget %s: %w", name, err)
		}
	}
	return b.AwaitPods(ctx)
}
