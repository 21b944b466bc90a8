package kube

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Spread counts the pods that each worker has, without those of DaemonSets.
func (c *Cluster) Spread(ctx context.Context) ([]upgrade.NodePods, error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	nodes, err := c.client.CoreV1().Nodes().List(bound, metav1.ListOptions{LabelSelector: "!" + controlPlaneLabel})
	if err != nil {
		return nil, c.classify("list nodes of", c.name, err)
	}
	pods, err := c.movablePods(ctx)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, p := range pods {
		count[p.Spec.NodeName]++
	}
	var all []upgrade.NodePods
	for _, n := range nodes.Items {
		all = append(all, upgrade.NodePods{Node: n.Name, Pods: count[n.Name]})
	}
	slices.SortFunc(all, func(a, b upgrade.NodePods) int { return cmp.Compare(a.Node, b.Node) })
	return all, nil
}

// movablePods are those that have a controller which makes them anew, and are not on their way out.
func (c *Cluster) movablePods(ctx context.Context) ([]corev1.Pod, error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	pods, err := c.client.CoreV1().Pods("").List(bound, metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"})
	if err != nil {
		return nil, c.classify("list pods of", c.name, err)
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		owner := metav1.GetControllerOf(&p)
		return owner == nil || p.DeletionTimestamp != nil || owner.Kind == "DaemonSet" || owner.Kind == "Node"
	}), nil
}

// crowd is the pods of one controller.
type crowd struct {
	pods    []corev1.Pod
	pending bool // some are not Ready, or have no node
}

// Rebalance evicts pods that crowd together on some of these nodes: of each controller no more than exceed an even share,
// one at a time, within budgets, and each only when the one before has been replaced. It returns how many it evicted. Nodes
// that have more than their share are avoided meanwhile.
func (c *Cluster) Rebalance(ctx context.Context, nodes []string) (evicted int, err error) {
	tried := map[string]bool{} // controllers that have nothing more to be done, by UID
	left := -1                 // how many may be evicted still; what comes back to where it was is not tried for ever
	for {
		crowds, err := c.crowds(ctx, nodes)
		if err != nil {
			return evicted, err
		}
		surplus, crowded := surplusOf(crowds, nodes)
		if left < 0 {
			left = len(surplus)
		}
		if err := c.StopAvoiding(ctx, crowded); err != nil {
			return evicted, err
		}
		if err := c.Avoid(ctx, crowded); err != nil {
			return evicted, err
		}
		next := slices.IndexFunc(surplus, func(p corev1.Pod) bool { return !tried[controllerUID(p)] })
		if next < 0 || left == 0 {
			break
		}
		controller := controllerUID(surplus[next])
		if crowds[controller].pending { // it has enough to do
			tried[controller] = true
			continue
		}
		blocked, err := c.evict(ctx, surplus[next])
		if err != nil {
			return evicted, c.classify("evict", surplus[next].Namespace+"/"+surplus[next].Name, err)
		}
		if blocked.Reason != "" {
			tried[controller] = true
			continue
		}
		evicted, left = evicted+1, left-1
		if settled, err := c.settled(ctx, controller, nodes, len(crowds[controller].pods)); err != nil || !settled {
			tried[controller] = true
			if ctx.Err() != nil {
				return evicted, ctx.Err()
			}
		}
	}
	return evicted, c.StopAvoiding(ctx, nil)
}

// crowds are the pods on these nodes and those without a node, by their controller's UID; of nodes elsewhere only that they
// are there.
func (c *Cluster) crowds(ctx context.Context, nodes []string) (map[string]crowd, error) {
	pods, err := c.movablePods(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]crowd{}
	for _, p := range pods {
		one := all[controllerUID(p)]
		if !podReady(&p) {
			one.pending = true
		}
		if slices.Contains(nodes, p.Spec.NodeName) {
			one.pods = append(one.pods, p)
		}
		all[controllerUID(p)] = one
	}
	return all, nil
}

func controllerUID(p corev1.Pod) string { return string(metav1.GetControllerOf(&p).UID) }

// surplusOf are the pods beyond an even share of their controller's on each node, in the order of their names, and the nodes
// that they are on.
func surplusOf(crowds map[string]crowd, nodes []string) (surplus []corev1.Pod, crowded []string) {
	for _, controller := range slices.Sorted(maps.Keys(crowds)) {
		pods := crowds[controller].pods
		share := (len(pods) + len(nodes) - 1) / len(nodes)
		on := map[string]int{}
		slices.SortFunc(pods, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
		for _, p := range pods {
			if on[p.Spec.NodeName]++; on[p.Spec.NodeName] > share {
				surplus = append(surplus, p)
				if !slices.Contains(crowded, p.Spec.NodeName) {
					crowded = append(crowded, p.Spec.NodeName)
				}
			}
		}
	}
	return surplus, crowded
}

const (
	// settleIn is how long the replacement of an evicted pod may take to be Ready; then its controller is left in peace.
	settleIn   = 5 * time.Minute
	settleLook = 500 * time.Millisecond
)

// settled waits until the controller has as many Ready pods again.
func (c *Cluster) settled(ctx context.Context, controller string, nodes []string, pods int) (bool, error) {
	for end := time.Now().Add(settleIn); time.Now().Before(end); {
		crowds, err := c.crowds(ctx, nodes)
		if err != nil {
			return false, err
		}
		if now := crowds[controller]; !now.pending && len(now.pods) >= pods {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, fault.Wrap(fault.OutcomeUnknown, "spread the pods of", c.name, ctx.Err(), "")
		case <-time.After(settleLook):
		}
	}
	return false, nil
}
