package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	controlPlaneTier  = "tier=control-plane"
	etcdComponent     = "etcd"
)

// Observe looks at the whole cluster. It changes nothing.
func (c *Cluster) Observe(ctx context.Context, s upgrade.Settings) (upgrade.Cluster, error) {
	seen := upgrade.Cluster{Name: c.name}
	selected, err := selectors(s.Pools)
	if err != nil {
		return seen, err
	}
	if !c.managed && !c.byHand {
		if seen.Version, err = c.ConfiguredVersion(ctx); err != nil {
			return seen, err
		}
	}
	outer := ctx // what is looked at further bounds its own requests
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return seen, c.classify("list nodes of", c.name, err)
	}
	pods, err := c.controlPlanePods(ctx)
	if err != nil {
		return seen, err
	}
	for i := range nodes.Items {
		n := observeNode(&nodes.Items[i], pods)
		selected.assign(&n, &nodes.Items[i])
		if c.managed {
			n.Keeper, n.Group = upgrade.KeeperOf(nodes.Items[i].Labels)
		}
		seen.Nodes = append(seen.Nodes, n)
	}
	for _, problem := range c.healthProblems(ctx) {
		seen.Problems = append(seen.Problems, upgrade.Finding{
			Severity: upgrade.SeverityError, ID: upgrade.ControlPlaneHealth, Message: problem.Error(),
		})
	}
	c.lookFurther(outer, &seen, pods, s)
	return seen, outer.Err()
}

// complaints are the conditions of a node that say, when they are true, that something is wrong.
var complaints = []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable}

func observeNode(n *corev1.Node, controlPlane []corev1.Pod) upgrade.Node {
	node := upgrade.Node{Name: n.Name, Zone: n.Labels[corev1.LabelTopologyZone], Created: n.CreationTimestamp.UTC(), Runtime: n.Status.NodeInfo.ContainerRuntimeVersion, Ready: nodeCondition(n, corev1.NodeReady).Status == corev1.ConditionTrue}
	_, node.ControlPlane = n.Labels[controlPlaneLabel]
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && node.Address == "" {
			node.Address = a.Address
		}
	}
	// A version that does not parse stays unknown, and the planner refuses what it cannot judge.
	var err error
	if node.Kubelet, err = upgrade.ParseVersion(n.Status.NodeInfo.KubeletVersion); err != nil {
		node.KubeletText = n.Status.NodeInfo.KubeletVersion
	}
	for _, wrong := range complaints {
		if nodeCondition(n, wrong).Status == corev1.ConditionTrue {
			node.Conditions = append(node.Conditions, string(wrong))
		}
	}
	_, node.CordonedByPawl = n.Annotations[cordonedBy]
	node.CordonedByPawl = node.CordonedByPawl && n.Spec.Unschedulable
	node.Cordoned = n.Spec.Unschedulable && !node.CordonedByPawl
	for _, p := range controlPlane {
		if p.Spec.NodeName != n.Name || len(p.Spec.Containers) == 0 {
			continue
		}
		image := p.Spec.Containers[0].Image
		if component := p.Labels["component"]; component == etcdComponent {
			_, node.EtcdImage = upgrade.ParseImage(image)
		} else {
			if node.Components == nil {
				node.Components = map[string]upgrade.Version{}
			}
			node.Components[component], _ = upgrade.ImageVersion(image)
		}
	}
	return node
}

func (c *Cluster) controlPlanePods(ctx context.Context) ([]corev1.Pod, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	pods, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: controlPlaneTier})
	if err != nil {
		return nil, c.classify("list control plane pods of", c.name, err)
	}
	return pods.Items, nil
}

// ConfiguredVersion reads kubernetesVersion from kubeadm's ClusterConfiguration.
func (c *Cluster) ConfiguredVersion(ctx context.Context) (upgrade.Version, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cm, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "kubeadm-config", metav1.GetOptions{})
	if err != nil {
		return upgrade.Version{}, c.classify("read the kubeadm configuration of", c.name, err)
	}
	var configuration struct {
		KubernetesVersion string `json:"kubernetesVersion"`
	}
	if err := yaml.Unmarshal([]byte(cm.Data["ClusterConfiguration"]), &configuration); err != nil {
		return upgrade.Version{}, fault.Wrap(fault.PreflightFailed, "read the kubeadm configuration of", c.name, err, "")
	}
	v, err := upgrade.ParseVersion(configuration.KubernetesVersion)
	return v, fault.Wrap(fault.PreflightFailed, "read the kubeadm configuration of", c.name, err, "")
}

// configMaps are those that kubeadm keeps and an upgrade rewrites.
var configMaps = []string{"kubeadm-config", "kubelet-config", "kube-proxy", "coredns"}

// ClusterConfiguration returns kubeadm's ConfigMaps as YAML, by name.
func (c *Cluster) ClusterConfiguration(ctx context.Context) (map[string]string, error) {
	texts := map[string]string{}
	for _, name := range configMaps {
		ctx, cancel := bounded(ctx)
		cm, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		cancel()
		if err := c.classify("read ConfigMap "+name+" of", c.name, err); err != nil {
			if fault.Is(err, fault.NotFound) {
				continue // kube-proxy and CoreDNS may have been replaced by something else
			}
			return nil, err
		}
		cm.ManagedFields = nil
		text, err := yaml.Marshal(cm)
		if err != nil {
			return nil, fmt.Errorf("render ConfigMap %s: %w", name, err)
		}
		texts[name+".yaml"] = string(text)
	}
	return texts, nil
}

func nodeCondition(n *corev1.Node, t corev1.NodeConditionType) corev1.NodeCondition {
	for _, c := range n.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return corev1.NodeCondition{}
}

func podReady(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
