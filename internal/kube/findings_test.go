package kube

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1beta1 "k8s.io/api/resource/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestFindings provokes on one simulated cluster, whose API is the real one, what a plan finds through it: each by what a
// person or a program would do, taken back before the next.
func TestFindings(t *testing.T) {
	b, c := simulated(t, bed.Options{ControlPlanes: 3, Workers: 2, APIs: []string{"resource.k8s.io/v1beta1"}})
	f := &findings{T: t, bed: b, admin: b.Client(), cluster: c}

	t.Run("a clean cluster", func(t *testing.T) {
		began := time.Now()
		f.T = t
		f.await("v1.37.2") // DaemonSets may have to be counted still
		t.Logf("observed and planned in %s", time.Since(began))
		require.Empty(t, f.at("v1.38.0"), "nor does a clean cluster use what goes later")
	})
	for _, p := range provocations {
		passed := t.Run(p.name, func(t *testing.T) {
			f.T = t
			undo := p.provoke(f)
			target := "v1.37.2"
			if p.target != "" {
				target = p.target
			}
			f.await(target, p.want...)
			if undo != nil {
				undo()
				f.await("v1.37.2")
			}
		})
		if !passed {
			return // what it left behind would be found in all that follow
		}
	}
}

// findings makes plans of a cluster that is observed anew each time.
type findings struct {
	*testing.T
	bed     *bed.Bed
	admin   kubernetes.Interface
	cluster *Cluster
}

// at are the findings of a plan, as "severity id: text". The machines are not looked at here, and taken to be well.
func (f *findings) at(target string) []string {
	f.Helper()
	seen, err := f.cluster.Observe(f.Context(), upgrade.Settings{})
	require.NoError(f, err)
	v136 := upgrade.MustVersion("v1.36.3")
	for i := range seen.Nodes {
		seen.Nodes[i].Host = upgrade.Host{OS: "debian", PackageManager: "apt", Kubeadm: v136, FreeBytes: 1 << 40,
			Available: []upgrade.Version{upgrade.MustVersion("v1.37.2"), upgrade.MustVersion("v1.38.0")}}
	}
	var found []string
	for _, x := range upgrade.MakePlan(seen, upgrade.Wanted{Target: upgrade.MustVersion(target)}, upgrade.Settings{MaxUnavailable: upgrade.AtMost(1)}).Findings {
		if x.ID != upgrade.EtcdVersion { // v1.36 brings an etcd of which that is so
			found = append(found, string(x.Severity)+" "+x.ID+": "+x.String())
		}
	}
	slices.Sort(found)
	return found
}

// await requires that a plan finds all that is wanted and nothing else, as soon as controllers have done their work. A
// text that ends in "..." stands for all that begin so.
func (f *findings) await(target string, want ...string) {
	f.Helper()
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		got = f.at(target)
		if slices.EqualFunc(got, want, func(g, w string) bool {
			beginning, open := strings.CutSuffix(w, "...")
			return g == w || open && strings.HasPrefix(g, beginning)
		}) {
			return
		}
	}
	require.Equal(f, want, got)
}

// edit changes an object that controllers may be writing at the same time.
func edit[T any](f *findings, objects interface {
	Get(context.Context, string, metav1.GetOptions) (*T, error)
	Update(context.Context, *T, metav1.UpdateOptions) (*T, error)
}, name string, change func(*T)) {
	f.Helper()
	require.NoError(f, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		o, err := objects.Get(f.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(o)
		_, err = objects.Update(f.Context(), o, metav1.UpdateOptions{})
		return err
	}))
}

// ofStatus edits the status of nodes.
type ofStatus struct{ typedcorev1.NodeInterface }

func (n ofStatus) Update(ctx context.Context, node *corev1.Node, o metav1.UpdateOptions) (*corev1.Node, error) {
	return n.UpdateStatus(ctx, node, o)
}

// editConfigMap replaces a text in one of kubeadm's ConfigMaps.
func (f *findings) editConfigMap(name, key, from, to string) (undo func()) {
	f.Helper()
	system := f.admin.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	var was string
	edit(f, system, name, func(cm *corev1.ConfigMap) {
		was = cm.Data[key]
		require.Contains(f, was, from)
		cm.Data[key] = strings.Replace(was, from, to, 1)
	})
	return func() {
		edit(f, system, name, func(cm *corev1.ConfigMap) { cm.Data[key] = was })
	}
}

// insertConfiguration adds lines to kubeadm's ClusterConfiguration.
func (f *findings) insertConfiguration(lines string) (undo func()) {
	f.Helper()
	const kind = "kind: ClusterConfiguration\n"
	return f.editConfigMap("kubeadm-config", "ClusterConfiguration", kind, kind+lines)
}

// createWebhook makes a service, and a webhook behind it that must answer for pods.
func (f *findings) createWebhook(withService bool, nodes ...string) (undo func()) {
	f.Helper()
	ctx := f.Context()
	services, slices, hooks := f.admin.CoreV1().Services("default"), f.admin.DiscoveryV1().EndpointSlices("default"), f.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	meta := metav1.ObjectMeta{Name: "guard", Labels: map[string]string{discoveryv1.LabelServiceName: "guard"}}
	if withService {
		_, err := services.Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}}, metav1.CreateOptions{})
		require.NoError(f, err)
	}
	if len(nodes) > 0 {
		slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4}
		for i := range nodes {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.244.0." + string(rune('1'+i))}, NodeName: &nodes[i]})
		}
		_, err := slices.Create(ctx, slice, metav1.CreateOptions{})
		require.NoError(f, err)
	}
	none := admissionv1.SideEffectClassNone
	_, err := hooks.Create(ctx, &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "pods.guard.example.com", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "default", Name: "guard"}},
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods", "pods/eviction"}}}},
	}}}, metav1.CreateOptions{})
	require.NoError(f, err)
	return func() {
		require.NoError(f, hooks.Delete(ctx, "guard", metav1.DeleteOptions{}))
		_ = slices.Delete(ctx, "guard", metav1.DeleteOptions{})
		_ = services.Delete(ctx, "guard", metav1.DeleteOptions{})
	}
}

// editRole changes what pawl's user may.
func (f *findings) editRole(change func(group, resource string) (keep bool)) (undo func()) {
	f.Helper()
	roles := f.admin.RbacV1().ClusterRoles()
	var was []rbacv1.PolicyRule
	edit(f, roles, "pawl", func(role *rbacv1.ClusterRole) {
		was = role.DeepCopy().Rules
		role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
			return len(r.Resources) == 1 && !change(r.APIGroups[0], r.Resources[0])
		})
	})
	return func() {
		edit(f, roles, "pawl", func(role *rbacv1.ClusterRole) { role.Rules = was })
	}
}

// run runs a command on a node's machine.
func (f *findings) run(node, line string) {
	f.Helper()
	var out strings.Builder
	require.Zero(f, f.bed.Machine(node).Run(context.Background(), line, "root", strings.NewReader(""), &out, &out), out.String())
}

var provocations = []struct {
	name    string
	provoke func(*findings) (undo func())
	target  string // v1.37.2 if empty
	want    []string
}{
	{"a format that kubeadm cannot read", func(f *findings) func() {
		return f.editConfigMap("kubeadm-config", "ClusterConfiguration", "v1beta4", "v1beta3")
	}, "", []string{"error kubeadm-config: ConfigMap kube-system/kubeadm-config: ClusterConfiguration is kubeadm.k8s.io/v1beta3, which kubeadm of v1.37 cannot read; " +
		"write it anew with the kubeadm of v1.36: kubeadm config migrate, then kubeadm init phase upload-config kubeadm --config FILE"}},
	{"flags and gates", func(f *findings) func() {
		return f.insertConfiguration("apiServer:\n  extraArgs:\n  - name: feature-gates\n    value: SidecarContainers=true\n  - name: emulated-version\n    value: \"1.33\"\n" +
			"controllerManager:\n  extraArgs:\n  - name: concurrent-service-syncs\n    value: \"2\"\n")
	}, "", []string{
		"error removed-feature-gate: ConfigMap kube-system/kubeadm-config: kube-apiserver is given the feature gate SidecarContainers, which v1.37 does not know: it would not start; take it out there before, or waive removed-feature-gate",
		"error removed-flag: ConfigMap kube-system/kubeadm-config: kube-controller-manager is given --concurrent-service-syncs, which v1.37 does not know: it would not start; take it out there before, or waive removed-flag",
		"error emulated-version: ConfigMap kube-system/kubeadm-config: kube-apiserver is told to emulate v1.33; that of v1.37 emulates v1.34 at the oldest and would not start; take --emulated-version out of extraArgs, or name a newer one",
	}},
	{"gates of kubelets", func(f *findings) func() {
		return f.editConfigMap("kubelet-config", "kubelet", "kind: KubeletConfiguration\n", "kind: KubeletConfiguration\nfeatureGates:\n  SidecarContainers: true\n")
	}, "", []string{"error removed-feature-gate: ConfigMap kube-system/kubelet-config: kubelet is given the feature gate SidecarContainers, which v1.37 does not know: it would not start; take it out there before, or waive removed-feature-gate"}},
	{"ipvs", func(f *findings) func() {
		return f.editConfigMap("kube-proxy", "config.conf", "mode: iptables", "mode: ipvs")
	}, "", []string{"info kube-proxy: ConfigMap kube-system/kube-proxy: kube-proxy runs in mode ipvs, which is deprecated since v1.35; move to nftables"}},
	{"images and etcd", func(f *findings) func() {
		undo := f.editConfigMap("kubeadm-config", "ClusterConfiguration", "    dataDir: /var/lib/etcd\n", "    dataDir: /var/lib/etcd\n    imageTag: 3.6.8-0\n")
		again := f.insertConfiguration("dns:\n  imageTag: v1.14.2\nfeatureGates:\n  NodeLocalCRISocket: true\n")
		return func() { again(); undo() }
	}, "", []string{
		"warning image-override: ConfigMap kube-system/kubeadm-config: etcd.local.imageTag keeps etcd at 3.6.8-0 in every hop; take it out, unless it is a newer patch than kubeadm's own",
		"warning image-override: ConfigMap kube-system/kubeadm-config: dns.imageTag keeps CoreDNS at v1.14.2 in every hop; take it out, unless that is meant",
		"info removed-feature-gate: ConfigMap kube-system/kubeadm-config: kubeadm of v1.37 does not know its feature gate NodeLocalCRISocket any more, and goes on without it",
	}},
	{"external etcd", func(f *findings) func() {
		undo := f.editConfigMap("kubeadm-config", "ClusterConfiguration", "  local:\n    dataDir: /var/lib/etcd\n", "  external:\n    endpoints: [https://10.0.0.9:2379]\n")
		again := f.editConfigMap("kubeadm-config", "ClusterConfiguration", "imageRepository: registry.k8s.io", "imageRepository: k8s.gcr.io")
		return func() { again(); undo() }
	}, "", []string{
		"info external-etcd: ConfigMap kube-system/kubeadm-config: etcd is external: it is neither backed up nor upgraded; name its hosts as etcd.hosts, if units of systemd start it there",
		"warning image-override: ConfigMap kube-system/kubeadm-config: imageRepository is k8s.gcr.io, which has no images of v1.27 and later; set it to registry.k8s.io",
	}},
	{"an API server that emulates", func(f *findings) func() {
		f.bed.Emulate("cp2", upgrade.MustVersion("v1.35.0"))
		return func() { f.bed.Emulate("cp2", upgrade.Version{}) }
	}, "", []string{"warning emulated-version: cp2: kube-apiserver is v1.36.3 and behaves as v1.35 (--emulated-version); take the flag out of extraArgs once nobody needs it"}},
	{"a CoreDNS that kubeadm does not see", func(f *findings) func() { return f.editCoreDNS(func(d *appsv1.Deployment) { d.Labels = nil }) }, "",
		[]string{"error coredns: kube-system/coredns: no deployment in kube-system carries the label k8s-app=kube-dns, and kubeadm's check of CoreDNS fails; " +
			"bring it back, or set kubeadm.ignorePreflightErrors to CoreDNSUnsupportedPlugins, CoreDNSMigration"}},
	{"a CoreDNS that is not rolled out", func(f *findings) func() {
		return f.editCoreDNS(func(d *appsv1.Deployment) { d.Spec.Template.Spec.NodeSelector = map[string]string{"nowhere": ""} })
	}, "", []string{"warning coredns: kube-system/coredns: ..."}},
	{"a kube-proxy of another version", func(f *findings) func() {
		return f.editDaemonSet("kube-proxy", func(d *appsv1.DaemonSet) {
			d.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
			d.Spec.Template.Spec.Containers[0].Image = "registry.k8s.io/kube-proxy:v1.35.4"
		})
	}, "", []string{
		"warning kube-proxy: DaemonSet kube-system/kube-proxy: it is at v1.35.4, the control plane at v1.36.3; the upgrade brings it to the control plane's version; look why the last one did not",
		"warning daemonset: DaemonSet kube-system/kube-proxy: 5 of 5 pods are not up to date; the upgrade would be held at its end, when all of kube-system must be; repair it first",
	}},
	{"no kube-proxy", func(f *findings) func() {
		sets := f.admin.AppsV1().DaemonSets(metav1.NamespaceSystem)
		d, err := sets.Get(f.Context(), "kube-proxy", metav1.GetOptions{})
		require.NoError(f, err)
		require.NoError(f, sets.Delete(f.Context(), d.Name, metav1.DeleteOptions{}))
		return func() {
			d.ResourceVersion, d.UID = "", ""
			_, err := sets.Create(f.Context(), d, metav1.CreateOptions{})
			require.NoError(f, err)
		}
	}, "", []string{"warning kube-proxy: DaemonSet kube-system/kube-proxy: there is none, and kubeadm would deploy it again, beside what may have replaced it; " +
		"set proxy.disabled: true in kubeadm's ClusterConfiguration, if it is to stay away"}},
	{"a DaemonSet whose pods are not Ready", func(f *findings) func() {
		sets := f.admin.AppsV1().DaemonSets("default")
		labels := map[string]string{"app": "cni"}
		_, err := sets.Create(f.Context(), &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "cni"}, Spec: appsv1.DaemonSetSpec{
			Selector: metav1.SetAsLabelSelector(labels),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "cni", Image: "cni", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Pi")}},
			}}}},
		}}, metav1.CreateOptions{})
		require.NoError(f, err)
		return func() { require.NoError(f, sets.Delete(f.Context(), "cni", metav1.DeleteOptions{})) }
	}, "", []string{"warning daemonset: DaemonSet default/cni: 2 of 2 pods are not Ready; the upgrade would be held at Verify on each of their nodes, where every DaemonSet pod must be; repair it first"}},
	{"a webhook without a service", func(f *findings) func() { return f.createWebhook(false) }, "",
		[]string{"error webhook: ValidatingWebhookConfiguration guard, pods.guard.example.com: it must answer before the API server lets through new pods, evictions, " +
			"and its service default/guard does not exist; bring its service back, set its failurePolicy to Ignore, or remove it, or waive webhook"}},
	{"a webhook without endpoints", func(f *findings) func() { return f.createWebhook(true) }, "",
		[]string{"error webhook: ValidatingWebhookConfiguration guard, pods.guard.example.com: it must answer before the API server lets through new pods, evictions, " +
			"and its service default/guard has no ready endpoint; bring its service back, set its failurePolicy to Ignore, or remove it, or waive webhook"}},
	{"a webhook on one node", func(f *findings) func() { return f.createWebhook(true, "w1", "w1") }, "",
		[]string{"warning webhook: ValidatingWebhookConfiguration guard, pods.guard.example.com: it must answer before the API server lets through new pods, evictions, " +
			"and all endpoints of its service default/guard are on w1: nobody answers from its drain until they are back; " +
			"run replicas of it on several nodes, with a PodDisruptionBudget, or leave its own namespace out by namespaceSelector"}},
	{"a node that complains", func(f *findings) func() {
		nodes := f.admin.CoreV1().Nodes()
		condition := func(t corev1.NodeConditionType) corev1.NodeCondition {
			return corev1.NodeCondition{Type: t, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}
		}
		_, err := nodes.Create(f.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "ghost"}}, metav1.CreateOptions{})
		require.NoError(f, err)
		edit(f, ofStatus{nodes}, "ghost", func(ghost *corev1.Node) {
			ghost.Status = corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "devel"},
				Conditions: []corev1.NodeCondition{condition(corev1.NodeReady), condition(corev1.NodeDiskPressure), condition(corev1.NodeMemoryPressure), condition(corev1.NodeNetworkUnavailable)}}
		})
		return func() {
			require.NoError(f, nodes.Delete(f.Context(), "ghost", metav1.DeleteOptions{}))
			now := int64(0) // no kubelet ends its pods
			require.NoError(f, f.admin.CoreV1().Pods(metav1.NamespaceSystem).DeleteCollection(f.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, onNode("ghost")))
			// The controller does not count anew because a node went.
			require.Eventually(f, func() bool {
				f.editDaemonSet("kube-proxy", func(d *appsv1.DaemonSet) { d.Annotations["counted"] = time.Now().String() })
				d, err := f.admin.AppsV1().DaemonSets(metav1.NamespaceSystem).Get(f.Context(), "kube-proxy", metav1.GetOptions{})
				return err == nil && d.Status.DesiredNumberScheduled == 5
			}, 30*time.Second, 100*time.Millisecond)
		}
	}, "", []string{
		"error kubelet-version: ghost: the kubelet says that its version is \"devel\", wanted one like v1.37.2; install a kubelet of a release, or remove the node from the cluster",
		"error node-condition: ghost: the node reports DiskPressure; free some space: its kubelet evicts pods and removes images, and an upgrade brings more images, or waive node-condition",
		"error node-condition: ghost: the node reports NetworkUnavailable; repair the node's network: its pods have none, or waive node-condition",
		"warning node-condition: ghost: the node reports MemoryPressure; put it right first: pods of drained nodes have to find room elsewhere",
		"warning daemonset: DaemonSet kube-system/kube-proxy: 1 of 6 pods are not Ready; ...",
	}},
	{"a control plane node without etcd", func(f *findings) func() {
		f.run("cp2", "mv /etc/kubernetes/manifests/etcd.yaml /root/etcd.yaml")
		return func() { f.run("cp2", "mv /root/etcd.yaml /etc/kubernetes/manifests/etcd.yaml") }
	}, "", []string{
		"error control-plane-health: check etcd member https://cp2:2379: unhealthy: ...",
		"error control-plane-health: check kube-apiserver of cp2: ...",
		"warning etcd-members: sim: cp2 has no etcd member, though cp1, cp3 has; look why; a kubeadm cluster has one on every control plane node",
		"warning etcd-members: sim: etcd has 2 members: while one restarts, it has no quorum and the API is away; add a control plane node, or expect it",
	}},
	{"what pawl may not do", func(f *findings) func() {
		return f.editRole(func(_, resource string) bool { return resource != "pods/eviction" && resource != "nodes/proxy" })
	}, "", []string{
		"error permission: the kubeconfig's user may not create pods/eviction; grant it; the reference lists all permissions",
		"error permission: the kubeconfig's user may not get nodes/proxy; grant it; the reference lists all permissions",
	}},
	{"what pawl may not look at", func(f *findings) func() {
		return f.editRole(func(group, resource string) bool {
			return group != "admissionregistration.k8s.io" && resource != "customresourcedefinitions"
		})
	}, "", []string{
		"info not-observed: webhooks, CustomResourceDefinitions, who wrote objects with old versions of APIs: not looked at: the kubeconfig's user may not; grant what the reference lists under permissions",
	}},
	{"a lock that a person took", func(f *findings) func() {
		leases, ann := f.admin.CoordinationV1().Leases(metav1.NamespaceSystem), "ann"
		_, err := leases.Create(f.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "pawl"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &ann}}, metav1.CreateOptions{})
		require.NoError(f, err)
		return func() { require.NoError(f, leases.Delete(f.Context(), "pawl", metav1.DeleteOptions{})) }
	}, "", []string{"warning locked: sim: the cluster's lock is held by ann, with no end; wait until its holder is done: an upgrade holds before it touches anything"}},
	{"custom resources that are stored in old versions", func(f *findings) func() {
		const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
		rest := f.admin.Discovery().RESTClient()
		version := func(name, served, storage string) string {
			return `{"name":"` + name + `","served":` + served + `,"storage":` + storage + `,"schema":{"openAPIV3Schema":{"type":"object"}}}`
		}
		crd := func(kind, versions string) string {
			return `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"` + kind + `s.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"` +
				kind + `s","kind":"` + kind + `"},"versions":[` + versions + `]}}`
		}
		for kind, later := range map[string][]string{"apple": {"true"}, "pear": {"false"}} {
			require.NoError(f, rest.Post().AbsPath(path).Body([]byte(crd(kind, version("v1alpha1", "true", "true")))).SetHeader("Content-Type", "application/json").Do(f.Context()).Error())
			next := `{"spec":{"versions":[` + version("v1alpha1", later[0], "false") + `,` + version("v1", "true", "true") + `]}}`
			require.NoError(f, rest.Patch("application/merge-patch+json").AbsPath(path, kind+"s.example.com").Body([]byte(next)).Do(f.Context()).Error())
		}
		return func() {
			for _, kind := range []string{"apple", "pear"} {
				require.NoError(f, rest.Delete().AbsPath(path, kind+"s.example.com").Do(f.Context()).Error())
			}
		}
	}, "", []string{
		"warning crd-stored-version: apples.example.com: objects may be stored in v1alpha1 still; now it is v1; ...",
		"warning crd-stored-version: pears.example.com: objects may be stored in v1alpha1, which is not served any more; ...",
	}},
	// The last one, since an API server does not forget it.
	{"an API that goes", func(f *findings) func() {
		_, err := f.admin.ResourceV1beta1().DeviceClasses().Create(f.Context(), &resourcev1beta1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu", Labels: map[string]string{"of": "shop"}}},
			metav1.CreateOptions{FieldManager: "helm"})
		require.NoError(f, err)
		return nil
	}, "v1.38.0", []string{"error removed-api: deviceclasses.v1beta1.resource.k8s.io: removed in v1.38, which is on the way, " +
		"and asked for at least once since kube-apiserver started on cp1, cp2, cp3 (written by helm); move its clients to a newer version of the API before, or waive removed-api"}},
	{"an API that goes after the target", func(*findings) func() { return nil }, "v1.37.2", nil},
}

func (f *findings) editCoreDNS(change func(*appsv1.Deployment)) (undo func()) {
	f.Helper()
	deployments := f.admin.AppsV1().Deployments(metav1.NamespaceSystem)
	var was *appsv1.Deployment
	edit(f, deployments, "coredns", func(d *appsv1.Deployment) {
		was = d.DeepCopy()
		change(d)
	})
	return func() {
		edit(f, deployments, "coredns", func(d *appsv1.Deployment) { d.Labels, d.Spec = was.Labels, was.Spec })
	}
}

func (f *findings) editDaemonSet(name string, change func(*appsv1.DaemonSet)) (undo func()) {
	f.Helper()
	sets := f.admin.AppsV1().DaemonSets(metav1.NamespaceSystem)
	var was *appsv1.DaemonSet
	edit(f, sets, name, func(d *appsv1.DaemonSet) {
		was = d.DeepCopy()
		change(d)
	})
	return func() {
		edit(f, sets, name, func(d *appsv1.DaemonSet) { d.Spec = was.Spec })
	}
}
