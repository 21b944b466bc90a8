package kube

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestRestartFargate restarts the workloads of a simulated cluster, whose API, controllers and scheduler are the real ones. w1
// stands for Fargate: no pod comes back to it, as none ever does to a node of Fargate.
func TestRestartFargate(t *testing.T) {
	b, c := simulated(t, bed.Options{ControlPlanes: 1, Workers: 2})
	c.RunByProvider()
	ctx, api := t.Context(), b.Client()
	pod := func(app string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
			Spec: corev1.PodSpec{NodeSelector: map[string]string{corev1.LabelHostname: "w1"}, Containers: []corev1.Container{{Name: app, Image: "registry.k8s.io/pause:3.10.2"}}}}
	}
	set := func(name string, by appsv1.StatefulSetUpdateStrategyType) {
		two, template := int32(2), pod(name)
		template.Spec.NodeSelector = nil
		_, err := api.AppsV1().StatefulSets(bed.Namespace).Create(ctx, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.StatefulSetSpec{
			Replicas: &two, Selector: metav1.SetAsLabelSelector(template.Labels), Template: template, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: by}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	unschedulable := func(node string, is bool) {
		patch := []byte(`{"spec":{"unschedulable":` + map[bool]string{true: "true", false: "false"}[is] + `}}`)
		_, err := api.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
		require.NoError(t, err)
	}
	unschedulable("w2", true) // so that all of these begin on w1
	set("db", appsv1.RollingUpdateStatefulSetStrategyType)
	set("by-hand", appsv1.OnDeleteStatefulSetStrategyType)
	bare := pod("bare")
	_, err := api.CoreV1().Pods(bed.Namespace).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bare"}, Spec: bare.Spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	job := pod("once")
	job.Spec.RestartPolicy, job.Spec.Containers[0].Command = corev1.RestartPolicyNever, []string{"sh", "-c", "sleep 600"}
	_, err = api.BatchV1().Jobs(bed.Namespace).Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: batchv1.JobSpec{Template: job}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		pods, err := api.CoreV1().Pods(bed.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=w1,status.phase=Running"})
		ours := slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.Labels["app"] == "" && p.Name != "bare" })
		return err == nil && len(ours) == 6
	}, time.Minute, 100*time.Millisecond, "two of each StatefulSet, the bare one and the Job's")
	unschedulable("w2", false)
	unschedulable("w1", true)

	now, err := c.RestartFargate(ctx, upgrade.MustVersion("v1.37.0").Whole(), time.Now())
	require.NoError(t, err)
	require.Equal(t, upgrade.Restart{}, now, "there is no Fargate")
	_, err = api.CoreV1().Nodes().Patch(ctx, "w1", types.MergePatchType, []byte(`{"metadata":{"labels":{"eks.amazonaws.com/compute-type":"fargate"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	now, err = c.RestartFargate(ctx, upgrade.MustVersion("v1.36.0").Whole(), time.Now())
	require.NoError(t, err)
	require.Equal(t, upgrade.Restart{}, now, "its kubelet is not older")

	since := time.Now().Add(-time.Minute)
	before := generations(t, b)
	now, err = c.RestartFargate(ctx, upgrade.MustVersion("v1.37.0").Whole(), since)
	require.NoError(t, err)
	restarted := now.Waiting
	require.Subset(t, restarted, []string{"shop/db", "shop/web"})
	require.Equal(t, []string{"shop/bare (of no workload)", "shop/by-hand (updated on delete)", "shop/once (Job)"}, now.Left)
	require.Eventually(t, func() bool {
		now, err = c.RestartFargate(ctx, upgrade.MustVersion("v1.37.0").Whole(), since) // each time as after a restart of pawl
		return err == nil && len(now.Waiting) == 0
	}, 2*time.Minute, 200*time.Millisecond, "%v", &now)
	require.Len(t, now.Left, 3)
	for name, generation := range generations(t, b) {
		want := before[name]
		if slices.Contains(restarted, name) {
			want++
		}
		require.Equal(t, want, generation, "%s is changed once, and only if it had pods there", name)
	}
}

// generations are how often each Deployment and StatefulSet was changed.
func generations(t *testing.T, b *bed.Bed) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	deployments, err := b.Client().AppsV1().Deployments("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, d := range deployments.Items {
		all[d.Namespace+"/"+d.Name] = d.Generation
	}
	sets, err := b.Client().AppsV1().StatefulSets("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, s := range sets.Items {
		all[s.Namespace+"/"+s.Name] = s.Generation
	}
	return all
}
