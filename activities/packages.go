package activities

import (
	"context"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// PrepareNode fetches what a node will need ahead of its turn, so that nobody waits for the network while the node is
// drained or its API server away. Packages are only downloaded; but an additional control plane gets its kubeadm, which
// runs only when it is called, since kubeadm knows which images to pull.
func (a *Activities) PrepareNode(ctx context.Context, in NodeInput) (Outcome, error) {
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	if err := host.Download(ctx, in.Settings.Repository, in.Version); err != nil || in.Role != upgrade.AdditionalControlPlane {
		return Outcome{}, err
	}
	if err := host.Install(ctx, in.Settings.Repository, in.Version, "kubeadm"); err != nil {
		return Outcome{}, err
	}
	return Outcome{}, host.PullImages(ctx, in.Version)
}

// InstallKubeadm brings the node's kubeadm to the version: kubeadm upgrades a cluster only to its own version. Where the
// kubelet stays, kubectl comes along all the same, for it may be one minor behind the API servers only.
// Source: https://kubernetes.io/releases/version-skew-policy/#kubectl
func (a *Activities) InstallKubeadm(ctx context.Context, in NodeInput) (Outcome, error) {
	if in.KeepsKubelet {
		return a.install(ctx, in, "kubeadm", "kubectl")
	}
	return a.install(ctx, in, "kubeadm")
}

// InstallKubelet brings the node's kubelet and kubectl to the version. The running kubelet goes on until its restart.
func (a *Activities) InstallKubelet(ctx context.Context, in NodeInput) (Outcome, error) {
	return a.install(ctx, in, "kubelet", "kubectl")
}

func (a *Activities) install(ctx context.Context, in NodeInput, packages ...string) (Outcome, error) {
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, host.Install(ctx, in.Settings.Repository, in.Version, packages...)
}
