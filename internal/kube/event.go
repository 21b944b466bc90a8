package kube

import (
	"context"
	"crypto/sha256"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	// eventController is who Events are from.
	eventController = "pawl.dev/worker"
	// An Event's message may be 1 kB. Source: the API's ValidateEvent, NoteLengthLimit.
	maxEventMessage = 1000
)

// ShowEvent makes an Event about the node, where `kubectl describe node` shows it. Its name is made of the key, so that an
// Event which is told of again is there already. Of a node that is gone nothing is shown.
func (c *Cluster) ShowEvent(ctx context.Context, node string, e upgrade.NodeEvent) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		_, err = c.client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, eventOf(n, e), metav1.CreateOptions{})
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return c.classify("show "+e.Reason+" at", node, err)
}

// eventOf is the Event of a node: those of objects without a namespace are in "default".
func eventOf(n *corev1.Node, e upgrade.NodeEvent) *corev1.Event {
	kind, now := corev1.EventTypeNormal, metav1.Now()
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	message := []rune(e.Message)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault,
			Name:      fmt.Sprintf("%.200s.pawl-%.8x", n.Name, sha256.Sum256([]byte(string(n.UID)+"/"+e.Key))),
		},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID},
		Type:           kind, Reason: e.Reason, Message: string(message[:min(len(message), maxEventMessage)]),
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		Source: corev1.EventSource{Component: "pawl"}, ReportingController: eventController, ReportingInstance: "pawl",
	}
}
