package kube

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata/fake"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestParseSample(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`group="resource.k8s.io",removed_release="1.38",resource="deviceclasses",subresource="",version="v1beta1"} 1`: {
			"group": "resource.k8s.io", "removed_release": "1.38", "resource": "deviceclasses", "subresource": "", "version": "v1beta1"},
		`a="1",} 1`:                    {"a": "1"},
		`} 1`:                          {},
		`a="}",b="x\"y\\z\n"} 1 12345`: {"a": "}", "b": "x\"y\\z\n"},
	} {
		got, ok := parseSample(text)
		require.True(t, ok, text)
		require.Equal(t, sample{want, 1}, got)
	}
	for _, bad := range []string{"", "}", `a="1`, `a="1"`, `a} 1`, `a="1"} x`, `a="\`} {
		_, ok := parseSample(bad)
		require.False(t, ok, bad)
	}
}

func FuzzParseSample(f *testing.F) {
	f.Add(`group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1`)
	f.Add(`a="\"}",b="\\",} +Inf 1`)
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := parseSample(text)
		require.Equal(t, ok, s.labels != nil)
	})
}

// etcdStatus37 is what the etcdctl of etcd v3.7.0 prints of one member, with an alarm as etcd words it.
const etcdStatus37 = `[{"Endpoint":"https://10.0.0.1:2379","Status":{"header":{"cluster_id":9774503852182555552,"member_id":17387950294623706860,"revision":372,"raft_term":2},` +
	`"version":"3.7.0","dbSize":663552,"leader":17387950294623706860,"raftIndex":379,"raftTerm":2,"raftAppliedIndex":379,"dbSizeInUse":663552,"storageVersion":"3.7.0","dbSizeQuota":2147483648,"downgradeInfo":{}}}]` + "\n"

func TestEtcdStatus(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string // of what etcdctl prints
		want     []string
	}{
		"well": {"", "", nil},
		"full": {`"dbSize":663552`, `"dbSize":1800000000`, []string{"warning etcd-space: https://10.0.0.1:2379: etcd has 1716 MiB of its quota of 2048 MiB; compact and defragment it, or raise the quota"}},
		"no space": {`"downgradeInfo"`, `"errors":["memberID:17387950294623706860 alarm:NOSPACE "],"downgradeInfo"`, []string{
			"error etcd-alarm: https://10.0.0.1:2379: etcd says: memberID:17387950294623706860 alarm:NOSPACE; " +
				"compact and defragment etcd or raise its quota, then disarm the alarm: until then it refuses to write"}},
		"no leader": {`"downgradeInfo"`, `"errors":["etcdserver: no leader"],"downgradeInfo"`, []string{"error etcd-alarm: https://10.0.0.1:2379: etcd says: etcdserver: no leader; repair etcd first"}},
		"learner": {`"downgradeInfo"`, `"isLearner":true,"downgradeInfo"`, []string{
			"warning etcd-members: https://10.0.0.1:2379: the etcd member is a learner, which does not count; promote or remove it first"}},
		"before v3.6": {`"dbSizeQuota":2147483648,`, ``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			members, err := parseEtcdStatus(strings.Replace(etcdStatus37, c.from, c.to, 1))
			require.NoError(t, err)
			require.Equal(t, c.want, texts(checkEtcdStatus(members)))
		})
	}
	for _, bad := range []string{"", "[]", "{}", "null", "Error: context deadline exceeded"} {
		_, err := parseEtcdStatus(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseEtcdStatus(f *testing.F) {
	f.Add(etcdStatus37)
	f.Add(`[{"Endpoint":"a","Status":{"errors":["alarm:CORRUPT"],"dbSize":-1,"dbSizeQuota":1}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		members, err := parseEtcdStatus(text)
		if err == nil {
			require.NotEmpty(t, members)
		}
		checkEtcdStatus(members)
	})
}

// texts are the findings as "severity id: text".
func texts(found []upgrade.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.Severity)+" "+f.ID+": "+f.String())
	}
	return all
}

// clusterConfigurations are of kubeadm v1.30 and of v1.36, with arguments.
const (
	configurationV1beta3 = `apiServer:
  extraArgs:
    authorization-mode: Node,RBAC
    feature-gates: SidecarContainers=true,JobSuccessPolicy=false
  timeoutForControlPlane: 4m0s
apiVersion: kubeadm.k8s.io/v1beta3
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager: {}
dns: {}
etcd:
  local:
    dataDir: /var/lib/etcd
    extraArgs:
      listen-metrics-urls: http://0.0.0.0:2381
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: v1.30.14
networking:
  dnsDomain: cluster.local
  serviceSubnet: 10.96.0.0/12
scheduler: {}
`
	configurationV1beta4 = `apiServer:
  extraArgs:
  - name: emulated-version
    value: kube=1.35
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificateValidityPeriod: 8760h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager:
  extraArgs:
  - name: concurrent-service-syncs
    value: "2"
  - name: bind-address
    value: 0.0.0.0
dns:
  imageTag: v1.14.0
encryptionAlgorithm: RSA-2048
etcd:
  external:
    endpoints: [https://10.0.0.9:2379]
    keyFile: /etc/kubernetes/pki/etcd.key
featureGates:
  NodeLocalCRISocket: true
imageRepository: registry.example.com
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
proxy:
  disabled: true
scheduler: {}
`
)

func TestParseClusterConfiguration(t *testing.T) {
	for text, want := range map[string]upgrade.Configuration{
		configurationV1beta3: {APIVersion: "kubeadm.k8s.io/v1beta3",
			Flags: map[string][]string{"kube-apiserver": {"authorization-mode", "feature-gates"}, "etcd": {"listen-metrics-urls"}},
			Gates: map[string]map[string]bool{"kube-apiserver": {"SidecarContainers": true, "JobSuccessPolicy": false}}},
		configurationV1beta4: {APIVersion: "kubeadm.k8s.io/v1beta4",
			Flags:           map[string][]string{"kube-apiserver": {"emulated-version"}, "kube-controller-manager": {"bind-address", "concurrent-service-syncs"}},
			Gates:           map[string]map[string]bool{"kubeadm": {"NodeLocalCRISocket": true}},
			EmulatedVersion: upgrade.MustVersion("v1.35.0"), DNSTag: "v1.14.0", ImageRepository: "registry.example.com", ExternalEtcd: true, EtcdEndpoints: []string{"https://10.0.0.9:2379"}, ProxyDisabled: true},
		"": {},
	} {
		var got upgrade.Configuration
		require.NoError(t, parseClusterConfiguration(text, &got))
		require.Equal(t, want, got)
	}
	require.Error(t, parseClusterConfiguration("apiServer: [", &upgrade.Configuration{}))
	require.Error(t, parseClusterConfiguration("apiServer: {extraArgs: 7}", &upgrade.Configuration{}))
}

func TestParseComponentConfigurations(t *testing.T) {
	var k upgrade.Configuration
	require.NoError(t, parseKubeletConfiguration("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfeatureGates:\n  NodeSwap: false\nfailCgroupV1: false\n", &k))
	require.NoError(t, parseProxyConfiguration("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\nfeatureGates: {WinDSR: true}\n", &k))
	require.Equal(t, upgrade.Configuration{ProxyMode: "ipvs", Gates: map[string]map[string]bool{"kubelet": {"NodeSwap": false}, "kube-proxy": {"WinDSR": true}}}, k)
	k = upgrade.Configuration{}
	require.NoError(t, parseProxyConfiguration("mode: \"\"\nfeatureGates: null\n", &k))
	require.Zero(t, k)
}

func FuzzParseConfigurations(f *testing.F) {
	f.Add(configurationV1beta3)
	f.Add(configurationV1beta4)
	f.Add("apiServer: {extraArgs: [{name: feature-gates, value: 'A=true,,B'}, {}]}\nmode: ipvs\n")
	f.Fuzz(func(_ *testing.T, text string) {
		var k upgrade.Configuration
		_ = parseClusterConfiguration(text, &k)
		_ = parseKubeletConfiguration(text, &k)
		_ = parseProxyConfiguration(text, &k)
	})
}

func TestEmulatedVersion(t *testing.T) {
	for text, want := range map[string]string{"1.35": "v1.35.0", "kube=1.34": "v1.34.0", "wardle=1.2,kube=1.33": "v1.33.0", "wardle=1.2": "", "": "", "latest": ""} {
		require.Equal(t, want, emulatedVersion(text).String(), text)
	}
}

func TestStopsOf(t *testing.T) {
	rule := func(operation admissionv1.OperationType, group string, resources ...string) admissionv1.RuleWithOperations {
		return admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{operation}, Rule: admissionv1.Rule{APIGroups: []string{group}, Resources: resources}}
	}
	namespaced := admissionv1.NamespacedScope
	scoped := rule("*", "", "*")
	scoped.Scope = &namespaced
	for name, c := range map[string]struct {
		rule admissionv1.RuleWithOperations
		want []string
	}{
		"pods":                 {rule("CREATE", "", "pods"), []string{"new pods"}},
		"updates of pods":      {rule("UPDATE", "", "pods"), nil},
		"evictions":            {rule("CREATE", "", "pods/eviction"), []string{"evictions"}},
		"all of pods":          {rule("*", "", "pods/*"), []string{"new pods", "evictions", "the scheduling of pods", "the status of pods"}},
		"everything":           {rule("*", "*", "*"), []string{"new pods", "cordons", "leases"}},
		"and its parts":        {rule("*", "*", "*/*"), []string{"new pods", "evictions", "the scheduling of pods", "the status of pods", "cordons", "the status of nodes", "leases"}},
		"namespaced":           {scoped, []string{"new pods"}},
		"something else":       {rule("*", "apps", "deployments"), nil},
		"pods of another sort": {rule("*", "metrics.k8s.io", "pods"), nil},
		"leases":               {rule("UPDATE", "coordination.k8s.io", "leases"), []string{"leases"}},
		"nodes":                {rule("UPDATE", "", "nodes"), []string{"cordons"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, stopsOf([]admissionv1.RuleWithOperations{c.rule}))
		})
	}
}

func TestCheckWebhook(t *testing.T) {
	w := webhook{"hook", &admissionv1.ServiceReference{Namespace: "shop", Name: "guard"}, []string{"new pods"}}
	for name, nodes := range map[string]map[string]int{"on two nodes": {"w1": 1, "w2": 1}, "on no node of the cluster": {"": 1}, "that cannot be told": nil} {
		_, is := checkWebhook(w, nodes, "")
		require.False(t, is, name)
	}
}

func TestCheckDaemonSet(t *testing.T) {
	for name, c := range map[string]struct {
		namespace                string
		desired, ready, upToDate int32
		want                     string
	}{
		"ready":                          {"kube-system", 3, 3, 3, ""},
		"for no node":                    {"kube-system", 0, 0, 0, ""},
		"an old template elsewhere":      {"shop", 3, 3, 0, ""},
		"an old template in kube-system": {"kube-system", 3, 3, 1, "DaemonSet kube-system/x: 2 of 3 pods are not up to date; the upgrade would be held at its end, when all of kube-system must be; repair it first"},
		"not ready":                      {"shop", 3, 1, 3, "DaemonSet shop/x: 2 of 3 pods are not Ready; the upgrade would be held at Verify on each of their nodes, where every DaemonSet pod must be; repair it first"},
	} {
		t.Run(name, func(t *testing.T) {
			f, is := checkDaemonSet(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "x"},
				Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: c.desired, NumberReady: c.ready, UpdatedNumberScheduled: c.upToDate}})
			require.Equal(t, c.want != "", is)
			if is {
				require.Equal(t, c.want, f.String())
			}
		})
	}
}

// TestNoteWritten: of objects that a release cannot read, and of pages. No real API server of today serves the first.
func TestNoteWritten(t *testing.T) {
	object := func(kind, name string, managed ...string) *metav1.PartialObjectMetadata {
		o := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1alpha2", Kind: kind}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		if kind == "IPAddress" {
			o.APIVersion, o.Namespace = "networking.k8s.io/v1", ""
		}
		for _, m := range managed {
			manager, version, _ := strings.Cut(m, " ")
			o.ManagedFields = append(o.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, APIVersion: version})
		}
		return o
	}
	scheme := runtime.NewScheme()
	require.NoError(t, metav1.AddMetaToScheme(scheme))
	client := fake.NewSimpleMetadataClient(scheme, object("Workload", "train"),
		object("IPAddress", "10.96.0.1", "kube-apiserver networking.k8s.io/v1", "old-tool networking.k8s.io/v1beta1"),
		object("IPAddress", "10.96.0.2", "older-tool networking.k8s.io/v1beta1", "kubectl networking.k8s.io/v1alpha1"))
	list := func(groupVersion string, names ...string) *metav1.APIResourceList {
		l := &metav1.APIResourceList{GroupVersion: groupVersion}
		for _, name := range names {
			l.APIResources = append(l.APIResources, metav1.APIResource{Name: name, Verbs: []string{"get", "list"}})
		}
		return l
	}
	group := func(name string, versions ...string) *metav1.APIGroup {
		g := &metav1.APIGroup{Name: name}
		for _, v := range versions {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{Version: v})
		}
		return g
	}
	uses := &apiUses{}
	require.NoError(t, (&Cluster{name: "test"}).noteWritten(t.Context(), client,
		[]*metav1.APIGroup{group("networking.k8s.io", "v1", "v1beta1"), group("scheduling.k8s.io", "v1", "v1alpha2")},
		[]*metav1.APIResourceList{list("networking.k8s.io/v1", "ipaddresses"), list("networking.k8s.io/v1beta1", "ipaddresses"), list("scheduling.k8s.io/v1alpha2", "workloads", "podgroups")},
		upgrade.MustVersion("v1.36.3"), uses))
	require.Equal(t, []upgrade.APIUse{
		{Group: "networking.k8s.io", Version: "v1beta1", Resource: "ipaddresses", Managers: []string{"old-tool", "older-tool"}},
		{Group: "scheduling.k8s.io", Version: "v1alpha2", Resource: "workloads", Objects: true},
	}, uses.all())
}

// TestLastingVersion: who lists a version that goes makes it look used.
func TestLastingVersion(t *testing.T) {
	groups := []*metav1.APIGroup{{Name: "resource.k8s.io", Versions: []metav1.GroupVersionForDiscovery{{Version: "v1beta1"}, {Version: "v1"}}}}
	resource := schema.GroupResource{Group: "resource.k8s.io", Resource: "deviceclasses"}
	old := removedAfter(upgrade.MustVersion("v1.36.3"))[resource]
	require.Len(t, old, 2)
	served := map[schema.GroupVersionResource]bool{resource.WithVersion("v1beta1"): true, resource.WithVersion("v1"): true}
	require.Equal(t, "v1", lastingVersion(groups, served, resource, old))
	delete(served, resource.WithVersion("v1"))
	require.Equal(t, "", lastingVersion(groups, served, resource, old))
	require.Empty(t, removedAfter(upgrade.MustVersion("v1.60.0")))
}
