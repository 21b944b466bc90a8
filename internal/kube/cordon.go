package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/pawl-dev/pawl/internal/fault"
)

// cordonedBy is the annotation by which pawl knows its own cordons: its value is the upgrade's workflow id. A cordon
// without it is somebody else's and is never lifted.
const cordonedBy = "pawl.dev/cordoned-by"

// Cordon makes the node unschedulable and notes the owner, both in one write.
func (c *Cluster) Cordon(ctx context.Context, node, owner string) error {
	return c.updateNode(ctx, "cordon", node, func(n *corev1.Node) bool {
		if n.Spec.Unschedulable {
			return false // ours already, or somebody else's
		}
		n.Spec.Unschedulable = true
		metav1.SetMetaDataAnnotation(&n.ObjectMeta, cordonedBy, owner)
		return true
	})
}

// Uncordon makes the node schedulable again if owner cordoned it, and takes back all else that owner has put on it for its
// turn.
func (c *Cluster) Uncordon(ctx context.Context, node, owner string) error {
	return c.updateNode(ctx, "uncordon", node, func(n *corev1.Node) bool {
		readmitted, preferred := readmit(n, owner), stopAvoiding(n)
		if n.Annotations[cordonedBy] != owner {
			return readmitted || preferred
		}
		n.Spec.Unschedulable = false
		delete(n.Annotations, cordonedBy)
		return true
	})
}

// unlessGone passes an error on, unless the node does not exist any more.
func unlessGone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// updateNode reads the node, lets change edit it and writes it back; a write that raced with another is done anew.
func (c *Cluster) updateNode(ctx context.Context, op, node string, change func(*corev1.Node) bool) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		ctx, cancel := bounded(ctx)
		defer cancel()
		n, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil || !change(n) {
			return err
		}
		_, err = c.client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{})
		return err
	})
	return c.classify(op, node, err)
}
