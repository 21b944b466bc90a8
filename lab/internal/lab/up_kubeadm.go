package lab

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/lab/internal/aptrepo"
	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/kubeadm"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// withKubeadm installs packages and lets kubeadm make the cluster.
type withKubeadm struct {
	*upRun
	cluster kubeadm.Cluster
}

func (u *withKubeadm) steps() []step {
	nodes := u.state.Nodes
	steps := []step{
		{"boot " + names(nodes) + ", install packages", u.each(nodes, u.machine)},
		{"kubeadm init " + string(nodes[0]), u.init},
	}
	if len(nodes) > 1 {
		steps = append(steps, step{"kubeadm join " + names(nodes[1:]), u.join})
	}
	return append(steps,
		step{"nodes Ready", u.kubectl("wait --for=condition=Ready node --all --timeout=180s")},
		step{"system pods Ready", u.kubectl(
			"-n kube-system rollout status deployment/coredns --timeout=180s",
			"-n kube-system rollout status daemonset/kube-proxy --timeout=180s",
			"-n kube-system wait --for=condition=Ready pod --all --timeout=180s")},
	)
}

// serve makes the signed repositories, and lays out etcd where it is not kubeadm's.
func (u *withKubeadm) serve(ctx context.Context) error {
	signing, err := aptrepo.LoadKey(u.home.Cache("repository-key.asc"))
	if err != nil {
		return err
	}
	err = aptrepo.Write(u.home.Run("repo"), u.state.Served, func(v string) string { return artefacts.Debs(u.home, v) }, signing)
	if err != nil {
		return err
	}
	if u.cluster, err = kubeadm.NewCluster(u.state.Version, u.state.CgroupV1); err != nil || !u.state.ExternalEtcd {
		return err
	}
	byHand, err := u.layOut(ctx)
	if err != nil {
		return err
	}
	u.disk.Further, u.cluster.Etcd = byHand.EtcdFiles, u.state.controlPlanes()
	return nil
}

// machine boots a node and puts Kubernetes' packages on it.
func (u *withKubeadm) machine(ctx context.Context, n topology.Node) error {
	c, err := u.boot(ctx, n)
	if err != nil {
		return err
	}
	return u.install(ctx, c)
}

// init makes the first control plane and takes its kubeconfig home.
func (u *withKubeadm) init(ctx context.Context) error {
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
func (u *withKubeadm) join(ctx context.Context) error {
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

func (u *withKubeadm) joinOne(ctx context.Context, n topology.Node) error {
	config, err := u.cluster.Join(n, "")
	if err != nil {
		return err
	}
	return u.maker.join(ctx, u.clients[n], config)
}
