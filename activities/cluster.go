package activities

import (
	"context"
	"path"
)

// CheckControlPlane waits until every API server, etcd member, controller-manager and scheduler is healthy. A quorum is
// not enough: the next restart would lose it. It counts who watches endpoints, for VerifyNode to compare.
func (a *Activities) CheckControlPlane(ctx context.Context, in ClusterInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	healthy := func(ctx context.Context) error {
		if err := api.ControlPlaneHealth(ctx); err != nil {
			return err
		}
		return a.etcdByHand(ctx, in.Cluster, in.Settings)
	}
	if err := await(ctx, in.Settings.Verify, "check control plane", in.Cluster, healthy); err != nil {
		return Outcome{}, err
	}
	watchers, err := api.EndpointWatchers(ctx)
	return Outcome{EndpointWatchers: watchers}, err
}

// VerifyCluster waits until what belongs to the whole cluster is at the version and healthy: kube-proxy, CoreDNS, every
// pod of kube-system.
func (a *Activities) VerifyCluster(ctx context.Context, in ClusterInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, await(ctx, in.Settings.Verify, "verify", in.Cluster, func(ctx context.Context) error {
		if err := api.ControlPlaneHealth(ctx); err != nil {
			return err
		}
		if err := a.etcdByHand(ctx, in.Cluster, in.Settings); err != nil {
			return err
		}
		return api.AddonsReady(ctx, in.Version)
	})
}

// BackUpInput names a control plane node and the backup to make there.
type BackUpInput struct {
	NodeInput
	Backup string `json:"backup"` // name of the backup's folder
	// Snapshot: take the etcd snapshot on this node too. One healthy member's is the whole cluster's.
	Snapshot bool `json:"snapshot"`
}

// etcdDataDir is where kubeadm's etcd keeps its data: the only folder that its pod shares with the host.
const etcdDataDir = "/var/lib/etcd"

// BackUpControlPlane copies the node's PKI, manifests and kubeadm configuration and, where asked, an etcd snapshot,
// away from etcd's own directory, readable by root only, and verifies both.
func (a *Activities) BackUpControlPlane(ctx context.Context, in BackUpInput) (Outcome, error) {
	if in.Host != "" {
		return a.backUpByHand(ctx, in)
	}
	api, host, err := a.open(in.NodeInput)
	if err != nil {
		return Outcome{}, err
	}
	configuration, err := api.ClusterConfiguration(ctx)
	if err != nil {
		return Outcome{}, err
	}
	folder, err := host.BackUp(ctx, in.Backup, configuration)
	if err != nil || !in.Snapshot {
		return Outcome{Note: folder}, err
	}
	file := path.Join(etcdDataDir, in.Backup+".db")
	snapshot, err := api.SnapshotEtcd(ctx, in.Node, file)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Note: folder}, host.KeepSnapshot(ctx, in.Backup, file, snapshot)
}
