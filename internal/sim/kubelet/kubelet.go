// Package kubelet models the kubelets of a simulated cluster: each registers its node, renews its lease, reports its
// version, runs the pods that the real scheduler binds to it, honours their grace, keeps the static pods of its
// machine's manifests with their mirrors, and serves the part of its API that the API server proxies.
//
// Rule: a kubelet does what its machine lets it. It stops with its process, and what its containers do stops with the
// machine's power. KWOK is not used: its kubelets know no process that can be restarted, no manifests and no static
// pods, which are what an upgrade of a control plane is about.
package kubelet

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// LeaseEvery is how often a kubelet renews its node's lease: four times within the patience of the controller-manager.
const LeaseEvery = controlplane.NodeMonitorGracePeriod / 4

// How long things take on a small real node.
const (
	startUp      = 2 * time.Second  // of the kubelet, until its first report
	podStart     = 3 * time.Second  // from the binding to Ready
	podStop      = 2 * time.Second  // from SIGTERM to the end, for a pod that obeys it
	staticStop   = 2 * time.Second  // of a static pod other than the API server
	serverGrace  = 30 * time.Second // the API server uses all of it
	staticGap    = 10 * time.Second // what the kubelet leaves between the old static pod and the new one: 9 to 37 s
	staticStart  = 5 * time.Second  // from the start of the container to Ready
	manifestLook = 500 * time.Millisecond
)

// Etcd is the cluster's etcd, as the node's etcdctl reaches it.
type Etcd interface {
	// Health is what `etcdctl endpoint health --cluster --write-out=json` prints.
	Health() (string, error)
	// MemberStatus is what `etcdctl endpoint status --cluster --write-out=json` prints; an error beside it is of members
	// that do not answer.
	MemberStatus(ctx context.Context) (string, error)
	// Save writes a snapshot to a file of this computer.
	Save(ctx context.Context, file string) (string, error)
	// Status is what `etcdutl snapshot status --write-out=json` prints of a file of this computer.
	Status(ctx context.Context, file string) (string, error)
}

// Options say what node a kubelet is for.
type Options struct {
	Client   kubernetes.Interface // the kubelet's, to the real API server
	Balanced kubernetes.Interface // kube-proxy's, to the load balancer
	Pods     *Pods
	Etcd     Etcd
	Endpoint *endpoint.Endpoint // of the node's API server; nil on workers
	Labels   map[string]string
	Address  string // of the node, which the API server reaches through the network
	// Certificate and Key are for the kubelet's own API.
	Certificate, Key string
}

// Kubelet is one node's kubelet, and what its machine's container runtime keeps between two runs of it.
type Kubelet struct {
	opts Options
	api  string // where it listens, host:port

	mu      sync.Mutex
	boot    string                // the machine's boot that the containers belong to
	started map[types.UID]bool    // pods whose containers run
	static  map[string]*staticPod // by component
	logs    map[string][]byte     // of containers that end: namespace/pod/container
}

// New makes the kubelet of a node. Its Run is what the machine calls.
func New(o Options) (*Kubelet, error) {
	address, err := endpoint.FreeAddress()
	if err != nil {
		return nil, err
	}
	return &Kubelet{opts: o, api: address, started: map[types.UID]bool{}, static: map[string]*staticPod{}, logs: map[string][]byte{}}, nil
}

// Port is the port of a kubelet's API, on its node's address.
const Port = 10250

// API is where the kubelet listens on this computer, host:port.
func (k *Kubelet) API() string { return k.api }

// Run is the kubelet's process of version v on m: it returns when ctx ends.
func (k *Kubelet) Run(ctx context.Context, m *machine.Machine, v upgrade.Version) error {
	k.begin(m)
	if err := m.Sleep(ctx, startUp); err != nil {
		return nil // ended before it was up
	}
	run := &run{Kubelet: k, m: m, v: v, busy: map[types.UID]bool{}}
	stop, err := run.serve()
	if err != nil {
		return err
	}
	defer stop()
	for _, loop := range []func(context.Context){run.reports, run.pods, run.manifests, run.proxy} {
		run.group.Go(func() { loop(ctx) })
	}
	<-ctx.Done()
	run.group.Wait()
	return nil
}

// begin forgets the containers of an earlier boot.
func (k *Kubelet) begin(m *machine.Machine) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if boot := m.BootID(); boot != k.boot {
		k.boot = boot
		k.forget()
	}
}

// forget forgets all containers. k.mu is held.
func (k *Kubelet) forget() { k.started, k.static = map[types.UID]bool{}, map[string]*staticPod{} }

// Off is told when the machine has lost its power: all containers, its API server among them, are gone with it.
func (k *Kubelet) Off() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	if k.opts.Endpoint != nil {
		k.opts.Endpoint.Down()
		k.opts.Endpoint.Fail("member", "etcd")
	}
}

// EtcdUp reports whether the node's etcd member runs.
func (k *Kubelet) EtcdUp() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.static[etcdComponent]
	return s != nil && s.ready
}

// run is one run of the kubelet's process.
type run struct {
	*Kubelet
	m     *machine.Machine
	v     upgrade.Version
	group sync.WaitGroup

	mu   sync.Mutex
	busy map[types.UID]bool // pods that are being started or stopped
}

// pods starts and stops the pods that are bound to the node, as they come and go.
func (r *run) pods(ctx context.Context) {
	changes := r.opts.Pods.changes(r.m.Name())
	again := time.NewTicker(10 * time.Second) // what failed is tried again
	defer again.Stop()
	for {
		for _, p := range r.opts.Pods.On(r.m.Name()) {
			r.handle(ctx, p)
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
		case <-again.C:
		}
	}
}

func (r *run) handle(ctx context.Context, p *corev1.Pod) {
	var act func(context.Context, *corev1.Pod) error
	switch {
	case p.Annotations[configMirror] != "":
		return
	case p.DeletionTimestamp != nil:
		act = r.stopPod
	case p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed:
		return
	case !r.runs(p.UID) || !ready(p) && (gatesPassed(p) || p.Status.Phase != corev1.PodRunning):
		act = r.startPod
	default:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[p.UID] {
		return
	}
	r.busy[p.UID] = true
	r.group.Go(func() {
		_ = act(ctx, p) // tried again with the next look
		r.mu.Lock()
		delete(r.busy, p.UID)
		r.mu.Unlock()
		if ctx.Err() == nil {
			r.opts.Pods.wake(r.m.Name()) // something may have happened to it meanwhile
		}
	})
}

func (r *run) runs(uid types.UID) bool {
	r.Kubelet.mu.Lock()
	defer r.Kubelet.mu.Unlock()
	return r.started[uid]
}

func (r *run) setRuns(uid types.UID, runs bool) {
	r.Kubelet.mu.Lock()
	defer r.Kubelet.mu.Unlock()
	if runs {
		r.started[uid] = true
	} else {
		delete(r.started, uid)
	}
}
