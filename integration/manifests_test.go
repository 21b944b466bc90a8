package integration

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// manifests are what the tests of deploy/ have rendered and compared; here a real API has its say.
var manifests = []string{"../deploy/chart/testdata/*.golden.yaml", "../deploy/kustomize/base/pawl-worker.yaml", "../deploy/kustomize/testdata/*.golden.yaml"}

// deployed is the namespace that they are for.
const deployed = "pawl"

// TestManifests: every object is what a real API server takes, with no field that it does not know, in a namespace that
// enforces the Pod Security Standard "restricted"; and so are the pods of every Deployment.
func TestManifests(t *testing.T) {
	simtest.Programs(t, controlplane.Program)
	plane, err := controlplane.Start(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "nobody"))
	require.NoError(t, err)
	defer plane.Stop()
	a := newApplier(t, plane.Config())
	a.create(deployedNamespace())
	a.create(podMonitors)
	require.Eventually(t, func() bool {
		_, err := a.client.Discovery().ServerResourcesForGroupVersion("monitoring.coreos.com/v1")
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	n := 0
	for _, pattern := range manifests {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			for _, o := range objects(t, file) {
				n++
				if o.GetKind() == "Namespace" {
					continue // made above
				}
				require.NoError(t, a.try(o, metav1.DryRunAll), "%s: %s %s", file, o.GetKind(), o.GetName())
				if o.GetKind() == "Deployment" {
					require.NoError(t, a.tryPod(o), "%s: a pod of %s", file, o.GetName())
				}
			}
		}
	}
	require.Greater(t, n, 20)

	// That all were taken says something only if others are not.
	bad := objects(t, "../deploy/kustomize/base/pawl-worker.yaml")
	for _, o := range bad {
		if o.GetKind() != "Deployment" {
			continue
		}
		require.NoError(t, unstructured.SetNestedField(o.Object, "x", "spec", "template", "spec", "nodeSelectr"))
		require.ErrorContains(t, a.try(o, metav1.DryRunAll), `unknown field "spec.template.spec.nodeSelectr"`)
		unstructured.RemoveNestedField(o.Object, "spec", "template", "spec", "nodeSelectr")
		require.NoError(t, unstructured.SetNestedField(o.Object, true, "spec", "template", "spec", "hostNetwork"))
		require.ErrorContains(t, a.tryPod(o), `violates PodSecurity "restricted:latest"`)
	}
}

// TestServiceAccount: with the chart's own roles, and nothing else, a plan misses nothing and an upgrade goes through.
func TestServiceAccount(t *testing.T) {
	s := newStage(t, "own", bed.Options{ControlPlanes: 1, Workers: 2, Version: upgrade.MustVersion("v1.36.3"), Offered: []upgrade.Version{upgrade.MustVersion(to)}}, "")
	config, err := clientcmd.BuildConfigFromFlags("", s.AdminKubeconfig())
	require.NoError(t, err)
	a := newApplier(t, config)
	a.create(deployedNamespace())
	account := ""
	for _, o := range objects(t, "../deploy/chart/testdata/own-cluster.golden.yaml") {
		switch o.GetKind() {
		case "ServiceAccount":
			account = o.GetName()
			fallthrough
		case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			a.create(o)
		}
	}
	token, err := a.client.CoreV1().ServiceAccounts(deployed).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	file := filepath.Join(s.Clusters(), s.name+".conf")
	kubeconfig, err := clientcmd.LoadFromFile(file)
	require.NoError(t, err)
	for _, user := range kubeconfig.AuthInfos {
		user.Token = token.Status.Token
	}
	require.NoError(t, clientcmd.WriteToFile(*kubeconfig, file))

	out, code := s.pawl(append(s.wanted("plan"), "-o", "json")...)
	require.Equal(t, 0, code, out)
	var plan upgrade.Plan
	require.NoError(t, json.Unmarshal([]byte(out), &plan))
	for _, f := range plan.Findings { // of a cluster with nothing wrong
		require.Equal(t, upgrade.EtcdVersion, f.ID, f.String())
	}
	s.start()
	s.watch(0)
	s.requireUpgraded()
}

// objects are those of a file of manifests.
func objects(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var all []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(f, 4096); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(o)
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, all, file)
			return all
		}
		require.NoError(t, err, file)
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// applier creates objects of any kind.
type applier struct {
	t       *testing.T
	client  kubernetes.Interface
	dynamic dynamic.Interface
}

func newApplier(t *testing.T, config *rest.Config) applier {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	objects, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	return applier{t: t, client: client, dynamic: objects}
}

func (a applier) create(o *unstructured.Unstructured) {
	a.t.Helper()
	require.NoError(a.t, a.try(o), "%s %s", o.GetKind(), o.GetName())
}

// try creates an object, whose fields must all be known; metav1.DryRunAll only tries it.
func (a applier) try(o *unstructured.Unstructured, dryRun ...string) error {
	groups, err := restmapper.GetAPIGroupResources(a.client.Discovery())
	if err != nil {
		return err
	}
	kind := o.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var in dynamic.ResourceInterface = a.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		in = a.dynamic.Resource(mapping.Resource).Namespace(cmp.Or(o.GetNamespace(), deployed)) // a base leaves it to its overlays
	}
	_, err = in.Create(a.t.Context(), o, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun})
	return err
}

// tryPod creates a pod of a Deployment, as a dry run: Pod Security judges pods, of a Deployment it only warns.
func (a applier) tryPod(o *unstructured.Unstructured) error {
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d); err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
	pod.GenerateName = d.Name + "-"
	_, err := a.client.CoreV1().Pods(deployed).Create(a.t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

func deployedNamespace() *unstructured.Unstructured {
	return parsed(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + deployed + `","labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
}

// podMonitors stands in for the Prometheus operator's definition: it takes any fields.
var podMonitors = parsed(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"podmonitors.monitoring.coreos.com"},
 "spec":{"group":"monitoring.coreos.com","scope":"Namespaced","names":{"kind":"PodMonitor","plural":"podmonitors"},
  "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`)

func parsed(text string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&o.Object); err != nil {
		panic(err)
	}
	return o
}
