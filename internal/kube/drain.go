package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/kubectl/pkg/drain"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Evict makes one pass over the node's pods. kubectl's own filters decide which have to go: DaemonSet and mirror pods
// stay, pods without a controller are refused, since nothing would bring them back. Pods' scratch space (emptyDir) is
// given up, as every drain for maintenance does.
func (c *Cluster) Evict(ctx context.Context, node string) (upgrade.DrainPass, error) {
	return c.pass(ctx, "evict", node, c.evict)
}

// Stop makes one pass over the same pods and deletes them, each with the grace that it asks for; budgets are not asked.
func (c *Cluster) Stop(ctx context.Context, node string) (upgrade.DrainPass, error) {
	return c.pass(ctx, "stop", node, func(ctx context.Context, p corev1.Pod) (upgrade.BlockedPod, error) {
		return upgrade.BlockedPod{}, c.deleteExactly(ctx, p)
	})
}

// pass does something about each pod that has to go.
func (c *Cluster) pass(ctx context.Context, op, node string, remove func(context.Context, corev1.Pod) (upgrade.BlockedPod, error)) (upgrade.DrainPass, error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	before, err := c.client.PolicyV1().PodDisruptionBudgets("").List(bound, metav1.ListOptions{Limit: 1})
	if err != nil {
		return upgrade.DrainPass{}, c.classify("list PodDisruptionBudgets of", c.name, err)
	}
	filters := &drain.Helper{
		Ctx: bound, Client: c.client, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
	}
	list, refused := filters.GetPodsForDeletion(node)
	pass := upgrade.DrainPass{Seen: before.ResourceVersion}
	if list == nil {
		return pass, c.classify("list pods of", node, errors.Join(refused...))
	}
	for _, err := range refused {
		pass.Blocked = append(pass.Blocked, upgrade.BlockedPod{Reason: err.Error()})
	}
	for _, p := range list.Pods() {
		if p.DeletionTimestamp != nil {
			pass.Terminating++
			continue
		}
		blocked, err := remove(ctx, p)
		switch {
		case err != nil:
			return pass, c.classify(op, p.Namespace+"/"+p.Name, err)
		case blocked.Reason != "":
			blocked.Pod = p.Namespace + "/" + p.Name
			pass.Blocked = append(pass.Blocked, blocked)
		default:
			pass.Evicted++
		}
	}
	return pass, nil
}

// evict asks for the eviction of exactly this pod: a namesake that has taken its place is left alone. It returns why
// the pod may not go now, or no reason.
func (c *Cluster) evict(ctx context.Context, p corev1.Pod) (upgrade.BlockedPod, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := c.client.PolicyV1().Evictions(p.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))},
	})
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return upgrade.BlockedPod{}, nil
	case apierrors.IsTooManyRequests(err):
		return c.blocking(ctx, p, err), nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return upgrade.BlockedPod{Reason: "its namespace is being deleted"}, nil
	case apierrors.IsInternalError(err) && strings.Contains(err.Error(), "PodDisruptionBudget"):
		// The API server answers so when two budgets select one pod; it will not change by itself.
		return upgrade.BlockedPod{Reason: err.Error()}, nil
	}
	return upgrade.BlockedPod{}, err
}

// DeletePod deletes exactly this pod, and not a namesake that takes its place.
func (c *Cluster) DeletePod(ctx context.Context, node, pod string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	namespace, name, _ := strings.Cut(pod, "/")
	pods := c.client.CoreV1().Pods(namespace)
	p, err := pods.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return c.classify("delete", pod, err)
	case p.Spec.NodeName != node:
		return fault.New(fault.InvalidInput, "delete", pod, fmt.Sprintf("it is on node %s, not on %s", cmp.Or(p.Spec.NodeName, "none"), node), "name pods of this node")
	case p.DeletionTimestamp != nil:
		return nil
	}
	return c.classify("delete", pod, c.deleteExactly(ctx, *p))
}

func (c *Cluster) deleteExactly(ctx context.Context, p corev1.Pod) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := c.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// blocking names the budget that keeps the pod.
func (c *Cluster) blocking(ctx context.Context, p corev1.Pod, refusal error) upgrade.BlockedPod {
	budgets, err := c.client.PolicyV1().PodDisruptionBudgets(p.Namespace).List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, b := range budgets.Items {
			selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if err == nil && b.Status.DisruptionsAllowed == 0 && selector.Matches(labels.Set(p.Labels)) {
				budget := b.Namespace + "/" + b.Name
				return upgrade.BlockedPod{Budget: budget, Reason: fmt.Sprintf("blocked by PodDisruptionBudget %s (needs %d healthy, has %d)",
					budget, b.Status.DesiredHealthy, b.Status.CurrentHealthy)}
			}
		}
	}
	return upgrade.BlockedPod{Reason: refusal.Error()}
}

// AwaitEviction returns as soon as a pod has left the node or a budget has changed since the pass, at the latest after
// wait. Budgets and pods are kept in one etcd, whose revisions count for both.
func (c *Cluster) AwaitEviction(ctx context.Context, node string, pass upgrade.DrainPass, wait time.Duration) error {
	bound, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	since := onNode(node)
	since.ResourceVersion = pass.Seen
	pods, err := c.client.CoreV1().Pods("").Watch(bound, since)
	if err != nil {
		return c.watchError(ctx, node, err)
	}
	defer pods.Stop()
	budgets, err := c.client.PolicyV1().PodDisruptionBudgets("").Watch(bound, metav1.ListOptions{ResourceVersion: pass.Seen})
	if err != nil {
		return c.watchError(ctx, node, err)
	}
	defer budgets.Stop()
	for {
		select {
		case e, open := <-pods.ResultChan():
			if !open || e.Type == watch.Deleted || e.Type == watch.Error {
				return ctx.Err()
			}
		case e, open := <-budgets.ResultChan():
			if !open || e.Type != watch.Bookmark {
				return ctx.Err()
			}
		case <-bound.Done():
			return ctx.Err()
		}
	}
}

// watchError is nil when merely the wait was over.
func (c *Cluster) watchError(ctx context.Context, node string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return ctx.Err()
	}
	return c.classify("watch pods of", node, err)
}
