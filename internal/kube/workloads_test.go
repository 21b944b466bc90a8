package kube

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/forecast"
)

// workloadPod is a running pod of a Deployment, with much in it that is nobody's business.
func workloadPod(name string, change func(*corev1.Pod)) *corev1.Pod {
	yes, grace := true, int64(30)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "web", "team": "crimson", "pod-template-hash": "5b6c"},
			Annotations:     map[string]string{"note": "SECRET"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-5b6c", Controller: &yes}}},
		Spec: corev1.PodSpec{NodeName: "w1", TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{
			Name: "web", Image: "SECRET", Args: []string{"SECRET"}, Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "SECRET"}},
			Ports:     []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}, {ContainerPort: 81}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}}, Volumes: []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func workloadObjects() []runtime.Object {
	yes := true
	owner := func(kind string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "it", Controller: &yes}}
			p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		}
	}
	always, one := policyv1.AlwaysAllow, metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	local := &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"w1"}}}}}}}
	return []runtime.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1", Labels: map[string]string{corev1.LabelHostname: "w1", "disk": "ssd", "other": "x"}},
			Spec: corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}, {Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}}},
		workloadPod("web-5b6c-a", nil), workloadPod("web-5b6c-b", func(p *corev1.Pod) { p.Status.Conditions = nil }),
		workloadPod("ended", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		workloadPod("proxy", owner("DaemonSet")),
		workloadPod("db-0", func(p *corev1.Pod) {
			owner("StatefulSet")(p)
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
		}),
		workloadPod("alone", func(p *corev1.Pod) { p.OwnerReferences = nil; p.Spec.NodeName = ""; p.Status.Phase = corev1.PodPending }),
		&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
			Spec: policyv1.PodDisruptionBudgetSpec{Selector: &one, UnhealthyPodEvictionPolicy: &always},
			Status: policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 1, CurrentHealthy: 2, ExpectedPods: 3, Conditions: []metav1.Condition{
				{Type: policyv1.DisruptionAllowedCondition, Reason: policyv1.SyncFailedReason, Message: "found no controllers\nfor it"}}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv1"}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv1"}, Spec: corev1.PersistentVolumeSpec{NodeAffinity: local}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv2"}, Spec: corev1.PersistentVolumeSpec{NodeAffinity: local}},
	}
}

func TestWorkloads(t *testing.T) {
	w, err := (&Cluster{name: "lab", client: fake.NewClientset(workloadObjects()...)}).Workloads(t.Context())
	require.NoError(t, err)
	require.Equal(t, []forecast.Node{{Name: "w1", Labels: map[string]string{corev1.LabelHostname: "w1", "disk": "ssd"},
		Taints: []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}}}, w.Nodes, "with the labels that something selects by")
	require.Equal(t, []forecast.Volume{{Claim: "shop/data", Nodes: w.Volumes[0].Nodes}}, w.Volumes)
	require.Equal(t, forecast.Budget{Namespace: "shop", Name: "web", Selector: w.Budgets[0].Selector, AlwaysAllow: true, Desired: 1, Healthy: 2, Expected: 3,
		Failed: "found no controllers"}, w.Budgets[0])
	of := map[string]forecast.Template{}
	for _, template := range w.Templates {
		of[template.Controller.Kind] = template
	}
	require.Len(t, of, 4)
	web := of["Deployment"]
	require.Equal(t, forecast.Controller{Kind: "Deployment", Name: "web"}, web.Controller)
	require.Equal(t, map[string]string{"app": "web"}, web.Labels)
	require.Equal(t, []forecast.Pod{{Name: "web-5b6c-a", Node: "w1"}, {Name: "web-5b6c-b", Node: "w1", Unready: true}}, web.Pods)
	require.Equal(t, []forecast.Port{{Protocol: corev1.ProtocolTCP, Port: 8080}}, web.Ports)
	require.Equal(t, "100m", web.Requests.Cpu().String())
	require.True(t, web.EmptyDir)
	require.EqualValues(t, 30, web.Grace)
	require.True(t, of["DaemonSet"].Stays)
	require.Empty(t, of["DaemonSet"].NodeSelector, "where it can be does not matter")
	require.Equal(t, []int{0}, of["StatefulSet"].Pods[0].Volumes)
	require.Equal(t, []forecast.Pod{{Name: "alone", Pending: true}}, of[""].Pods)
	text := mustJSON(t, w)
	for _, not := range []string{"SECRET", "PASSWORD", "crimson", "other"} {
		require.NotContains(t, text, not)
	}
}

// TestWorkloadsThatMayNotBeSeen: what is forbidden is told, and no error; what cannot be reached is one.
func TestWorkloadsThatMayNotBeSeen(t *testing.T) {
	failing := func(resource string, err error) *Cluster {
		client := fake.NewClientset(workloadObjects()...)
		client.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
		return &Cluster{name: "lab", client: client, config: &rest.Config{}}
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "", errors.New("no"))
	w, err := failing("persistentvolumes", forbidden).Workloads(t.Context())
	require.NoError(t, err)
	require.Len(t, w.Unseen, 1)
	require.True(t, strings.HasPrefix(w.Unseen[0], "persistent volumes were not looked at, so their pods are taken to be able to run on any node: "), w.Unseen)
	require.NotEmpty(t, w.Templates)
	for _, resource := range []string{"pods", "poddisruptionbudgets", "nodes"} {
		w, err = failing(resource, forbidden).Workloads(t.Context())
		require.NoError(t, err)
		require.Empty(t, w.Nodes)
		require.Contains(t, w.Unseen[0], "what drains do to the pods was not looked at: ")
		_, err = failing(resource, errors.New("connection refused")).Workloads(t.Context())
		require.True(t, fault.Is(err, fault.Unreachable), err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
