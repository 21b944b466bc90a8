// Package bed makes a whole simulated cluster: a real control plane, simulated machines behind real SSH, simulated
// kubelets, one API endpoint for each control plane node, a service with a budget, and the definition by which pawl
// finds it.
//
// Rule: everything is on the loopback interface and in one folder, as an ordinary user; Stop leaves nothing but that.
package bed

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/sim/kubelet"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/sim/network"
	"github.com/pawl-dev/pawl/internal/sim/scenario"
	"github.com/pawl-dev/pawl/internal/sim/sshd"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Options say what cluster to make.
type Options struct {
	Name          string // of the cluster
	Dir           string // for everything that belongs to it
	Clusters      string // folder for its definition; "" is Dir/clusters
	ControlPlanes int
	Workers       int
	RPM           int // so many of the workers, the last ones, are RPM hosts: with dnf and with zypper in turn
	Version       upgrade.Version
	Offered       []upgrade.Version // what the package repositories have beside Version
	// Pace is the factor on everything that takes time on a node: 1 is as on a small real one.
	Pace float64
	// Provider is what the cluster's definition says; "" is kubeadm.
	Provider string
	// Definition is added to the cluster's definition: lines of YAML.
	Definition string
	// APIs are versions of APIs that the API server serves beside its usual ones, such as resource.k8s.io/v1beta1.
	APIs []string
	// Say is told what happens, in whole lines; nil: nobody.
	Say func(string)
}

// Bed is a simulated cluster that runs.
type Bed struct {
	opts    Options
	plane   *controlplane.ControlPlane
	network *network.Network
	balance *endpoint.Balancer
	engine  *scenario.Engine
	client  kubernetes.Interface // of the administrator, to the real API server
	pods    *kubelet.Pods
	api     kubernetes.Interface // the same through the balancer
	key     sshKey
	stop    context.CancelFunc
	ctx     context.Context

	mu       sync.Mutex
	nodes    []*node
	last     int                    // the number of the last node that was added
	budgets  map[string]savedBudget // that are blocked
	commands map[string][]string    // that have begun, by node
}

// node is one node in all its parts.
type node struct {
	name     string
	number   int // where it is on the network; no other has it, nor had
	version  upgrade.Version
	role     upgrade.Role
	machine  *machine.Machine
	ssh      *sshd.Server
	kubelet  *kubelet.Kubelet
	endpoint *endpoint.Endpoint // nil on workers
}

// Start makes the cluster and returns when all nodes are Ready and all pods run.
func Start(ctx context.Context, o Options) (*Bed, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Clusters == "" {
		o.Clusters = filepath.Join(o.Dir, "clusters")
	}
	if o.Pace == 0 {
		o.Pace = 1
	}
	b := &Bed{opts: o, budgets: map[string]savedBudget{}, commands: map[string][]string{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.engine = scenario.NewEngine(b, o.Say)
	if err := b.start(ctx); err != nil {
		b.Stop()
		return nil, fmt.Errorf("make cluster %s: %w", o.Name, err)
	}
	return b, nil
}

func (b *Bed) start(ctx context.Context) error {
	for _, dir := range []string{b.opts.Dir, b.opts.Clusters} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"etcd, kube-apiserver, kube-controller-manager, kube-scheduler", b.startControlPlane},
		{"machines with SSH servers", b.makeMachines},
		{"what kubeadm leaves in the cluster", b.initCluster},
		{"kubelets", b.startMachines},
		{"applications with budgets", b.deploy},
		{"the cluster's definition for pawl", b.define},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return err
		}
		b.opts.Say(fmt.Sprintf("%-60s %4.1fs", step.title, time.Since(began).Seconds()))
	}
	return nil
}

func (b *Bed) startControlPlane(ctx context.Context) (err error) {
	if b.network, err = network.New(); err != nil {
		return err
	}
	if b.plane, err = controlplane.Start(ctx, filepath.Join(b.opts.Dir, "control-plane"), b.network.Socket(), b.opts.APIs...); err != nil {
		return err
	}
	b.client, err = kubernetes.NewForConfig(b.plane.Config())
	return err
}

// makeMachines makes the nodes' machines, switched off, and the balancer in front of the API servers.
func (b *Bed) makeMachines(ctx context.Context) error {
	var err error
	if b.pods, err = kubelet.WatchPods(b.ctx, b.client); err != nil {
		return err
	}
	if b.key, err = b.makeKey(); err != nil {
		return err
	}
	b.nodes = make([]*node, b.opts.ControlPlanes+b.opts.Workers)
	var endpoints []*endpoint.Endpoint
	for i := range b.nodes {
		n := &node{name: "w" + strconv.Itoa(i-b.opts.ControlPlanes+1), number: i, version: b.opts.Version, role: upgrade.Worker}
		if i < b.opts.ControlPlanes {
			n.name, n.role = "cp"+strconv.Itoa(i+1), upgrade.AdditionalControlPlane
			if n.endpoint, err = endpoint.New(b.plane.Config(), b.plane.Certificate, b.plane.Key); err != nil {
				return err
			}
			endpoints = append(endpoints, n.endpoint)
		}
		b.nodes[i] = n
	}
	if b.balance, err = endpoint.Balance(endpoints); err != nil {
		return err
	}
	if b.api, err = kubernetes.NewForConfig(b.balanced()); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(8)
	for i, n := range b.nodes {
		var distro machine.Distro
		if nth := i - (len(b.nodes) - b.opts.RPM); nth >= 0 {
			distro = []machine.Distro{machine.Rocky, machine.SUSE}[nth%2]
		}
		group.Go(func() error { return b.makeMachine(n, distro) })
	}
	return group.Wait()
}

func (b *Bed) makeMachine(n *node, distro machine.Distro) (err error) {
	address := network.NodeAddress(n.number)
	n.kubelet, err = kubelet.New(kubelet.Options{
		Client: b.client, Balanced: b.api, Pods: b.pods, Etcd: etcd{b}, Endpoint: n.endpoint, Labels: zone(n.number), Address: address,
		Certificate: b.plane.Certificate, Key: b.plane.Key,
	})
	if err != nil {
		return err
	}
	b.network.Join(net.JoinHostPort(address, strconv.Itoa(kubelet.Port)), n.kubelet.API())
	o := machine.Options{
		Name: n.name, Dir: filepath.Join(b.opts.Dir, "hosts", n.name), Role: n.role, Version: n.version,
		Offered: append([]upgrade.Version{b.opts.Version}, b.opts.Offered...), API: func() kubernetes.Interface { return b.api }, Kubelet: n.kubelet.Run, Pace: b.opts.Pace, Hook: b.hook,
		Distro: distro,
	}
	if n.endpoint != nil {
		o.Endpoint = n.endpoint.Address()
	}
	if n.machine, err = machine.New(o); err != nil {
		return err
	}
	if address, err = endpoint.FreeAddress(); err != nil {
		return err
	}
	n.ssh, err = sshd.New(sshd.Options{Machine: n.machine, Address: address, Authorized: b.key.authorized("root", "admin")})
	return err
}

// startMachines switches all machines on and waits until their nodes are Ready.
func (b *Bed) startMachines(ctx context.Context) error {
	for _, n := range b.nodes {
		n.switchOn()
	}
	return b.awaitNodes(ctx)
}

func (n *node) switchOn() {
	n.machine.Watch(func(up bool) {
		if !up {
			n.kubelet.Off()
		}
	})
	n.machine.Start()
}

// Stop ends everything. The folder stays.
func (b *Bed) Stop() {
	b.engine.Stop()
	b.stop()
	for _, n := range b.nodesNow() {
		n.end()
	}
	if b.balance != nil {
		b.balance.Close()
	}
	if b.plane != nil {
		b.plane.Stop()
	}
	if b.network != nil {
		b.network.Close()
	}
}

// Client is the administrator's, to the real API server: it works also while every API endpoint is away.
func (b *Bed) Client() kubernetes.Interface { return b.client }

// balanced is the administrator's configuration for clients of the balancer.
func (b *Bed) balanced() *rest.Config {
	c := b.plane.Config()
	c.Host = "https://" + b.balance.Address()
	return c
}

// AdminKubeconfig is a file for kubectl. It leads to the real API server, without the endpoints in front of it.
func (b *Bed) AdminKubeconfig() string {
	return filepath.Join(b.opts.Dir, "control-plane", "admin.conf")
}

// Clusters is the folder of the cluster's definition.
func (b *Bed) Clusters() string { return b.opts.Clusters }

// Fault adds faults to the scenario.
func (b *Bed) Fault(ctx context.Context, faults ...scenario.Fault) error {
	return b.engine.Add(ctx, faults...)
}

// Fired are the faults that have happened.
func (b *Bed) Fired() []string { return b.engine.Fired() }

// Emulate makes a node's API server say that it behaves as another minor, as one with --emulated-version does; the zero
// value ends it. What it serves stays as it is.
func (b *Bed) Emulate(node string, v upgrade.Version) { b.node(node).endpoint.Emulate(v) }

// Waiting are the faults that have not happened.
func (b *Bed) Waiting() []string { return b.engine.Waiting() }

// Machine is a node's machine; nil when there is no such node.
func (b *Bed) Machine(name string) *machine.Machine {
	if n := b.node(name); n != nil {
		return n.machine
	}
	return nil
}

// hook notes what the machines do, and lets faults happen.
func (b *Bed) hook(ctx context.Context, e machine.Event) {
	if e.When == machine.During {
		b.mu.Lock()
		b.commands[e.Machine.Name()] = append(b.commands[e.Machine.Name()], e.What)
		b.mu.Unlock()
	}
	b.engine.Hook(ctx, e)
}

// Commands are the command lines that have begun on a machine: over SSH, and by systemd.
func (b *Bed) Commands(node string) ([]string, error) {
	if b.node(node) == nil {
		return nil, fmt.Errorf("there is no node %q", node)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.commands[node]), nil
}

// Died says which process of the control plane has died, or nil.
func (b *Bed) Died() error { return b.plane.Died() }

func (b *Bed) node(name string) *node {
	for _, n := range b.nodesNow() {
		if n.name == name {
			return n
		}
	}
	return nil
}

// writeKubeconfig writes one for the balancer.
func (b *Bed) writeKubeconfig(file, token string) error {
	authority, err := os.ReadFile(b.plane.Certificate)
	if err != nil {
		return err
	}
	return controlplane.WriteKubeconfig(file, "https://"+b.balance.Address(), authority, token)
}
