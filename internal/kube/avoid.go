package kube

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// avoided is the taint of nodes whose drain is still to come: pods that leave another node go elsewhere if there is room.
const avoided = "pawl.dev/to-be-upgraded"

// Avoid makes the scheduler prefer other nodes to these. Nodes that are gone are no matter.
func (c *Cluster) Avoid(ctx context.Context, nodes []string) error {
	for _, node := range nodes {
		err := c.updateNode(ctx, "taint", node, func(n *corev1.Node) bool {
			if slices.ContainsFunc(n.Spec.Taints, isAvoided) {
				return false
			}
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: avoided, Effect: corev1.TaintEffectPreferNoSchedule})
			return true
		})
		if err := unlessGone(err); err != nil {
			return err
		}
	}
	return nil
}

// StopAvoiding takes that back on all nodes but these, whichever upgrade it was.
func (c *Cluster) StopAvoiding(ctx context.Context, but []string) error {
	bound, cancel := bounded(ctx)
	defer cancel()
	nodes, err := c.client.CoreV1().Nodes().List(bound, metav1.ListOptions{})
	if err != nil {
		return c.classify("list nodes of", c.name, err)
	}
	for _, n := range nodes.Items {
		if slices.Contains(but, n.Name) || !slices.ContainsFunc(n.Spec.Taints, isAvoided) {
			continue
		}
		if err := unlessGone(c.updateNode(ctx, "take the taint from", n.Name, stopAvoiding)); err != nil {
			return err
		}
	}
	return nil
}

// stopAvoiding takes the taint away, and reports whether there was one.
func stopAvoiding(n *corev1.Node) bool {
	before := len(n.Spec.Taints)
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, isAvoided)
	return len(n.Spec.Taints) < before
}

func isAvoided(t corev1.Taint) bool { return t.Key == avoided }
