package activities

import (
	"context"
	"fmt"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// UpgradeControlPlane brings the static pods of a control plane node to the version: `kubeadm upgrade apply` on the
// first, which also upgrades what belongs to the whole cluster, `kubeadm upgrade node` on the others.
func (a *Activities) UpgradeControlPlane(ctx context.Context, in NodeInput) (out Outcome, err error) {
	probing := a.probeAPIServer(ctx, in)
	defer func() { out.APIServer = probing.end() }()
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	if err != nil {
		return Outcome{}, err
	}
	if in.Role == upgrade.FirstControlPlane {
		err = host.KubeadmUpgradeApply(ctx, in.Version, in.Settings.IgnorePreflightErrors)
	} else {
		err = a.upgradeNode(ctx, host, in, true)
	}
	if err != nil {
		return Outcome{}, err
	}
	versions, err := host.StaticPodVersions(ctx)
	if err != nil {
		return Outcome{}, err
	}
	for _, component := range upgrade.ControlPlaneComponents {
		if versions[component] != in.Version {
			return Outcome{}, fault.New(fault.VerificationFailed, "upgrade control plane", in.Node,
				fmt.Sprintf("the manifest of %s is at %q after kubeadm said it was done, wanted %s", component, versions[component], in.Version),
				"look at /etc/kubernetes/manifests on that host")
		}
	}
	return Outcome{}, nil
}

// UpgradeNodeConfig brings a worker's kubelet configuration to what the version wants: `kubeadm upgrade node`. A node whose
// kubelet is at the version already has been through it.
func (a *Activities) UpgradeNodeConfig(ctx context.Context, in NodeInput) (Outcome, error) {
	api, host, err := a.open(in)
	if err != nil {
		return Outcome{}, err
	}
	if done, err := moved(ctx, api, in); done || err != nil {
		return Outcome{}, err
	}
	return Outcome{}, a.upgradeNode(ctx, host, in, false)
}

// upgradeNode makes sure first that the cluster is configured for the version: `kubeadm upgrade node` takes its target
// from there, not from us, and enforces no policy.
func (a *Activities) upgradeNode(ctx context.Context, host Host, in NodeInput, controlPlane bool) error {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return err
	}
	configured, err := api.ConfiguredVersion(ctx)
	if err != nil {
		return err
	}
	if configured != in.Version {
		return fault.New(fault.VerificationFailed, "upgrade node", in.Node,
			fmt.Sprintf("the cluster is configured for %s, wanted %s", configured, in.Version),
			"the first control plane must be upgraded before")
	}
	return host.KubeadmUpgradeNode(ctx, in.Version, controlPlane, in.Settings.IgnorePreflightErrors)
}
