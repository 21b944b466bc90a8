package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	criSocket         = "kubeadm.alpha.kubernetes.io/cri-socket"
)

// reports registers the node, reports its status at once and renews its lease until ctx ends.
func (r *run) reports(ctx context.Context) {
	const full = time.Minute // how often the whole status is reported when nothing has changed
	var reported time.Time
	lease := time.NewTicker(LeaseEvery)
	defer lease.Stop()
	for {
		if time.Since(reported) > full && r.report(ctx) == nil {
			reported = time.Now()
		}
		_ = r.renew(ctx) // the next time
		select {
		case <-ctx.Done():
			return
		case <-lease.C:
		}
	}
}

// report registers the node if need be and writes its status.
func (r *run) report(ctx context.Context) error {
	nodes := r.opts.Client.CoreV1().Nodes()
	_, err := nodes.Get(ctx, r.m.Name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = nodes.Create(ctx, r.node(), metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"status": r.nodeStatus()})
	if err != nil {
		return err
	}
	_, err = nodes.Patch(ctx, r.m.Name(), types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func (r *run) node() *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        r.m.Name(),
		Labels:      map[string]string{corev1.LabelHostname: r.m.Name(), corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
		Annotations: map[string]string{criSocket: "unix:///run/containerd/containerd.sock"},
	}}
	for key, value := range r.opts.Labels {
		n.Labels[key] = value
	}
	if r.opts.Endpoint != nil {
		n.Labels[controlPlaneLabel] = ""
		n.Spec.Taints = []corev1.Taint{{Key: controlPlaneLabel, Effect: corev1.TaintEffectNoSchedule}}
	}
	return n
}

func (r *run) nodeStatus() corev1.NodeStatus {
	now := metav1.Now()
	condition := func(t corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: t, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi"),
		corev1.ResourcePods: resource.MustParse("110"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
	return corev1.NodeStatus{
		Capacity: room, Allocatable: room,
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"),
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		},
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: r.opts.Address}, {Type: corev1.NodeHostName, Address: r.m.Name()}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: Port}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: r.v.String(), BootID: r.m.BootID(), MachineID: r.m.Name(), SystemUUID: r.m.Name(), OperatingSystem: "linux", Architecture: "amd64",
			OSImage: "Debian GNU/Linux 12 (bookworm), simulated", KernelVersion: "6.1.0", ContainerRuntimeVersion: "containerd://2.3.7",
		},
	}
}

// renew renews the node's lease, from which the node lifecycle controller knows that the kubelet lives.
func (r *run) renew(ctx context.Context) error {
	leases := r.opts.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	seconds := int32(40)
	now := metav1.NowMicro()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"renewTime": now}})
	if err != nil {
		return err
	}
	_, err = leases.Patch(ctx, r.m.Name(), types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		name := r.m.Name()
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
	}
	return err
}

// startPod runs a pod's containers and reports them Ready.
func (r *run) startPod(ctx context.Context, p *corev1.Pod) error {
	if !r.runs(p.UID) {
		if ready(p) { // it was, before the machine lost its power
			if err := r.setStatus(ctx, p, corev1.PodStatus{Conditions: notReady()}); err != nil {
				return err
			}
		}
		if err := r.m.Sleep(ctx, podStart); err != nil {
			return err
		}
		r.setRuns(p.UID, true)
	}
	if p.Spec.RestartPolicy == corev1.RestartPolicyNever || p.Spec.RestartPolicy == corev1.RestartPolicyOnFailure {
		return r.runToEnd(ctx, p)
	}
	return r.setStatus(ctx, p, r.runningStatus(p, r.podAddress(p), time.Now()))
}

// stopPod ends a pod's containers and then lets go of the pod.
func (r *run) stopPod(ctx context.Context, p *corev1.Pod) error {
	if r.runs(p.UID) {
		grace := podStop
		if p.DeletionGracePeriodSeconds != nil {
			grace = min(grace, time.Duration(*p.DeletionGracePeriodSeconds)*time.Second)
		}
		if err := r.m.Sleep(ctx, grace); err != nil {
			return err
		}
		r.setRuns(p.UID, false)
	}
	now := int64(0)
	err := r.opts.Client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(p.UID)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (r *run) setStatus(ctx context.Context, p *corev1.Pod, s corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID}, "status": s})
	if err != nil {
		return err
	}
	_, err = r.opts.Client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// podAddress is made of the pod's identity: nobody routes to it.
func (r *run) podAddress(p *corev1.Pod) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.UID))
	sum := h.Sum32()
	return fmt.Sprintf("10.244.%d.%d", sum>>8&0xff, sum&0xff)
}

// runningStatus is that of a pod whose containers run and are ready. The pod is not while its readiness gates are closed.
func (r *run) runningStatus(p *corev1.Pod, address string, since time.Time) corev1.PodStatus {
	start := metav1.NewTime(since)
	s := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}, HostIP: r.opts.Address, StartTime: &start}
	for _, t := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		c := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: start}
		if t == corev1.PodReady && !gatesPassed(p) {
			c.Status, c.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		}
		s.Conditions = append(s.Conditions, c)
	}
	yes := true
	for _, c := range p.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: true, Started: &yes, ContainerID: "containerd://" + string(p.UID) + c.Name,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: start}},
		})
	}
	return s
}

func notReady() []corev1.PodCondition {
	now := metav1.Now()
	return []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: now},
		{Type: corev1.ContainersReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: now},
	}
}

// gatesPassed reports whether all conditions are true that the pod's readiness waits for beside its containers.
func gatesPassed(p *corev1.Pod) bool {
	return !slices.ContainsFunc(p.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool {
		return !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == g.ConditionType && c.Status == corev1.ConditionTrue
		})
	})
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
