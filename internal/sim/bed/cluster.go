package bed

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/sim/machine"
)

// initCluster makes what `kubeadm init` leaves in a cluster, and the permissions of pawl's own user.
func (b *Bed) initCluster(ctx context.Context) error {
	v := b.opts.Version
	system := b.client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	for name, data := range map[string]map[string]string{
		"kubeadm-config": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: " + b.opts.Name +
			"\ncontrolPlaneEndpoint: " + b.balance.Address() + "\netcd:\n  local:\n    dataDir: /var/lib/etcd\nimageRepository: registry.k8s.io\nkubernetesVersion: " + v.String() + "\n"},
		"kubelet-config": {"kubelet": "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"},
		"kube-proxy":     {"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: iptables\n"},
		"coredns":        {"Corefile": ".:53 {\n    errors\n    kubernetes cluster.local\n    forward . /etc/resolv.conf\n    cache 30\n}\n"},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
		if _, err := system.Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := b.publish(ctx); err != nil {
		return err
	}
	proxy := podTemplate("kube-proxy", "registry.k8s.io/kube-proxy:"+v.String())
	proxy.Spec.HostNetwork = true
	proxy.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	_, err := b.client.AppsV1().DaemonSets(metav1.NamespaceSystem).Create(ctx, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-proxy", Labels: proxy.Labels},
		Spec:       appsv1.DaemonSetSpec{Selector: metav1.SetAsLabelSelector(proxy.Labels), Template: proxy},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	dns := podTemplate("kube-dns", "registry.k8s.io/coredns/coredns:"+machine.CoreDNS(v))
	dns.Spec.Containers[0].Name = "coredns"
	dns.Spec.Tolerations = []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
	if err := b.createDeployment(ctx, metav1.NamespaceSystem, "coredns", 2, dns); err != nil {
		return err
	}
	return b.permitPawl(ctx)
}

// publish makes cluster-info, from which new nodes learn whom to trust.
func (b *Bed) publish(ctx context.Context) error {
	kubeconfig, err := b.publicKubeconfig()
	if err != nil {
		return err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cluster-info"}, Data: map[string]string{"kubeconfig": kubeconfig}}
	_, err = b.client.CoreV1().ConfigMaps(metav1.NamespacePublic).Create(ctx, cm, metav1.CreateOptions{})
	return err
}

// permitPawl gives pawl's user what docs/reference.md says that it needs, and no more.
func (b *Bed) permitPawl(ctx context.Context) error {
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	meta := metav1.ObjectMeta{Name: pawlUser}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: pawlUser, APIGroup: rbacv1.GroupName}}
	_, errs := b.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		rule("", "pods", "get", "list", "watch", "delete"), rule("", "nodes", "get", "list", "watch", "update", "delete"), rule("", "nodes/proxy", "get"),
		rule("", "configmaps", "get", "list", "watch"), rule("apps", "daemonsets", "get", "list", "watch"),
		rule("policy", "poddisruptionbudgets", "get", "list", "watch"), rule("coordination.k8s.io", "leases", "get", "list", "watch"),
		rule("", "pods/eviction", "create"), rule("", "persistentvolumes", "list"), rule("", "persistentvolumeclaims", "list"),
		rule("", "services", "get"), rule("discovery.k8s.io", "endpointslices", "list"), rule("apps", "deployments", "get", "list", "patch"), rule("apps", "statefulsets", "list", "patch"),
		rule("batch", "jobs", "create", "get"), rule("", "pods/log", "get"),
		rule("admissionregistration.k8s.io", "*", "list"), rule("apiextensions.k8s.io", "customresourcedefinitions", "list"),
		rule("certificates.k8s.io", "*", "list"), rule("coordination.k8s.io", "leasecandidates", "list"),
		rule("flowcontrol.apiserver.k8s.io", "*", "list"), rule("lifecycle.k8s.io", "*", "list"), rule("networking.k8s.io", "*", "list"),
		rule("resource.k8s.io", "*", "list"), rule("scheduling.k8s.io", "*", "list"), rule("storage.k8s.io", "*", "list"),
		rule("storagemigration.k8s.io", "*", "list"),
		{NonResourceURLs: []string{"/readyz", "/metrics"}, Verbs: []string{"get"}},
	}}, metav1.CreateOptions{})
	_, err := b.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: pawlUser, APIGroup: rbacv1.GroupName},
	}, metav1.CreateOptions{})
	errs = errors.Join(errs, err)
	_, err = b.client.RbacV1().Roles(metav1.NamespaceSystem).Create(ctx, &rbacv1.Role{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule("", "pods/exec", "create", "get"), rule("", "secrets", "create", "get", "delete"), rule("coordination.k8s.io", "leases", "create", "update")},
	}, metav1.CreateOptions{})
	errs = errors.Join(errs, err)
	_, err = b.client.RbacV1().RoleBindings(metav1.NamespaceSystem).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: pawlUser, APIGroup: rbacv1.GroupName},
	}, metav1.CreateOptions{})
	errs = errors.Join(errs, err)
	_, err = b.client.RbacV1().Roles(metav1.NamespaceDefault).Create(ctx, &rbacv1.Role{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule("", "events", "create")},
	}, metav1.CreateOptions{})
	errs = errors.Join(errs, err)
	_, err = b.client.RbacV1().RoleBindings(metav1.NamespaceDefault).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: pawlUser, APIGroup: rbacv1.GroupName},
	}, metav1.CreateOptions{})
	return errors.Join(errs, err)
}

// pawlUser is the user in whose name pawl comes.
const pawlUser = "pawl"

// appLabel names the application that a pod belongs to.
const appLabel = "k8s-app"

func podTemplate(app, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appLabel: app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Image: image}}},
	}
}

func (b *Bed) createDeployment(ctx context.Context, namespace, name string, replicas int32, pod corev1.PodTemplateSpec) error {
	_, err := b.client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: pod.Labels},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: metav1.SetAsLabelSelector(pod.Labels), Template: pod},
	}, metav1.CreateOptions{})
	return err
}

// awaitNodes waits until every node is Ready and may take pods.
func (b *Bed) awaitNodes(ctx context.Context) error {
	wanted := len(b.nodesNow())
	return b.await(ctx, "nodes", func() (string, error) {
		nodes, err := b.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		able := 0
		for _, n := range nodes.Items {
			if nodeReady(&n) && !tainted(&n) {
				able++
			}
		}
		if able < wanted {
			return fmt.Sprintf("%d of %d nodes are Ready", able, wanted), nil
		}
		return "", nil
	})
}

// AwaitPods waits until every pod that there should be is Ready.
func (b *Bed) AwaitPods(ctx context.Context) error {
	return b.await(ctx, "pods", func() (string, error) {
		nodes := len(b.nodesNow())
		deployments, err := b.client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		for _, d := range deployments.Items {
			if d.Status.ObservedGeneration < d.Generation || d.Status.AvailableReplicas < *d.Spec.Replicas {
				return fmt.Sprintf("%d of %d pods of %s/%s are available", d.Status.AvailableReplicas, *d.Spec.Replicas, d.Namespace, d.Name), nil
			}
		}
		sets, err := b.client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		for _, d := range sets.Items {
			if d.Status.ObservedGeneration < d.Generation || d.Status.NumberAvailable < int32(nodes) {
				return fmt.Sprintf("%d of %d pods of %s/%s are available", d.Status.NumberAvailable, nodes, d.Namespace, d.Name), nil
			}
		}
		budgets, err := b.client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		for _, p := range budgets.Items {
			if p.Status.DisruptionsAllowed == 0 {
				return fmt.Sprintf("budget %s/%s allows no disruption", p.Namespace, p.Name), nil
			}
		}
		return "", nil
	})
}

// await asks until nothing is missing.
func (b *Bed) await(ctx context.Context, what string, missing func() (string, error)) error {
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		lacks, err := missing()
		if err == nil && lacks == "" {
			return nil
		}
		if died := b.Died(); died != nil {
			return died
		}
		select {
		case <-ctx.Done():
			if err != nil {
				lacks = err.Error()
			}
			return fmt.Errorf("wait for %s: %s after %s", what, lacks, patience)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// tainted reports whether the controller-manager still keeps pods off the node.
func tainted(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			return true
		}
	}
	return false
}
