package lab

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/progress"
	"github.com/pawl-dev/pawl/lab/internal/sshx"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

//go:embed files/web.yaml
var webManifest []byte

// Options say what lab to make.
type Options struct {
	Shape         Shape
	ExternalEtcd  bool // of kubeadm's cluster: by units on the control planes
	ControlPlanes int
	Workers       int
	Version       string
	Served        []string // versions to be had in the lab, the first one among them
}

// upRun is one run of up.
type upRun struct {
	maker
	out   *progress.Printer
	state State

	mu      sync.Mutex
	clients map[topology.Node]*sshx.Client
}

// installation is what one shape of cluster has of its own.
type installation interface {
	// serve makes what the lab serves to the nodes, and the cluster's secrets.
	serve(context.Context) error
	// steps lead from the network to nodes and system pods that are Ready.
	steps() []step
}

// step is one line of what up says.
type step struct {
	title string
	run   func(context.Context) error
}

// Up makes a fresh cluster.
func Up(ctx context.Context, h home.Home, opts Options, out *progress.Printer) error {
	unlock, err := h.Lock("lab")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := LoadState(h); err == nil || netns.Exists(topology.Name) {
		return fmt.Errorf("lab: one is up, or half up; run: pawl-lab down")
	}
	if err := artefacts.Build(ctx, h, opts.Served, out); err != nil {
		return err
	}
	if opts.Shape == HardWay || opts.ExternalEtcd {
		if err := artefacts.BuildMirror(ctx, h, opts.Served, out); err != nil {
			return err
		}
	}
	before, err := inotifyInstances()
	if err != nil {
		return err
	}
	u := &upRun{maker: maker{home: h, version: opts.Version}, out: out, clients: map[topology.Node]*sshx.Client{}, state: State{
		Shape: opts.Shape, ExternalEtcd: opts.ExternalEtcd, Version: opts.Version, Served: opts.Served,
		Nodes:    topology.Nodes(opts.ControlPlanes, opts.Workers),
		CgroupV1: cgroup.V1(), Started: time.Now().UTC().Truncate(time.Second), InotifyInstances: before,
	}}
	if err := u.state.save(h); err != nil {
		return err
	}
	defer u.close()
	if err := u.run(ctx); err != nil {
		return fmt.Errorf("%w\nThe lab is half up, to be looked at (pawl-lab status, pawl-lab ssh NODE); pawl-lab down removes it", err)
	}
	u.state.Ready = true
	return u.state.save(h)
}

// run is the whole way from nothing to a cluster with a service on it.
func (u *upRun) run(ctx context.Context) error {
	var shape installation = &withKubeadm{upRun: u}
	if u.state.Shape == HardWay {
		shape = &byHand{upRun: u}
	}
	steps := slices.Concat(
		[]step{
			{"keys", u.prepare},
			{"what the nodes are served", shape.serve},
			{"network and infrastructure", u.infrastructure},
		},
		shape.steps(),
		[]step{
			{"service web: 6 replicas", u.web},
			{"cluster definition", u.definition},
		},
	)
	for _, s := range steps {
		if err := u.out.Step(s.title, func() error { return s.run(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the key that the nodes let in.
func (u *upRun) prepare(ctx context.Context) error {
	if err := copySelf(u.home); err != nil {
		return err
	}
	key, err := sshx.NewKey("pawl-lab")
	if err != nil {
		return err
	}
	if err := home.WriteFile(keyFile(u.home), key.Private, 0o600); err != nil {
		return err
	}
	way, err := access(u.home)
	if err != nil {
		return err
	}
	if err := home.WriteFile(knownHostsFile(u.home), nil, 0o644); err != nil {
		return err
	}
	return u.maker.prepare(ctx, way)
}

// infrastructure makes the network and what serves the nodes in it.
func (u *upRun) infrastructure(context.Context) error {
	if err := makeNetwork(); err != nil {
		return err
	}
	if err := raiseInotify(); err != nil {
		return err
	}
	if err := cgroup.Create(node.KeeperCgroup); err != nil {
		return err
	}
	relay := listenRelay()
	if relay != nil {
		defer relay.Close()
	} else {
		u.out.Note("%20s%s is taken on this machine: the web UI is not relayed", "", topology.WebUIAddress)
	}
	u.state.Relay = relay != nil
	if err := u.state.save(u.home); err != nil {
		return err
	}
	return startInfra(u.home, u.state.controlPlanes(), relay)
}

// boot boots a node and keeps the connection to it.
func (u *upRun) boot(ctx context.Context, n topology.Node) (*sshx.Client, error) {
	c, err := u.maker.boot(ctx, n)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clients[n] = c
	return c, nil
}

// each does the same for all nodes side by side.
func (u *upRun) each(nodes []topology.Node, do func(context.Context, topology.Node) error) func(context.Context) error {
	return func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, n := range nodes {
			g.Go(func() error { return do(ctx, n) })
		}
		return g.Wait()
	}
}

// kubectl runs kubectl commands on the first control plane.
func (u *upRun) kubectl(commands ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, k := range commands {
			if _, err := u.clients[u.state.Nodes[0]].Run(ctx, "kubectl "+k); err != nil {
				return err
			}
		}
		return nil
	}
}

// web starts the sample service, and waits until it answers on every node that runs pods.
func (u *upRun) web(ctx context.Context) error {
	if err := u.clients[u.state.Nodes[0]].Put(ctx, "/root/web.yaml", webManifest); err != nil {
		return err
	}
	if u.onlyControlPlanes() {
		if err := u.kubectl("taint node --all node-role.kubernetes.io/control-plane:NoSchedule- --overwrite")(ctx); err != nil {
			return err
		}
	}
	if err := u.kubectl("apply -f /root/web.yaml", "rollout status deployment/web --timeout=180s")(ctx); err != nil {
		return err
	}
	for _, n := range u.state.Nodes {
		if n.ControlPlane() && !u.onlyControlPlanes() {
			continue
		}
		ask := fmt.Sprintf("timeout 60 sh -c 'until curl -fsS --max-time 1 -o /dev/null http://%s:%d/; do sleep 0.1; done'", n.Address(), topology.NodePort)
		if _, err := u.clients[u.state.Nodes[0]].Run(ctx, ask); err != nil {
			return fmt.Errorf("service web does not answer on %s: %w", n, err)
		}
	}
	return nil
}

func (u *upRun) onlyControlPlanes() bool {
	return len(u.state.controlPlanes()) == len(u.state.Nodes)
}

// definition writes what pawl needs to know of the cluster.
func (u *upRun) definition(context.Context) error {
	return home.WriteFile(u.home.Cluster("lab.yaml"), []byte(Definition(u.state)), 0o644)
}

func (u *upRun) close() {
	for _, c := range u.clients {
		c.Close()
	}
}

func names(nodes []topology.Node) string {
	s := make([]string, len(nodes))
	for i, n := range nodes {
		s[i] = string(n)
	}
	return strings.Join(s, " ")
}
