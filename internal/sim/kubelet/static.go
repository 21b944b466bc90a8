package kubelet

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Annotations of static pods and their mirrors. Source: k8s.io/kubernetes pkg/kubelet/types.
const (
	configSource = "kubernetes.io/config.source"
	configHash   = "kubernetes.io/config.hash"
	configMirror = "kubernetes.io/config.mirror"
	configSeen   = "kubernetes.io/config.seen"
)

const (
	manifestFolder = "/etc/kubernetes/manifests"
	etcdComponent  = "etcd"
)

// staticPod is one that the container runtime runs, or just now starts or stops.
type staticPod struct {
	pod      *corev1.Pod // as its manifest has it, with the kubelet's annotations
	ready    bool
	reported bool // its mirror says that it is ready
}

// manifests keeps the static pods as the manifests say, until ctx ends. Components are worked on side by side, each by
// its own goroutine, as the kubelet's pod workers do.
func (r *run) manifests(ctx context.Context) {
	if r.opts.Endpoint == nil {
		return
	}
	look := time.NewTicker(max(50*time.Millisecond, time.Duration(float64(manifestLook)*r.m.Options().Pace)))
	defer look.Stop()
	for {
		wanted := r.readManifests()
		for _, component := range append([]string{etcdComponent}, upgrade.ControlPlaneComponents...) {
			r.keepStatic(ctx, component, wanted[component])
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// readManifests reads the pods that the manifests describe. Hidden files are passed over, as the kubelet does.
func (r *run) readManifests() map[string]*corev1.Pod {
	pods := map[string]*corev1.Pod{}
	entries, err := fs.ReadDir(r.m.FS().FS(), strings.TrimPrefix(manifestFolder, "/"))
	if err != nil {
		return pods
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
			continue
		}
		text, err := r.m.ReadFile(path.Join(manifestFolder, e.Name()))
		if err != nil {
			continue // renamed away in this moment
		}
		var pod corev1.Pod
		if err := yaml.Unmarshal(text, &pod); err != nil || len(pod.Spec.Containers) == 0 {
			continue
		}
		pods[pod.Labels["component"]] = r.complete(&pod, text)
	}
	return pods
}

// complete gives a static pod what the kubelet adds. Its hash is its identity; another minor of the kubelet defaults
// other fields and so gives the same manifest another one (seen on real nodes: all static pods restart with it).
func (r *run) complete(pod *corev1.Pod, text []byte) *corev1.Pod {
	sum := md5.Sum(append([]byte(r.m.Name()+r.v.MinorString()), text...))
	hash := hex.EncodeToString(sum[:])
	pod.Name += "-" + r.m.Name()
	pod.Namespace = metav1.NamespaceSystem
	pod.UID = types.UID(hash)
	pod.Spec.NodeName = r.m.Name()
	for key, value := range map[string]string{
		configSource: "file", configHash: hash, configSeen: time.Now().UTC().Format(time.RFC3339Nano),
	} {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, value)
	}
	return pod
}

// keepStatic brings one component to what its manifest says, if that is not done or under way.
func (r *run) keepStatic(ctx context.Context, component string, wanted *corev1.Pod) {
	have := r.staticPod(component)
	switch {
	case wanted == nil && have == nil:
		return
	case wanted != nil && have != nil && have.pod.UID == wanted.UID && have.reported:
		return
	}
	key := types.UID("static " + component)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[key] {
		return
	}
	r.busy[key] = true
	r.group.Go(func() {
		_ = r.replaceStatic(ctx, component, wanted) // tried again at the next look
		r.mu.Lock()
		delete(r.busy, key)
		r.mu.Unlock()
	})
}

// replaceStatic ends the component that runs and starts the wanted one, each with its mirror pod.
func (r *run) replaceStatic(ctx context.Context, component string, wanted *corev1.Pod) error {
	if have := r.staticPod(component); have != nil && (wanted == nil || have.pod.UID != wanted.UID) {
		if err := r.stopStatic(ctx, component, have.pod); err != nil {
			return err
		}
		if err := r.m.Sleep(ctx, staticGap); err != nil {
			return err
		}
	}
	if wanted == nil {
		return nil
	}
	have := r.staticPod(component)
	running := have != nil && have.ready
	if !running {
		r.setStatic(component, &staticPod{pod: wanted})
	}
	if err := r.createMirror(ctx, wanted, running); err != nil {
		return err
	}
	if !running {
		if err := r.m.Sleep(ctx, staticStart); err != nil {
			return err
		}
		if err := r.appear(ctx, component, wanted); err != nil {
			return err
		}
	}
	mirror, err := r.opts.Client.CoreV1().Pods(wanted.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := r.setStatus(ctx, mirror, r.runningStatus(mirror, r.opts.Address, time.Now())); err != nil {
		return err
	}
	r.setReported(component, wanted.UID)
	return nil
}

func (r *run) stopStatic(ctx context.Context, component string, pod *corev1.Pod) error {
	r.setStatic(component, &staticPod{pod: pod})
	stop := staticStop
	switch component {
	case upgrade.APIServer:
		r.opts.Endpoint.Down() // it takes no requests any more; its grace is for those that it has
		stop = serverGrace
	case etcdComponent:
		r.opts.Endpoint.Fail("member", "etcd") // it uses the member beside it
	}
	if err := r.m.Sleep(ctx, stop); err != nil {
		return err
	}
	r.setStatic(component, nil)
	return r.deleteMirror(ctx, pod)
}

// appear makes the component's service available, unless the power has gone meanwhile: Off waits for the same lock and
// comes after the end of ctx.
func (r *run) appear(ctx context.Context, component string, pod *corev1.Pod) error {
	r.Kubelet.mu.Lock()
	defer r.Kubelet.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	switch component {
	case upgrade.APIServer:
		v, _ := upgrade.ImageVersion(pod.Spec.Containers[0].Image)
		if err := r.opts.Endpoint.Up(v); err != nil {
			return err
		}
	case etcdComponent:
		r.opts.Endpoint.Fail("member", "")
	}
	r.static[component] = &staticPod{pod: pod, ready: true}
	return nil
}

// createMirror makes the mirror of a static pod. One that is left of an earlier run of the same pod is kept, and says
// that it is not ready if the pod does not run any more.
func (r *run) createMirror(ctx context.Context, pod *corev1.Pod, running bool) error {
	pods := r.opts.Client.CoreV1().Pods(pod.Namespace)
	mirror := pod.DeepCopy()
	mirror.UID = ""
	mirror.Annotations[configMirror] = pod.Annotations[configHash]
	_, err := pods.Create(ctx, mirror, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	old, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if old.Annotations[configMirror] == mirror.Annotations[configMirror] {
		if ready(old) && !running {
			return r.setStatus(ctx, old, corev1.PodStatus{Conditions: notReady()})
		}
		return nil
	}
	if err := r.deleteMirror(ctx, pod); err != nil {
		return err
	}
	_, err = pods.Create(ctx, mirror, metav1.CreateOptions{})
	return err
}

func (r *run) deleteMirror(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	err := r.opts.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (k *Kubelet) staticPod(component string) *staticPod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.static[component]
}

func (k *Kubelet) setStatic(component string, s *staticPod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s == nil {
		delete(k.static, component)
		return
	}
	k.static[component] = s
}

func (k *Kubelet) setReported(component string, uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.static[component]; s != nil && s.pod.UID == uid {
		s.reported = true
	}
}
