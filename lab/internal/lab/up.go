package lab

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/lab/internal/aptrepo"
	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/kubeadm"
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
	ControlPlanes int
	Workers       int
	Version       string
	Served        []string // versions with packages, the first one among them
}

// upRun is one run of up.
type upRun struct {
	maker
	out     *progress.Printer
	state   State
	cluster kubeadm.Cluster

	mu      sync.Mutex
	clients map[topology.Node]*sshx.Client
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
	before, err := inotifyInstances()
	if err != nil {
		return err
	}
	u := &upRun{maker: maker{home: h, version: opts.Version}, out: out, clients: map[topology.Node]*sshx.Client{}, state: State{
		Version: opts.Version, Served: opts.Served, Nodes: topology.Nodes(opts.ControlPlanes, opts.Workers),
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
	cps := u.state.controlPlanes()
	for _, s := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"keys and package repositories", u.prepare},
		{"network and infrastructure", u.infrastructure},
		{"boot " + names(u.state.Nodes) + ", install packages", u.each(u.state.Nodes, u.machine)},
		{"kubeadm init " + string(cps[0]), u.init},
		{"kubeadm join " + names(u.state.Nodes[1:]), u.join},
		{"nodes Ready", u.kubectl("wait --for=condition=Ready node --all --timeout=180s")},
		{"system pods Ready", u.kubectl(
			"-n kube-system rollout status deployment/coredns --timeout=180s",
			"-n kube-system rollout status daemonset/kube-proxy --timeout=180s",
			"-n kube-system wait --for=condition=Ready pod --all --timeout=180s")},
		{"service web: 6 replicas", u.web},
		{"cluster definition", u.definition},
	} {
		if len(u.state.Nodes) == 1 && strings.HasPrefix(s.title, "kubeadm join") {
			continue
		}
		if err := u.out.Step(s.title, func() error { return s.run(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes what the nodes will trust: the key that logs in and the
// signed repositories.
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
	signing, err := aptrepo.LoadKey(u.home.Cache("repository-key.asc"))
	if err != nil {
		return err
	}
	err = aptrepo.Write(u.home.Run("repo"), u.state.Served, func(v string) string { return artefacts.Debs(u.home, v) }, signing)
	if err != nil {
		return err
	}
	if err := u.maker.prepare(ctx, way); err != nil {
		return err
	}
	u.cluster, err = kubeadm.NewCluster(u.state.Version, u.state.CgroupV1)
	return err
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

// machine boots a node and puts Kubernetes' packages on it.
func (u *upRun) machine(ctx context.Context, n topology.Node) error {
	c, err := u.boot(ctx, n)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.clients[n] = c
	u.mu.Unlock()
	return u.install(ctx, c)
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

// init makes the first control plane and takes its kubeconfig home.
func (u *upRun) init(ctx context.Context) error {
	first := u.state.Nodes[0]
	config, err := u.cluster.Init(first)
	if err != nil {
		return err
	}
	c := u.clients[first]
	if err := c.Put(ctx, kubeadmConfig, []byte(config)); err != nil {
		return err
	}
	if _, err := c.Run(ctx, "kubeadm init --upload-certs --config "+kubeadmConfig+" > /var/log/kubeadm-init.log 2>&1 || { tail -n 20 /var/log/kubeadm-init.log; exit 1; }"); err != nil {
		return err
	}
	conf, err := c.Run(ctx, "mkdir -p ~/.kube && cp /etc/kubernetes/admin.conf ~/.kube/config && cat /etc/kubernetes/admin.conf")
	if err != nil {
		return err
	}
	if u.cluster.CAHash, err = kubeadm.CAHash(conf); err != nil {
		return err
	}
	conf = kubeadm.WithServer(conf, fmt.Sprintf("https://%s:%d", topology.Gateway, topology.APIPort))
	return home.WriteFile(kubeconfigFile(u.home), []byte(conf), 0o600)
}

// join adds the further control planes one after another, as etcd wants it,
// and meanwhile the workers all at once.
func (u *upRun) join(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for _, n := range u.state.controlPlanes()[1:] {
			if err := u.joinOne(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
	for _, n := range u.state.Nodes {
		if !n.ControlPlane() {
			g.Go(func() error { return u.joinOne(ctx, n) })
		}
	}
	return g.Wait()
}

func (u *upRun) joinOne(ctx context.Context, n topology.Node) error {
	config, err := u.cluster.Join(n, "")
	if err != nil {
		return err
	}
	return u.maker.join(ctx, u.clients[n], config)
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

// web starts the sample service.
func (u *upRun) web(ctx context.Context) error {
	if err := u.clients[u.state.Nodes[0]].Put(ctx, "/root/web.yaml", webManifest); err != nil {
		return err
	}
	if u.onlyControlPlanes() {
		if err := u.kubectl("taint node --all node-role.kubernetes.io/control-plane:NoSchedule- --overwrite")(ctx); err != nil {
			return err
		}
	}
	return u.kubectl("apply -f /root/web.yaml", "rollout status deployment/web --timeout=180s")(ctx)
}

func (u *upRun) onlyControlPlanes() bool {
	return len(u.state.controlPlanes()) == len(u.state.Nodes)
}

// definition writes what pawl needs to know of the cluster.
func (u *upRun) definition(context.Context) error {
	return home.WriteFile(u.home.Cluster("lab.yaml"), []byte(Definition(u.state.CgroupV1)), 0o644)
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
