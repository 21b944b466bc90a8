package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/pawl-dev/pawl/internal/forecast"
)

// pageSize is how many objects a list asks for at a time: thousands of pods at once would be a load on the API server.
const pageSize = 500

// Workloads looks at all pods, and at what decides where they can be and whether they may go. It changes nothing.
func (c *Cluster) Workloads(ctx context.Context) (forecast.Workloads, error) {
	w, err := c.workloads(ctx)
	if apierrors.IsForbidden(err) {
		return forecast.Workloads{Unseen: []string{"what drains do to the pods was not looked at: " + err.Error()}}, nil
	}
	return w, c.classify("look at the pods of", c.name, err)
}

func (c *Cluster) workloads(ctx context.Context) (w forecast.Workloads, err error) {
	keys := newKeys()
	core := c.client.CoreV1()
	var pods []seenPod
	claims := map[string][]int{} // namespace/name, and the pods that use it
	err = each(ctx, core.Pods("").List, func(p *corev1.Pod) {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			return // no budget keeps it, and it takes no room for long
		}
		for _, claim := range claimsOf(p) {
			claims[claim] = append(claims[claim], len(pods))
		}
		pods = append(pods, observePod(p))
		keys.ofTemplate(&pods[len(pods)-1].Template)
	})
	if err != nil {
		return w, err
	}
	err = each(ctx, c.client.PolicyV1().PodDisruptionBudgets("").List, func(b *policyv1.PodDisruptionBudget) {
		w.Budgets = append(w.Budgets, observeBudget(b))
		keys.ofSelector(b.Spec.Selector)
	})
	if err != nil {
		return w, err
	}
	if w.Volumes, err = c.volumes(ctx, claims, pods); apierrors.IsForbidden(err) {
		w.Unseen = append(w.Unseen, "persistent volumes were not looked at, so their pods are taken to be able to run on any node: "+err.Error())
	} else if err != nil {
		return w, err
	}
	for _, v := range w.Volumes {
		keys.ofNodeSelector(v.Nodes)
	}
	w.Templates = group(pods, keys.pods)
	return w, each(ctx, core.Nodes().List, func(n *corev1.Node) {
		node := forecast.Node{Name: n.Name, Labels: only(n.Labels, keys.nodes), Allocatable: n.Status.Allocatable}
		for _, t := range n.Spec.Taints {
			if t.Key != corev1.TaintNodeUnschedulable {
				node.Taints = append(node.Taints, corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
			}
		}
		w.Nodes = append(w.Nodes, node)
	})
}

// each calls do for every object, page by page.
func each[T runtime.Object, L runtime.Object](ctx context.Context, list func(context.Context, metav1.ListOptions) (L, error), do func(T)) error {
	p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		return list(ctx, o)
	})
	p.PageSize = pageSize
	return p.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		do(o.(T))
		return nil
	})
}

// seenPod is a pod with what it may have in common with others.
type seenPod struct {
	forecast.Template
	forecast.Pod
}

func observePod(p *corev1.Pod) seenPod {
	t := forecast.Template{
		Namespace: p.Namespace, Controller: controllerOf(p), Labels: p.Labels, Requests: resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{}),
		EmptyDir: slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.EmptyDir != nil }), Ports: hostPorts(p),
	}
	if p.Spec.TerminationGracePeriodSeconds != nil {
		t.Grace = *p.Spec.TerminationGracePeriodSeconds
	}
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	t.Stays = mirror || t.Controller.Kind == "DaemonSet"
	// What stays takes room, and others may have to keep away from it; where it can be does not matter.
	anti := affinityOf(p).PodAntiAffinity
	if anti != nil {
		t.AntiAffinity = anti.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if !t.Stays {
		placement(p, &t)
	}
	return seenPod{t, forecast.Pod{Name: p.Name, Node: p.Spec.NodeName, Pending: p.Status.Phase == corev1.PodPending, Unready: !podReady(p)}}
}

// placement is what decides where a scheduler puts a pod.
func placement(p *corev1.Pod, t *forecast.Template) {
	t.NodeSelector, t.Tolerations = p.Spec.NodeSelector, p.Spec.Tolerations
	a := affinityOf(p)
	if a.NodeAffinity != nil {
		t.NodeAffinity = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if a.PodAffinity != nil {
		t.Affinity = a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	for _, c := range p.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			t.Spread = append(t.Spread, c)
		}
	}
}

func affinityOf(p *corev1.Pod) corev1.Affinity {
	if p.Spec.Affinity == nil {
		return corev1.Affinity{}
	}
	return *p.Spec.Affinity
}

// controllerOf is who brings the pod back. A ReplicaSet of a Deployment is named as that and a hash, which the pod has as
// a label.
func controllerOf(p *corev1.Pod) forecast.Controller {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return forecast.Controller{}
	}
	if name, ok := strings.CutSuffix(owner.Name, "-"+p.Labels["pod-template-hash"]); ok && owner.Kind == "ReplicaSet" {
		return forecast.Controller{Kind: "Deployment", Name: name}
	}
	return forecast.Controller{Kind: owner.Kind, Name: owner.Name}
}

func hostPorts(p *corev1.Pod) []forecast.Port {
	var ports []forecast.Port
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range containers {
			for _, port := range c.Ports {
				if port.HostPort != 0 {
					ports = append(ports, forecast.Port{Protocol: port.Protocol, IP: port.HostIP, Port: port.HostPort})
				}
			}
		}
	}
	return ports
}

// claimsOf are the claims that a pod uses and its replacement will use, too: not those that are made for the pod and go
// with it.
func claimsOf(p *corev1.Pod) []string {
	var claims []string
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claims = append(claims, p.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
		}
	}
	return claims
}

// volumes are those of the claims that not every node reaches, and tells the pods that use them.
func (c *Cluster) volumes(ctx context.Context, claims map[string][]int, pods []seenPod) ([]forecast.Volume, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	core := c.client.CoreV1()
	bound := map[string]string{} // claim, by volume
	err := each(ctx, core.PersistentVolumeClaims("").List, func(claim *corev1.PersistentVolumeClaim) {
		name := claim.Namespace + "/" + claim.Name
		if claim.Spec.VolumeName != "" && claims[name] != nil {
			bound[claim.Spec.VolumeName] = name
		}
	})
	if err != nil || len(bound) == 0 {
		return nil, err
	}
	var found []forecast.Volume
	err = each(ctx, core.PersistentVolumes().List, func(v *corev1.PersistentVolume) {
		claim, used := bound[v.Name]
		if !used || v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
			return
		}
		for _, i := range claims[claim] {
			pods[i].Volumes = append(pods[i].Volumes, len(found))
		}
		found = append(found, forecast.Volume{Claim: claim, Nodes: v.Spec.NodeAffinity.Required})
	})
	return found, err
}

func observeBudget(b *policyv1.PodDisruptionBudget) forecast.Budget {
	seen := forecast.Budget{
		Namespace: b.Namespace, Name: b.Name, Selector: b.Spec.Selector,
		Desired: b.Status.DesiredHealthy, Healthy: b.Status.CurrentHealthy, Expected: b.Status.ExpectedPods,
	}
	if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil {
		seen.AlwaysAllow = *p == policyv1.AlwaysAllow
	}
	for _, condition := range b.Status.Conditions {
		if condition.Type == policyv1.DisruptionAllowedCondition && condition.Reason == policyv1.SyncFailedReason {
			seen.Failed = oneLine(condition.Message)
		}
	}
	return seen
}

// oneLine bounds what somebody else wrote.
func oneLine(text string) string {
	const most = 200
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	if text == "" {
		text = "no reason given"
	}
	return text
}

// keys are the keys of labels that something selects by; the others are nobody's business here.
type keys struct{ pods, nodes map[string]bool }

func newKeys() keys { return keys{map[string]bool{}, map[string]bool{}} }

func (k keys) ofTemplate(t *forecast.Template) {
	for key := range t.NodeSelector {
		k.nodes[key] = true
	}
	k.ofNodeSelector(t.NodeAffinity)
	for _, term := range slices.Concat(t.Affinity, t.AntiAffinity) {
		k.nodes[term.TopologyKey] = true
		k.ofSelector(term.LabelSelector, slices.Concat(term.MatchLabelKeys, term.MismatchLabelKeys)...)
	}
	for _, c := range t.Spread {
		k.nodes[c.TopologyKey] = true
		k.ofSelector(c.LabelSelector, c.MatchLabelKeys...)
	}
}

func (k keys) ofSelector(s *metav1.LabelSelector, more ...string) {
	if s != nil {
		for key := range s.MatchLabels {
			k.pods[key] = true
		}
		for _, e := range s.MatchExpressions {
			k.pods[e.Key] = true
		}
	}
	for _, key := range more {
		k.pods[key] = true
	}
}

func (k keys) ofNodeSelector(s *corev1.NodeSelector) {
	if s == nil {
		return
	}
	for _, term := range s.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			k.nodes[e.Key] = true
		}
	}
}

// only keeps the labels with these keys.
func only(all map[string]string, keys map[string]bool) map[string]string {
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(key, _ string) bool { return !keys[key] })
	return kept
}

// group puts pods that have all in common together, in the order in which they come.
func group(pods []seenPod, keys map[string]bool) []forecast.Template {
	templates := []forecast.Template{}
	places := map[string]int{}
	for _, p := range pods {
		p.Labels = only(p.Labels, keys)
		text, err := json.Marshal(p.Template)
		if err != nil {
			text = fmt.Append(nil, "pod ", p.Namespace, "/", p.Name) // for itself
		}
		i, known := places[string(text)]
		if !known {
			i = len(templates)
			places[string(text)] = i
			templates = append(templates, p.Template)
		}
		templates[i].Pods = append(templates[i].Pods, p.Pod)
	}
	return templates
}
