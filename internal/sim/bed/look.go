package bed

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Node is what can be seen of one node now.
type Node struct {
	Name     string
	Kubelet  string // the version that it reports
	Ready    bool
	Cordoned bool
	On       bool // its machine has power
	// APIServer is the version of the node's API server, zero on workers; APIReady whether it answers.
	APIServer upgrade.Version
	APIReady  bool
	Pods      []Pod
}

// Pod is one pod that an eviction moves: of an application, not of a DaemonSet and not static.
type Pod struct {
	App     string
	Ready   bool
	Leaving bool
}

// Look is the cluster as it is now: its nodes in order, and the pods that are bound to none.
func (b *Bed) Look(ctx context.Context) (nodes []Node, waiting []Pod, err error) {
	fromCache := metav1.ListOptions{ResourceVersion: "0"}
	list, err := b.client.CoreV1().Nodes().List(ctx, fromCache)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]*corev1.Node{}
	for i := range list.Items {
		seen[list.Items[i].Name] = &list.Items[i]
	}
	for _, n := range b.nodesNow() {
		node := Node{Name: n.name, On: n.machine.Up(), Pods: b.movable(n.name)}
		if o := seen[n.name]; o != nil {
			node.Kubelet, node.Ready, node.Cordoned = o.Status.NodeInfo.KubeletVersion, nodeReady(o), o.Spec.Unschedulable
		}
		if n.endpoint != nil {
			node.APIServer, node.APIReady = n.endpoint.Version(), n.endpoint.Ready()
		}
		nodes = append(nodes, node)
	}
	return nodes, b.movable(""), nil
}

// movable are the pods on a node that an eviction moves.
func (b *Bed) movable(node string) []Pod {
	var pods []Pod
	for _, p := range b.pods.On(node) {
		owner := metav1.GetControllerOf(p)
		if owner == nil || owner.Kind != "ReplicaSet" {
			continue
		}
		pods = append(pods, Pod{App: p.Labels[appLabel], Ready: podReady(p), Leaving: p.DeletionTimestamp != nil})
	}
	slices.SortFunc(pods, func(a, b Pod) int { return strings.Compare(a.App, b.App) })
	return pods
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
