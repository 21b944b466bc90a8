package kube

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// restartedAt is the annotation of a pod template by which `kubectl rollout restart` has the pods made anew.
// Source: https://github.com/kubernetes/kubectl/blob/master/pkg/polymorphichelpers/objectrestarter.go
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// restartable is a workload whose controller makes its pods anew when their template changes.
type restartable struct {
	name  string // namespace/name
	held  string // why its controller does not, or ""
	stamp string // of its last restart
	done  bool   // all its pods are of its template, and well
	patch func(ctx context.Context, body []byte) error
}

// RestartFargate has the Deployments and StatefulSets whose pods are on Fargate nodes of a minor older than v's make them
// anew: a node of Fargate lives as long as its pod. Each is asked once for the same since, which stands on it from then on. What
// has not made all of its pods anew is waited for; pods that nobody makes anew are left.
func (c *Cluster) RestartFargate(ctx context.Context, v upgrade.Version, since time.Time) (upgrade.Restart, error) {
	old, err := c.oldOnFargate(ctx, v)
	if err != nil {
		return upgrade.Restart{}, err
	}
	all, err := c.restartables(ctx)
	if err != nil {
		return upgrade.Restart{}, err
	}
	var now upgrade.Restart
	since = since.UTC().Truncate(time.Second)
	stamp := since.Format(time.RFC3339)
	for _, p := range old {
		owner := controllerOf(&p)
		w, known := all[owner.Kind+" "+p.Namespace+"/"+owner.Name]
		switch {
		case !known && owner.Kind == "":
			now.Left = append(now.Left, p.Namespace+"/"+p.Name+" (of no workload)")
		case !known:
			now.Left = append(now.Left, p.Namespace+"/"+owner.Name+" ("+owner.Kind+")")
		case w.held != "":
			now.Left = append(now.Left, w.name+" ("+w.held+")")
		default:
			if !w.restartedSince(since) {
				if err := c.restart(ctx, w, stamp); err != nil {
					return now, err
				}
				w.stamp = stamp
			}
			now.Waiting = append(now.Waiting, w.name)
		}
	}
	for _, w := range all {
		if w.stamp == stamp && !w.done {
			now.Waiting = append(now.Waiting, w.name)
		}
	}
	slices.Sort(now.Waiting)
	slices.Sort(now.Left)
	return upgrade.Restart{Waiting: slices.Compact(now.Waiting), Left: slices.Compact(now.Left)}, nil
}

// restartedSince reports whether it was restarted then or later, by whomever.
func (w *restartable) restartedSince(since time.Time) bool {
	at, err := time.Parse(time.RFC3339, w.stamp)
	return err == nil && !at.Before(since)
}

func (c *Cluster) restart(ctx context.Context, w *restartable, stamp string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{restartedAt: stamp}}}}})
	if err == nil {
		err = w.patch(ctx, body)
	}
	if err != nil {
		return c.classify("restart", w.name, err)
	}
	return nil
}

// oldOnFargate are the pods that run on Fargate nodes of a minor older than v's, and are not on their way out.
func (c *Cluster) oldOnFargate(ctx context.Context, v upgrade.Version) ([]corev1.Pod, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list nodes of", c.name, err)
	}
	behind := map[string]bool{}
	for _, n := range nodes.Items {
		keeper, _ := upgrade.KeeperOf(n.Labels)
		has, err := upgrade.ParseVersion(n.Status.NodeInfo.KubeletVersion)
		behind[n.Name] = keeper == upgrade.KeptByFargate && (err != nil || has.MinorsBehind(v) > 0)
	}
	pods, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"})
	if err != nil {
		return nil, c.classify("list pods of", c.name, err)
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || !behind[p.Spec.NodeName] || controllerOf(&p).Kind == "DaemonSet" // whose pods Fargate does not run
	}), nil
}

// restartables are all Deployments and StatefulSets, by kind and name.
func (c *Cluster) restartables(ctx context.Context) (map[string]*restartable, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	all := map[string]*restartable{}
	deployments, err := c.client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list deployments of", c.name, err)
	}
	for _, d := range deployments.Items {
		w := &restartable{name: d.Namespace + "/" + d.Name, stamp: d.Spec.Template.Annotations[restartedAt], done: rolledOut(&d)}
		if d.Spec.Paused {
			w.held = "paused"
		}
		w.patch = func(ctx context.Context, body []byte) error {
			_, err := c.client.AppsV1().Deployments(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{})
			return err
		}
		all["Deployment "+w.name] = w
	}
	sets, err := c.client.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list statefulsets of", c.name, err)
	}
	for _, s := range sets.Items {
		w := &restartable{name: s.Namespace + "/" + s.Name, stamp: s.Spec.Template.Annotations[restartedAt], done: setRolledOut(&s), held: setHeld(&s)}
		w.patch = func(ctx context.Context, body []byte) error {
			_, err := c.client.AppsV1().StatefulSets(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{})
			return err
		}
		all["StatefulSet "+w.name] = w
	}
	return all, nil
}

// rolledOut reports whether all pods of a Deployment are of its template, and available.
func rolledOut(d *appsv1.Deployment) bool {
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.Replicas == replicas(d) && s.UpdatedReplicas == s.Replicas && s.AvailableReplicas == s.Replicas
}

// setRolledOut is the same of a StatefulSet.
func setRolledOut(s *appsv1.StatefulSet) bool {
	wanted := int32(1)
	if s.Spec.Replicas != nil {
		wanted = *s.Spec.Replicas
	}
	is := s.Status
	return is.ObservedGeneration >= s.Generation && is.Replicas == wanted && is.AvailableReplicas == wanted && is.UpdateRevision == is.CurrentRevision
}

// setHeld says why a StatefulSet's controller does not make its pods anew, or "".
func setHeld(s *appsv1.StatefulSet) string {
	by := s.Spec.UpdateStrategy
	switch {
	case by.Type == appsv1.OnDeleteStatefulSetStrategyType:
		return "updated on delete"
	case by.RollingUpdate != nil && by.RollingUpdate.Partition != nil && *by.RollingUpdate.Partition > 0:
		return "with a partition"
	}
	return ""
}
