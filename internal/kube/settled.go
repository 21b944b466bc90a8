package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Annotations by which a kubelet ties a static pod, its source and its mirror in the API together.
// Source: k8s.io/kubernetes pkg/kubelet/types.
const (
	configSource = "kubernetes.io/config.source"
	configHash   = "kubernetes.io/config.hash"
	configMirror = "kubernetes.io/config.mirror"
)

// ControlPlaneSettled compares what the node's kubelet itself runs with the API's mirror pods. A new kubelet reads the
// manifests anew, gives the static pods other identities and restarts them, while their old mirror pods and the node
// still read Ready. Only when every static pod that the kubelet names is Ready there, and its mirror carries the same
// hash and is Ready too, is the restart over.
func (c *Cluster) ControlPlaneSettled(ctx context.Context, node string, v upgrade.Version) error {
	static, err := c.staticPods(ctx, node)
	if err != nil {
		return err
	}
	notYet := func(fact string, args ...any) error {
		return fault.New(fault.VerificationFailed, "control plane of", node, fmt.Sprintf(fact, args...), "")
	}
	for _, component := range upgrade.ControlPlaneComponents {
		p, ok := static[component]
		if !ok {
			return notYet("the kubelet does not run %s yet", component)
		}
		if got, _ := upgrade.ImageVersion(p.Spec.Containers[0].Image); got != v {
			return notYet("the kubelet runs %s %s, wanted %s", component, got, v)
		}
	}
	for component, p := range static {
		if !podReady(&p) {
			return notYet("%s is not Ready yet", component)
		}
		ctx, cancel := bounded(ctx)
		mirror, err := c.client.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		cancel()
		if err != nil {
			return c.classify("read the mirror pod", p.Name, err)
		}
		if mirror.Annotations[configMirror] != p.Annotations[configHash] || !podReady(mirror) {
			return notYet("the mirror pod of %s is not up to date yet", component)
		}
	}
	return nil
}

// staticPods asks the node's kubelet for its pods and returns those that it reads from manifests, by component.
func (c *Cluster) staticPods(ctx context.Context, node string) (map[string]corev1.Pod, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	body, err := c.client.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("pods").DoRaw(ctx)
	if err != nil {
		return nil, c.classify("ask the kubelet of", node, err)
	}
	var pods corev1.PodList
	if err := json.Unmarshal(body, &pods); err != nil {
		return nil, fault.Wrap(fault.Unreachable, "ask the kubelet of", node, err, "")
	}
	static := map[string]corev1.Pod{}
	for _, p := range pods.Items {
		if component := p.Labels["component"]; p.Annotations[configSource] == "file" && component != "" && len(p.Spec.Containers) > 0 {
			static[component] = p
		}
	}
	return static, nil
}

// KubeletAt reports whether the node's kubelet has said that it is v.
func (c *Cluster) KubeletAt(ctx context.Context, node string, v upgrade.Version) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return false, c.classify("read node", node, err)
	}
	return c.runs(n.Status.NodeInfo.KubeletVersion, v), nil
}

// NodeReady says what a node still lacks to take pods at version v.
func (c *Cluster) NodeReady(ctx context.Context, node string, v upgrade.Version, since time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return c.classify("read node", node, err)
	}
	notYet := func(fact string, args ...any) error {
		return fault.New(fault.VerificationFailed, "node", node, fmt.Sprintf(fact, args...), "")
	}
	if got := n.Status.NodeInfo.KubeletVersion; !c.runs(got, v) {
		return notYet("kubelet reports %s, wanted %s", got, v)
	}
	ready := nodeCondition(n, corev1.NodeReady)
	if ready.Status != corev1.ConditionTrue {
		return notYet("not Ready: %s", ready.Message)
	}
	// Heartbeats have whole seconds.
	if ready.LastHeartbeatTime.Time.Before(since.Truncate(time.Second)) {
		return notYet("has not reported since its kubelet was restarted")
	}
	pods, err := c.podsOn(ctx, node)
	if err != nil {
		return err
	}
	for _, p := range pods {
		if owner := metav1.GetControllerOf(&p); owner != nil && owner.Kind == "DaemonSet" && !podReady(&p) {
			return notYet("DaemonSet pod %s/%s is not Ready", p.Namespace, p.Name)
		}
	}
	return nil
}

// AddonsReady says what kube-system still lacks to be complete at version v.
func (c *Cluster) AddonsReady(ctx context.Context, v upgrade.Version) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	notYet := func(target, fact string, args ...any) error {
		return fault.New(fault.VerificationFailed, "verify", target, fmt.Sprintf(fact, args...), "")
	}
	sets, err := c.client.AppsV1().DaemonSets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return c.classify("list DaemonSets of", c.name, err)
	}
	for _, d := range sets.Items {
		s := d.Status
		if d.Name == kubeProxy && c.madeByKubeadm() { // else it is a provider's add-on, or a person's who installed it
			if got, _ := upgrade.ImageVersion(d.Spec.Template.Spec.Containers[0].Image); got != v {
				return notYet(d.Name, "is at %s, wanted %s", got, v)
			}
		}
		if s.ObservedGeneration < d.Generation || s.UpdatedNumberScheduled < s.DesiredNumberScheduled || s.NumberAvailable < s.DesiredNumberScheduled {
			return notYet(d.Name, "%d of %d pods are up to date and available", min(s.UpdatedNumberScheduled, s.NumberAvailable), s.DesiredNumberScheduled)
		}
	}
	pods, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return c.classify("list pods of", c.name, err)
	}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodSucceeded && !podReady(&p) {
			return notYet(p.Namespace+"/"+p.Name, "not Ready")
		}
	}
	return nil
}

func (c *Cluster) podsOn(ctx context.Context, node string) ([]corev1.Pod, error) {
	pods, err := c.client.CoreV1().Pods("").List(ctx, onNode(node))
	if err != nil {
		return nil, c.classify("list pods of", node, err)
	}
	return pods.Items, nil
}

func onNode(node string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()}
}
