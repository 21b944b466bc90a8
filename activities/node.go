package activities

import "context"

// RestartKubelet makes the installed kubelet the running one.
func (a *Activities) RestartKubelet(ctx context.Context, in NodeInput) (Outcome, error) {
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	started, err := host.RestartKubelet(ctx, in.Version)
	return Outcome{KubeletStarted: started}, err
}

// VerifyControlPlane waits until the node's static pods are Ready at the version and every API server and etcd member
// of the cluster is healthy, so that the next control plane node may be touched.
func (a *Activities) VerifyControlPlane(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, await(ctx, "verify the control plane on", in.Node, func(ctx context.Context) error {
		return controlPlaneSettled(ctx, api, in)
	})
}

func controlPlaneSettled(ctx context.Context, api API, in NodeInput) error {
	if err := api.ControlPlaneSettled(ctx, in.Node, in.Version); err != nil {
		return err
	}
	return api.ControlPlaneHealth(ctx)
}

// VerifyNode waits until the node is what it must be before it takes pods again and before the next node is touched:
// kubelet healthy and at the version, DaemonSet pods Ready and, on a control plane, static pods truly restarted and
// every API server and etcd member healthy. "Ready at the new version" alone is not enough there: the static pods
// restart some seconds after the kubelet, while the node still reads Ready.
func (a *Activities) VerifyNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, await(ctx, "verify", in.Node, func(ctx context.Context) error {
		if err := host.KubeletHealthy(ctx); err != nil {
			return err
		}
		if in.Role.IsControlPlane() {
			if err := controlPlaneSettled(ctx, api, in); err != nil {
				return err
			}
		}
		return api.NodeReady(ctx, in.Node, in.Version, in.KubeletStarted)
	})
}
