package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
)

// RestartKubelet makes the installed kubelet the running one.
func (a *Activities) RestartKubelet(ctx context.Context, in NodeInput) (out Outcome, err error) {
	probing := a.probeAPIServer(ctx, in)
	defer func() { out.APIServer = probing.end() }()
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	started, err := host.RestartKubelet(ctx, in.Version)
	return Outcome{KubeletStarted: started}, err
}

// VerifyControlPlane waits until the node's static pods are Ready at the version and every API server and etcd member
// of the cluster is healthy, so that the next control plane node may be touched.
func (a *Activities) VerifyControlPlane(ctx context.Context, in NodeInput) (out Outcome, err error) {
	probing := a.probeAPIServer(ctx, in)
	defer func() { out.APIServer = probing.end() }()
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	watchers := &watchers{api: api, wanted: in.EndpointWatchers}
	return Outcome{}, await(ctx, in.Settings.Verify, "verify the control plane on", in.Node, func(ctx context.Context) error {
		if err := controlPlaneSettled(ctx, api, in); err != nil {
			return err
		}
		return watchers.back(ctx, in.Node)
	})
}

// watchersReturn is how long those who watched endpoints before may take to come back to an API server that was away:
// client-go's reflector waits 30 s at most between two tries, and jitter can double it. Some may never come back,
// since they were replaced or moved meanwhile, so this is patience and not a condition.
const watchersReturn = time.Minute

// watchers waits for those who watched endpoints before. A kube-proxy that does not watch yet would send traffic to the
// pods of the next node's drain after they are gone.
type watchers struct {
	api    API
	wanted int
	since  time.Time // when all else was fulfilled first
}

func (w *watchers) back(ctx context.Context, node string) error {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	if w.wanted == 0 || time.Since(w.since) > watchersReturn {
		return nil
	}
	n, err := w.api.EndpointWatchers(ctx)
	if err == nil && n < w.wanted {
		err = fault.New(fault.VerificationFailed, "control plane of", node,
			fmt.Sprintf("%d of %d watch endpoints again", n, w.wanted), "")
	}
	return err
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
func (a *Activities) VerifyNode(ctx context.Context, in NodeInput) (out Outcome, err error) {
	probing := a.probeAPIServer(ctx, in)
	defer func() { out.APIServer = probing.end() }()
	api, host, err := a.open(in)
	if err != nil {
		return Outcome{}, err
	}
	watchers := &watchers{api: api, wanted: in.EndpointWatchers}
	return Outcome{}, await(ctx, in.Settings.Verify, "verify", in.Node, func(ctx context.Context) error {
		if err := host.KubeletHealthy(ctx); err != nil {
			return err
		}
		if in.Role.IsControlPlane() {
			if err := controlPlaneSettled(ctx, api, in); err != nil {
				return err
			}
		}
		if err := api.NodeReady(ctx, in.Node, in.Version, in.KubeletStarted); err != nil || !in.Role.IsControlPlane() {
			return err
		}
		return watchers.back(ctx, in.Node)
	})
}
