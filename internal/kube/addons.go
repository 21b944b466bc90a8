package kube

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// kubeProxy is the name of its DaemonSet.
const kubeProxy = "kube-proxy"

// coreDNS looks for the deployments that kubeadm takes for the cluster's DNS, by their label, and returns their images'
// tags. Source: cmd/kubeadm/app/phases/addons/dns/dns.go.
func (c *Cluster) coreDNS(ctx context.Context) (tags []string, found []upgrade.Finding, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	list, err := c.client.AppsV1().Deployments(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil {
		return nil, nil, c.classify("list deployments of", c.name, err)
	}
	tags = []string{}
	for _, d := range list.Items {
		_, tag := upgrade.ParseImage(d.Spec.Template.Spec.Containers[0].Image)
		tags = append(tags, tag)
		if wanted := replicas(&d); d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < wanted || d.Status.AvailableReplicas < wanted {
			found = append(found, upgrade.Finding{ID: upgrade.CoreDNS, Severity: upgrade.SeverityWarning, Target: d.Namespace + "/" + d.Name,
				Message: fmt.Sprintf("%d of %d pods are up to date and available; names may not resolve while nodes are drained",
					min(d.Status.UpdatedReplicas, d.Status.AvailableReplicas), wanted),
				Remedy: "look at its pods"})
		}
	}
	return tags, found, nil
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// daemonSets looks at all of them, CNI plugins and kube-proxy among them, and returns kube-proxy's version.
func (c *Cluster) daemonSets(ctx context.Context) (proxy upgrade.AddonVersion, found []upgrade.Finding, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	list, err := c.client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return proxy, nil, c.classify("list DaemonSets of", c.name, err)
	}
	proxy.Missing = true
	for _, d := range list.Items {
		if d.Namespace == metav1.NamespaceSystem && d.Name == kubeProxy {
			proxy.Missing = false
			proxy.Version, _ = upgrade.ImageVersion(d.Spec.Template.Spec.Containers[0].Image)
		}
		if f, is := checkDaemonSet(&d); is {
			found = append(found, f)
		}
	}
	return proxy, found, nil
}

// cloudControllers are the workloads of kube-system that run a cloud-controller-manager, by their images. Each provider's has
// a name of its own that ends so.
func (c *Cluster) cloudControllers(ctx context.Context) ([]upgrade.CloudController, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var all []upgrade.CloudController
	look := func(kind, name string, pod corev1.PodSpec) {
		for _, container := range pod.Containers {
			if image, tag := upgrade.ParseImage(container.Image); strings.HasSuffix(image, upgrade.CloudControllerManager) {
				all = append(all, upgrade.CloudController{Where: kind + " " + metav1.NamespaceSystem + "/" + name, Version: tag})
			}
		}
	}
	sets, err := c.client.AppsV1().DaemonSets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list DaemonSets of", c.name, err)
	}
	for _, d := range sets.Items {
		look("DaemonSet", d.Name, d.Spec.Template.Spec)
	}
	deployments, err := c.client.AppsV1().Deployments(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list deployments of", c.name, err)
	}
	for _, d := range deployments.Items {
		look("Deployment", d.Name, d.Spec.Template.Spec)
	}
	return all, nil
}

// checkDaemonSet finds pods that an upgraded node would be held for.
func checkDaemonSet(d *appsv1.DaemonSet) (upgrade.Finding, bool) {
	f := upgrade.Finding{ID: upgrade.DaemonSet, Severity: upgrade.SeverityWarning, Target: "DaemonSet " + d.Namespace + "/" + d.Name, Remedy: "repair it first"}
	s := d.Status
	switch {
	case s.NumberReady < s.DesiredNumberScheduled:
		f.Message = fmt.Sprintf("%d of %d pods are not Ready; the upgrade would be held at Verify on each of their nodes, where every DaemonSet pod must be",
			s.DesiredNumberScheduled-s.NumberReady, s.DesiredNumberScheduled)
	case d.Namespace == metav1.NamespaceSystem && s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
		f.Message = fmt.Sprintf("%d of %d pods are not up to date; the upgrade would be held at its end, when all of kube-system must be",
			s.DesiredNumberScheduled-s.UpdatedNumberScheduled, s.DesiredNumberScheduled)
	default:
		return f, false
	}
	return f, true
}
