package activities

import "context"

// DownloadPackages fetches a node's packages ahead of its turn, so that nobody waits for the network while the node is
// drained. It installs nothing.
func (a *Activities) DownloadPackages(ctx context.Context, in NodeInput) (Outcome, error) {
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, host.Download(ctx, in.Settings.Repository, in.Version)
}

// InstallKubeadm brings the node's kubeadm to the version: kubeadm upgrades a cluster only to its own version.
func (a *Activities) InstallKubeadm(ctx context.Context, in NodeInput) (Outcome, error) {
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
