package lab

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/gobuild"
	"github.com/pawl-dev/pawl/lab/internal/hardway"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// byHand puts programs, units and certificates on the nodes' disks: switched
// on, they become a cluster.
type byHand struct {
	*upRun
	cluster *hardway.Cluster
}

func (u *byHand) steps() []step {
	var workers []string
	for _, n := range u.state.Nodes {
		if !n.ControlPlane() {
			workers = append(workers, "node/"+string(n))
		}
	}
	all := strings.Join(workers, " ")
	return []step{
		{"boot " + names(u.state.Nodes), u.each(u.state.Nodes, u.start)},
		{"control plane healthy: " + strings.Join(hardway.ControlPlaneUnits, ", "), u.each(u.state.controlPlanes(), u.healthy)},
		{"CoreDNS", u.system},
		{"nodes Ready", u.kubectl("wait --for=create "+all+" --timeout=180s", "wait --for=condition=Ready "+all+" --timeout=180s")},
		{"system pods Ready", u.kubectl("-n kube-system rollout status deployment/coredns --timeout=180s")},
	}
}

// serve lays out the cluster and makes the administrator's kubeconfig.
func (u *byHand) serve(ctx context.Context) error {
	var err error
	if u.cluster, err = u.layOut(ctx); err != nil {
		return err
	}
	u.disk.Further = u.cluster.Files
	conf, err := u.cluster.Admin(fmt.Sprintf("%s:%d", topology.Gateway, topology.APIPort))
	if err != nil {
		return err
	}
	return home.WriteFile(kubeconfigFile(u.home), []byte(conf), 0o600)
}

// layOut makes the mirror, and the secrets of what is installed by hand.
func (u *upRun) layOut(ctx context.Context) (*hardway.Cluster, error) {
	if err := artefacts.LinkMirror(ctx, u.home, u.home.Run("repo"), u.state.Served); err != nil {
		return nil, err
	}
	etcd, err := artefacts.Image(ctx, u.home, u.state.Version, "etcd")
	if err != nil {
		return nil, err
	}
	build := gobuild.Builder{Home: u.home}
	return hardway.New(hardway.Programs{
		Kubernetes: build.KubernetesDir(u.state.Version), Etcd: build.EtcdDir(etcd.Release()), CNI: build.CNIDir(),
	}, u.state.controlPlanes(), u.state.CgroupV1)
}

func (u *byHand) start(ctx context.Context, n topology.Node) error {
	_, err := u.boot(ctx, n)
	return err
}

//go:embed files/healthy.sh
var healthyScript string

// healthy waits until everything on a control plane says that it is.
func (u *byHand) healthy(ctx context.Context, n topology.Node) error {
	_, err := u.clients[n].Run(ctx, healthyScript)
	return err
}

// system brings what a cluster needs before it runs pods.
func (u *byHand) system(ctx context.Context) error {
	dns, err := artefacts.Image(ctx, u.home, u.state.Version, "coredns")
	if err != nil {
		return err
	}
	manifest, err := u.cluster.System(dns.String())
	if err != nil {
		return err
	}
	if err := u.clients[u.state.Nodes[0]].Put(ctx, "/root/system.yaml", []byte(manifest)); err != nil {
		return err
	}
	return u.kubectl("apply -f /root/system.yaml")(ctx)
}
