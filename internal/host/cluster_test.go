package host_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"path"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// cluster is an API without anything behind it, for the programs on simulated machines.
type cluster struct{ *fake.Clientset }

func newCluster(v upgrade.Version) cluster {
	c := cluster{fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: meta("kubeadm-config"), Data: map[string]string{"ClusterConfiguration": machine.ClusterConfiguration(v)}},
		&corev1.ConfigMap{ObjectMeta: meta("kubelet-config"), Data: map[string]string{"kubelet": machine.KubeletConfiguration}},
		&appsv1.Deployment{ObjectMeta: meta("coredns"), Spec: appsv1.DeploymentSpec{Template: template("coredns", "registry.k8s.io/coredns/coredns:v1.14.2")}},
		&appsv1.DaemonSet{ObjectMeta: meta("kube-proxy"), Spec: appsv1.DaemonSetSpec{Template: template("kube-proxy", "registry.k8s.io/kube-proxy:"+v.String())}},
	)}
	c.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &apiversion.Info{GitVersion: v.String()}
	return c
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "kube-system"}
}

func template(container, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: container, Image: image}}}}
}

// add makes the machine a node of the cluster.
func (c cluster) add(o *machine.Options) {
	labels := map[string]string{}
	if o.Role.IsControlPlane() {
		labels["node-role.kubernetes.io/control-plane"] = ""
	}
	_, _ = c.CoreV1().Nodes().Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: o.Name, Labels: labels}}, metav1.CreateOptions{})
	o.API = func() kubernetes.Interface { return c }
	o.Kubelet = c.kubelet
}

// kubelet is a kubelet that knows static pods and nothing else. It completes all Jobs, too.
func (c cluster) kubelet(ctx context.Context, m *machine.Machine, v upgrade.Version) error {
	node, err := c.CoreV1().Nodes().Get(ctx, m.Name(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	node.Status.NodeInfo.KubeletVersion = v.String()
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if _, err := c.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		for _, component := range []string{"etcd", upgrade.APIServer, upgrade.ControllerManager, upgrade.Scheduler} {
			if err := c.staticPod(ctx, m, component); err != nil {
				return err
			}
		}
		jobs, err := c.BatchV1().Jobs("kube-system").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, job := range jobs.Items {
			job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
			if _, err := c.BatchV1().Jobs("kube-system").UpdateStatus(ctx, &job, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		_ = m.Sleep(ctx, time.Second)
	}
	return nil
}

// staticPod makes the mirror pod what the manifest says.
func (c cluster) staticPod(ctx context.Context, m *machine.Machine, component string) error {
	pods, name := c.CoreV1().Pods("kube-system"), component+"-"+m.Name()
	manifest, err := m.ReadFile("/etc/kubernetes/manifests/" + component + ".yaml")
	if err != nil { // taken away
		if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			return err
		}
		return nil
	}
	sum := md5.Sum(manifest)
	hash := hex.EncodeToString(sum[:])
	old, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err == nil && old.Annotations["kubernetes.io/config.hash"] == hash {
		return nil
	}
	if err == nil {
		_ = pods.Delete(ctx, name, metav1.DeleteOptions{})
		_ = m.Sleep(ctx, 9*time.Second)
	}
	var pod corev1.Pod
	if err := yaml.Unmarshal(manifest, &pod); err != nil {
		return nil //nolint:nilerr // the kubelet passes over what is not whole
	}
	pod.Name, pod.Spec.NodeName = name, m.Name()
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations["kubernetes.io/config.hash"] = hash
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	_, err = pods.Create(ctx, &pod, metav1.CreateOptions{})
	return err
}

// configured is the version that kubeadm-config names.
func (c cluster) configured(t *testing.T) string {
	t.Helper()
	cm, err := c.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "kubeadm-config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(cm.Data["ClusterConfiguration"], "kubernetesVersion: ")
	v, _, _ := strings.Cut(rest, "\n")
	return v
}

// addons are the versions of CoreDNS and kube-proxy.
func (c cluster) addons(t *testing.T) string {
	t.Helper()
	d, err := c.AppsV1().Deployments("kube-system").Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.AppsV1().DaemonSets("kube-system").Get(t.Context(), "kube-proxy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return path.Base(d.Spec.Template.Spec.Containers[0].Image) + " " + path.Base(p.Spec.Template.Spec.Containers[0].Image)
}

// controlPlane makes a simulated control plane node of the cluster with kubeadm 1.37.2.
func (c cluster) controlPlane(t *testing.T, name string, role upgrade.Role, hook func(context.Context, machine.Event)) *bed {
	t.Helper()
	b := simulated(t, func(o *machine.Options) {
		o.Name, o.Role, o.Pace, o.Hook = name, role, 0.02, hook
		c.add(o)
	})
	if err := b.host.Install(t.Context(), b.repository, v137, "kubeadm"); err != nil {
		t.Fatal(err)
	}
	return b
}
