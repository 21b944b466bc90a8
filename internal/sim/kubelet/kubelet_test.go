package kubelet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/cert"

	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const pace = 0.01

var (
	v136 = upgrade.MustVersion("v1.36.3")
	v137 = upgrade.MustVersion("v1.37.2")
)

// node is a kubelet on a machine that is on, with a fake cluster.
type node struct {
	*Kubelet
	t        *testing.T
	client   *fake.Clientset
	machine  *machine.Machine
	endpoint *endpoint.Endpoint
}

// start makes a node of its own cluster and returns when it is registered and its static pods are ready.
func start(t *testing.T, role upgrade.Role) *node {
	t.Helper()
	n := &node{t: t, client: fake.NewClientset()}
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	require.NoError(t, err)
	dir := t.TempDir()
	o := Options{Client: n.client, Labels: map[string]string{"a": "b"}, Address: "198.18.0.1", Certificate: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	require.NoError(t, os.WriteFile(o.Certificate, certificate, 0o600))
	require.NoError(t, os.WriteFile(o.Key, key, 0o600))
	balanced := fake.NewClientset()
	balanced.PrependWatchReactor("*", func(clienttesting.Action) (bool, watch.Interface, error) {
		return true, nil, errors.New("nobody is there") // a fake watch does not end with its context
	})
	o.Balanced = balanced
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	o.Pods, err = WatchPods(ctx, n.client)
	require.NoError(t, err)
	if role.IsControlPlane() {
		n.endpoint, err = endpoint.New(&rest.Config{Host: "https://127.0.0.1:1"}, o.Certificate, o.Key)
		require.NoError(t, err)
		t.Cleanup(n.endpoint.Down)
		o.Endpoint = n.endpoint
	}
	n.Kubelet, err = New(o)
	require.NoError(t, err)
	n.machine, err = machine.New(machine.Options{
		Name: "n1", Dir: t.TempDir(), Role: role, Version: v136, Offered: []upgrade.Version{v136, v137}, Pace: pace, Kubelet: n.Run,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.machine.Close() })
	n.machine.Watch(func(up bool) {
		if !up {
			n.Off()
		}
	})
	n.machine.Start()
	n.await("the node is Ready", func() bool { return n.reportedVersion() == v136.String() })
	if role.IsControlPlane() {
		n.awaitStatic()
	}
	return n
}

func (n *node) await(what string, ok func() bool) {
	n.t.Helper()
	require.Eventually(n.t, ok, 20*time.Second, 5*time.Millisecond, what)
}

// never requires that something stays away for longer than it would take.
func (n *node) never(what string, happens func() bool) {
	n.t.Helper()
	require.Never(n.t, happens, 300*time.Millisecond, 5*time.Millisecond, what)
}

// reportedVersion is the version of the kubelet that the node reports while it is Ready.
func (n *node) reportedVersion() string {
	o, err := n.client.CoreV1().Nodes().Get(n.t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return o.Status.NodeInfo.KubeletVersion
		}
	}
	return ""
}

func (n *node) sh(line string) {
	n.t.Helper()
	require.Zero(n.t, n.machine.Run(context.Background(), line, "root", nil, nil, nil), line)
}

// install installs a kubelet of the next minor.
func (n *node) install() {
	n.t.Helper()
	const sources = "/etc/apt/sources.list.d/kubernetes.list"
	text, err := n.machine.ReadFile(sources)
	require.NoError(n.t, err)
	require.NoError(n.t, n.machine.WriteFile(sources, []byte(strings.ReplaceAll(string(text), "v1.36", "v1.37")), 0o644))
	n.sh("apt-get update && apt-get install --yes --allow-change-held-packages kubelet=1.37.2-1.1")
}

// pod is a pod as the API server has it, nil when it is not there.
func (n *node) pod(namespace, name string) *corev1.Pod {
	p, err := n.client.CoreV1().Pods(namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(n.t, err)
	return p
}

func (n *node) podReady(name string) bool {
	p := n.pod("shop", name)
	return p != nil && p.Status.Phase == corev1.PodRunning && ready(p)
}

// mirror is the mirror of a component's static pod, nil when there is none that is ready.
func (n *node) mirror(component string) *corev1.Pod {
	p := n.pod(metav1.NamespaceSystem, component+"-n1")
	if p == nil || !ready(p) {
		return nil
	}
	return p
}

func (n *node) awaitStatic() {
	n.t.Helper()
	n.await("all static pods are ready", func() bool {
		for _, component := range append([]string{etcdComponent}, upgrade.ControlPlaneComponents...) {
			if n.mirror(component) == nil {
				return false
			}
		}
		return n.endpoint.Ready() && n.EtcdUp()
	})
}

// bind makes a pod on the node.
func (n *node) bind(name string, change func(*corev1.Pod)) {
	n.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid of " + name)},
		Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "registry.k8s.io/pause:3.10"}}},
	}
	if change != nil {
		change(p)
	}
	_, err := n.client.CoreV1().Pods("shop").Create(n.t.Context(), p, metav1.CreateOptions{})
	require.NoError(n.t, err)
}

// remove asks for the pod's end as the API server does: the fake one would delete it at once.
func (n *node) remove(name string, grace int64) {
	n.t.Helper()
	p := n.pod("shop", name)
	now := metav1.Now()
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.Finalizers = &now, &grace, []string{"a fake needs one"}
	_, err := n.client.CoreV1().Pods("shop").Update(n.t.Context(), p, metav1.UpdateOptions{})
	require.NoError(n.t, err)
}

func TestNode(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.Worker)
	o, err := n.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "b", o.Labels["a"])
	require.NotContains(t, o.Labels, controlPlaneLabel)
	require.Empty(t, o.Spec.Taints)
	require.Equal(t, "198.18.0.1", o.Status.Addresses[0].Address)
	require.EqualValues(t, Port, o.Status.DaemonEndpoints.KubeletEndpoint.Port)
	require.Equal(t, n.machine.BootID(), o.Status.NodeInfo.BootID)
	n.await("its lease is there", func() bool {
		lease, err := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "n1", metav1.GetOptions{})
		return err == nil && *lease.Spec.HolderIdentity == "n1"
	})

	// Another version is reported when the kubelet is another process, not before, and what belongs to others stays.
	o.Spec.Unschedulable = true
	_, err = n.client.CoreV1().Nodes().Update(t.Context(), o, metav1.UpdateOptions{})
	require.NoError(t, err)
	n.install()
	require.Equal(t, v136.String(), n.reportedVersion())
	n.sh("systemctl restart kubelet")
	n.await("the new version is reported", func() bool { return n.reportedVersion() == v137.String() })
	o, err = n.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	require.NoError(t, err)
	require.True(t, o.Spec.Unschedulable, "a cordon stays")
}

func TestControlPlaneNode(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.FirstControlPlane)
	o, err := n.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	require.NoError(t, err)
	require.Contains(t, o.Labels, controlPlaneLabel)
	require.Equal(t, []corev1.Taint{{Key: controlPlaneLabel, Effect: corev1.TaintEffectNoSchedule}}, o.Spec.Taints)
}

func TestPods(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.Worker)
	n.bind("web", nil)
	n.await("it becomes ready", func() bool { return n.podReady("web") })
	p := n.pod("shop", "web")
	require.Equal(t, corev1.PodRunning, p.Status.Phase)
	require.NotEmpty(t, p.Status.PodIP)
	require.Equal(t, "198.18.0.1", p.Status.HostIP)
	require.True(t, p.Status.ContainerStatuses[0].Ready)

	n.bind("elsewhere", func(p *corev1.Pod) { p.Spec.NodeName = "n2" })
	n.bind("unbound", func(p *corev1.Pod) { p.Spec.NodeName = "" })
	n.bind("job", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever })
	n.await("a pod that ends succeeds", func() bool { return n.pod("shop", "job").Status.Phase == corev1.PodSucceeded })
	job := n.pod("shop", "job")
	require.False(t, ready(job))
	require.Equal(t, "Completed", job.Status.ContainerStatuses[0].State.Terminated.Reason)
	n.bind("fails", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Containers[0].Command = []string{"sh", "-c", "echo one; sleep 1; reboot; exit 3"}
	})
	n.await("a pod whose command fails has failed", func() bool { return n.pod("shop", "fails").Status.Phase == corev1.PodFailed })
	failed := n.pod("shop", "fails").Status.ContainerStatuses[0]
	require.EqualValues(t, 3, failed.State.Terminated.ExitCode)
	n.mu.Lock()
	require.Equal(t, "one\nsh: reboot: not found\n", string(n.logs["shop/fails/"+failed.Name]), "a container has no programs of the host's")
	n.mu.Unlock()
	n.bind("again", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		p.Spec.Containers[0].Command = []string{"sh", "-c", "exit 1"}
	})
	n.await("one that is to be started again is", func() bool {
		all := n.pod("shop", "again").Status.ContainerStatuses
		return len(all) > 0 && all[0].RestartCount > 1
	})
	n.never("it goes for its own pods only", func() bool { return n.podReady("elsewhere") || n.podReady("unbound") })

	n.bind("gated", func(p *corev1.Pod) {
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/open"}}
	})
	n.await("it runs", func() bool { return n.pod("shop", "gated").Status.Phase == corev1.PodRunning })
	n.never("its gate is closed", func() bool { return n.podReady("gated") })
	gated := n.pod("shop", "gated")
	gated.Status.Conditions = append(gated.Status.Conditions, corev1.PodCondition{Type: "example.com/open", Status: corev1.ConditionTrue})
	_, err := n.client.CoreV1().Pods("shop").UpdateStatus(t.Context(), gated, metav1.UpdateOptions{})
	require.NoError(t, err)
	n.await("its gate is open", func() bool { return n.podReady("gated") })

	// Its status is not its containers: what others write there is put right.
	p.Status.Conditions = notReady()
	_, err = n.client.CoreV1().Pods("shop").UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
	require.NoError(t, err)
	n.await("it is ready again", func() bool { return n.podReady("web") })
}

func TestPodsEnd(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.Worker)
	for name, c := range map[string]struct {
		grace int64
		takes time.Duration // on a real node, at least
	}{
		"patient":   {grace: 30, takes: podStop},
		"impatient": {grace: 0},
	} {
		n.bind(name, nil)
		n.await("it becomes ready", func() bool { return n.podReady(name) })
		began := time.Now()
		n.remove(name, c.grace)
		n.await("it is gone", func() bool { return n.pod("shop", name) == nil })
		require.GreaterOrEqual(t, time.Since(began), time.Duration(float64(c.takes)*pace), name)
		require.Less(t, time.Since(began), 5*time.Second, name)
	}

	// While the kubelet is away nobody lets go of a pod; the next one does.
	n.bind("web", nil)
	n.await("it becomes ready", func() bool { return n.podReady("web") })
	n.sh("systemctl stop kubelet")
	n.remove("web", 0)
	n.never("it goes", func() bool { return n.pod("shop", "web") == nil })
	n.sh("systemctl start kubelet")
	n.await("it is gone", func() bool { return n.pod("shop", "web") == nil })
}

// What was not to be done at first is done later.
func TestPodsAreTriedAgain(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.Worker)
	var refused atomic.Bool
	n.client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return !refused.Swap(true), nil, errors.New("the API server is away")
	})
	n.bind("web", nil)
	n.await("it becomes ready", func() bool { return n.podReady("web") })
	require.True(t, refused.Load())
}

// A restart of the kubelet leaves containers alone; without power they are gone and run again afterwards.
func TestContainersLiveAsLongAsThePower(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.FirstControlPlane)
	n.bind("web", nil)
	n.await("it becomes ready", func() bool { return n.podReady("web") })
	since := n.pod("shop", "web").Status.StartTime
	hash := n.mirror(upgrade.APIServer).Annotations[configHash]
	var lost atomic.Bool // whether anything was seen not to be ready
	watching, stop := context.WithCancel(t.Context())
	go func() {
		for watching.Err() == nil {
			if !n.podReady("web") || n.mirror(upgrade.APIServer) == nil || !n.endpoint.Ready() {
				lost.Store(true)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	n.sh("systemctl restart kubelet")
	n.await("the kubelet runs", func() bool { _, ok := n.machine.KubeletRuns(); return ok })
	time.Sleep(200 * time.Millisecond)
	stop()
	require.False(t, lost.Load(), "a restart of the kubelet leaves containers alone")
	require.Equal(t, since, n.pod("shop", "web").Status.StartTime)

	n.machine.Stop()
	require.False(t, n.endpoint.Ready(), "the API server is gone with the power")
	require.False(t, n.EtcdUp(), "and etcd")
	n.never("anything comes back by itself", func() bool { return n.endpoint.Ready() || n.EtcdUp() })
	n.machine.Start()
	n.await("the pod is found not to run", func() bool { return !n.podReady("web") })
	n.awaitStatic()
	n.await("the pod runs again", func() bool { return n.podReady("web") })
	require.Equal(t, hash, n.mirror(upgrade.APIServer).Annotations[configHash], "the static pod is the same")
}

func TestStaticPods(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.FirstControlPlane)
	old := n.mirror(upgrade.APIServer)
	require.Equal(t, old.Annotations[configHash], old.Annotations[configMirror])
	require.Equal(t, "file", old.Annotations[configSource])
	require.Equal(t, "registry.k8s.io/kube-apiserver:v1.36.3", old.Spec.Containers[0].Image)
	require.Equal(t, v136, n.endpoint.Version())
	scheduler := n.mirror(upgrade.Scheduler).Annotations[configHash]

	replace := func(component string, v upgrade.Version) {
		t.Helper()
		manifest := machine.Manifest(component, v, "n1", n.endpoint.Address())
		require.NoError(t, n.machine.WriteFile("/etc/kubernetes/manifests/"+component+".yaml", manifest, 0o600))
	}
	replace(upgrade.APIServer, v137)
	n.await("the API server goes", func() bool { return !n.endpoint.Ready() })
	n.await("its mirror goes", func() bool {
		p := n.pod(metav1.NamespaceSystem, old.Name)
		return p == nil || p.Annotations[configHash] != old.Annotations[configHash]
	})
	require.False(t, n.endpoint.Ready())
	n.awaitStatic()
	now := n.mirror(upgrade.APIServer)
	require.NotEqual(t, old.Annotations[configHash], now.Annotations[configHash])
	require.Equal(t, now.Annotations[configHash], now.Annotations[configMirror])
	require.Equal(t, "registry.k8s.io/kube-apiserver:v1.37.2", now.Spec.Containers[0].Image)
	require.Equal(t, v137, n.endpoint.Version())
	require.Equal(t, scheduler, n.mirror(upgrade.Scheduler).Annotations[configHash], "the others stay")

	t.Run("etcd takes the API server's health with it", func(t *testing.T) {
		hash := n.mirror(etcdComponent).Annotations[configHash]
		manifest, err := n.machine.ReadFile("/etc/kubernetes/manifests/etcd.yaml")
		require.NoError(t, err)
		n.endpoint.Fail("fault", "shutdown") // a fault has nothing to do with it
		require.NoError(t, n.machine.WriteFile("/etc/kubernetes/manifests/etcd.yaml", append(manifest, "# changed\n"...), 0o600))
		n.await("etcd goes", func() bool { return !n.EtcdUp() })
		n.await("etcd is back", func() bool {
			m := n.mirror(etcdComponent)
			return n.EtcdUp() && m != nil && m.Annotations[configHash] != hash
		})
		require.False(t, n.endpoint.Ready(), "the fault stays")
		n.endpoint.Fail("fault", "")
		require.True(t, n.endpoint.Ready())
	})
	t.Run("one whose manifest is taken away ends", func(t *testing.T) {
		require.NoError(t, n.machine.Rename("/etc/kubernetes/manifests/kube-scheduler.yaml", "/root/kube-scheduler.yaml"))
		n.await("it goes", func() bool { return n.pod(metav1.NamespaceSystem, "kube-scheduler-n1") == nil })
		require.NoError(t, n.machine.Rename("/root/kube-scheduler.yaml", "/etc/kubernetes/manifests/kube-scheduler.yaml"))
		n.awaitStatic()
	})
	t.Run("hidden files and others that are no manifests", func(t *testing.T) {
		for name, text := range map[string]string{".kube-scheduler.yaml.tmp": "", "kube-scheduler.bak": "no: pod", "broken.yaml": "{"} {
			require.NoError(t, n.machine.WriteFile("/etc/kubernetes/manifests/"+name, []byte(text), 0o600))
		}
		n.never("it minds", func() bool { return n.mirror(upgrade.Scheduler) == nil })
	})
	t.Run("a kubelet of another minor restarts them all", func(t *testing.T) {
		before := n.mirror(upgrade.Scheduler).Annotations[configHash]
		n.install()
		n.sh("systemctl restart kubelet")
		n.await("the hash is another", func() bool { m := n.mirror(upgrade.Scheduler); return m != nil && m.Annotations[configHash] != before })
		n.awaitStatic()
	})
}

// kubeadm writes etcd's manifest anew with the same content when only its certificates have changed.
func TestEqualManifest(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.FirstControlPlane)
	const file = "/etc/kubernetes/manifests/etcd.yaml"
	hash := n.mirror(etcdComponent).Annotations[configHash]
	manifest, err := n.machine.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, n.machine.WriteFile("/root/etcd.yaml", manifest, 0o600))
	require.NoError(t, n.machine.Rename("/root/etcd.yaml", file))
	n.never("it is restarted for no reason", func() bool { return !n.EtcdUp() || n.mirror(etcdComponent) == nil })

	// The kubelet may look in the moment in which there is none: then etcd goes, and comes back as the same.
	require.NoError(t, n.machine.Rename(file, "/root/etcd.yaml"))
	n.await("etcd goes", func() bool { return !n.EtcdUp() })
	require.NoError(t, n.machine.Rename("/root/etcd.yaml", file))
	n.awaitStatic()
	require.Equal(t, hash, n.mirror(etcdComponent).Annotations[configHash])
}

// What the API server refuses once is done at the next look.
func TestStaticPodsAreTriedAgain(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.FirstControlPlane)
	var refusals atomic.Int32
	n.client.PrependReactor("*", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		// Each kind of request once, at the most unsuitable moment.
		for i, verb := range []string{"delete", "create", "patch"} {
			if action.GetVerb() == verb && refusals.CompareAndSwap(int32(i), int32(i+1)) {
				return true, nil, errors.New("the API server is away")
			}
		}
		return false, nil, nil
	})
	hash := n.mirror(upgrade.Scheduler).Annotations[configHash]
	manifest := machine.Manifest(upgrade.Scheduler, v137, "n1", n.endpoint.Address())
	require.NoError(t, n.machine.WriteFile("/etc/kubernetes/manifests/kube-scheduler.yaml", manifest, 0o600))
	n.await("the new one is ready", func() bool { m := n.mirror(upgrade.Scheduler); return m != nil && m.Annotations[configHash] != hash })
	require.EqualValues(t, 3, refusals.Load())
}

// The kubelet's own API serves static pods as their manifests have them, and answers only while the kubelet runs.
func TestAPI(t *testing.T) {
	t.Parallel()
	n := start(t, upgrade.FirstControlPlane)
	n.bind("web", nil)
	n.await("it becomes ready", func() bool { return n.podReady("web") })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := client.Get("https://" + n.API() + "/pods")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var list corev1.PodList
	require.NoError(t, json.NewDecoder(response.Body).Decode(&list))
	var names []string
	for _, p := range list.Items {
		names = append(names, p.Name)
		require.True(t, ready(&p), p.Name)
		require.NotContains(t, p.Annotations, configMirror, p.Name)
	}
	require.ElementsMatch(t, []string{"web", "etcd-n1", "kube-apiserver-n1", "kube-controller-manager-n1", "kube-scheduler-n1"}, names)
	n.sh("systemctl stop kubelet")
	_, err = client.Get("https://" + n.API() + "/pods")
	require.ErrorContains(t, err, "connection refused")
}
