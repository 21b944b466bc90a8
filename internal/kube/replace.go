package kube

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// withdrawnBy is the annotation by which pawl knows the nodes that it has excluded from load balancers.
const withdrawnBy = "pawl.dev/withdrawn-by"

// NodeOf is the name of the node that a machine has become: by its id in the node's providerID, else by its address or the
// name that the provider gave. While it has not joined that is fault.NotFound.
func (c *Cluster) NodeOf(ctx context.Context, m upgrade.Machine) (string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", c.classify("list nodes of", c.name, err)
	}
	for i := range nodes.Items {
		if isNodeOf(&nodes.Items[i], m) {
			return nodes.Items[i].Name, nil
		}
	}
	return "", fault.New(fault.NotFound, "find the node of machine", machineName(m), "it has not joined the cluster", "look at the machine's own log: cloud-init, kubeadm, kubelet")
}

// isNodeOf compares by what is sure: a name is the provider's word only, and an address may have been another's before.
func isNodeOf(n *corev1.Node, m upgrade.Machine) bool {
	if id := lastSegment(n.Spec.ProviderID); id != "" && m.ID != "" {
		return id == lastSegment(m.ID)
	}
	if m.Node != "" {
		return n.Name == m.Node
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && m.Address != "" && a.Address == m.Address {
			return true
		}
	}
	return false
}

func lastSegment(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func machineName(m upgrade.Machine) string {
	for _, name := range []string{m.Node, m.ID, m.Address} {
		if name != "" {
			return name
		}
	}
	return "without a name"
}

// Withdraw marks the node so that load balancers of Services send it nothing more.
// Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-exclude-from-external-load-balancers
func (c *Cluster) Withdraw(ctx context.Context, node, owner string) error {
	return c.updateNode(ctx, "withdraw", node, func(n *corev1.Node) bool {
		if _, there := n.Labels[corev1.LabelNodeExcludeBalancers]; there {
			return false // ours already, or somebody else's
		}
		metav1.SetMetaDataLabel(&n.ObjectMeta, corev1.LabelNodeExcludeBalancers, "true")
		metav1.SetMetaDataAnnotation(&n.ObjectMeta, withdrawnBy, owner)
		return true
	})
}

// readmit takes back what Withdraw did, and reports whether there was something.
func readmit(n *corev1.Node, owner string) bool {
	if n.Annotations[withdrawnBy] != owner {
		return false
	}
	delete(n.Labels, corev1.LabelNodeExcludeBalancers)
	delete(n.Annotations, withdrawnBy)
	return true
}

// VolumesReleased returns nil when no volume is attached to the node; else which are.
func (c *Cluster) VolumesReleased(ctx context.Context, node string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	all, err := c.client.StorageV1().VolumeAttachments().List(ctx, metav1.ListOptions{})
	if err != nil {
		return c.classify("list volumes attached to", node, err)
	}
	var attached []string
	for _, a := range all.Items {
		if a.Spec.NodeName == node {
			name := a.Name
			if a.Spec.Source.PersistentVolumeName != nil {
				name = *a.Spec.Source.PersistentVolumeName
			}
			attached = append(attached, name)
		}
	}
	if len(attached) == 0 {
		return nil
	}
	return fault.New(fault.VerificationFailed, "release the volumes of", node, fmt.Sprintf("%d still attached: %s", len(attached), strings.Join(attached, ", ")),
		"look at the pods that use them and at the CSI driver")
}

// DeleteNode removes the node's API object, if it is the one of that UID still.
func (c *Cluster) DeleteNode(ctx context.Context, node, uid string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var exactly metav1.DeleteOptions
	if uid != "" {
		exactly.Preconditions = metav1.NewUIDPreconditions(string(types.UID(uid)))
	}
	err := c.client.CoreV1().Nodes().Delete(ctx, node, exactly)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // a namesake has joined: not ours to delete
		return nil
	}
	return c.classify("delete", node, err)
}
