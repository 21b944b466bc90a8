package kube

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// look is one thing that a plan wants to know, and how it is found out.
type look struct {
	what  string
	where where
	do    func(context.Context) ([]upgrade.Finding, error)
}

// where says in which clusters there is something to look at.
type where string

const (
	everywhere    where = ""
	madeByKubeadm where = "madeByKubeadm" // the control plane's pods and what kubeadm keeps
	unmanaged     where = "unmanaged"     // what a provider would show as an add-on of its own
)

// has reports whether the cluster has what is looked at there.
func (c *Cluster) has(w where) bool {
	return w == everywhere || w == madeByKubeadm && c.madeByKubeadm() || w == unmanaged && !c.managed
}

// lookFurther fills in what a plan wants to know beside nodes and health. It asks side by side. What cannot be
// looked at is a finding that says so: a plan can be made without.
func (c *Cluster) lookFurther(ctx context.Context, seen *upgrade.Cluster, controlPlane []corev1.Pod, s upgrade.Settings) {
	uses, oldest := &apiUses{}, upgrade.Oldest(*seen)
	looks := []look{
		{"permissions", everywhere, func(ctx context.Context) ([]upgrade.Finding, error) { return c.permissions(ctx, s) }},
		{"the cluster's lock", everywhere, func(ctx context.Context) (_ []upgrade.Finding, err error) {
			seen.Lock, err = c.Lock(ctx)
			return nil, err
		}},
		{"kubeadm's configuration", madeByKubeadm, func(ctx context.Context) (_ []upgrade.Finding, err error) {
			seen.Kubeadm, err = c.configuration(ctx)
			return nil, err
		}},
		{"CoreDNS", unmanaged, func(ctx context.Context) (found []upgrade.Finding, err error) {
			seen.CoreDNS, found, err = c.coreDNS(ctx)
			return found, err
		}},
		{"DaemonSets", unmanaged, func(ctx context.Context) (found []upgrade.Finding, err error) {
			seen.KubeProxy, found, err = c.daemonSets(ctx)
			return found, err
		}},
		{"cloud-controller-managers", unmanaged, func(ctx context.Context) (_ []upgrade.Finding, err error) {
			seen.CloudControllers, err = c.cloudControllers(ctx)
			return nil, err
		}},
		{"webhooks", everywhere, c.webhooks},
		{"CustomResourceDefinitions", everywhere, c.storedVersions},
		{"etcd's alarms and size", madeByKubeadm, func(ctx context.Context) ([]upgrade.Finding, error) { return c.etcdStatus(ctx, controlPlane) }},
		{"who wrote objects with old versions of APIs", madeByKubeadm, func(ctx context.Context) ([]upgrade.Finding, error) {
			return nil, c.writtenAPIs(ctx, oldest, uses)
		}},
	}
	looks = slices.DeleteFunc(looks, func(l look) bool { return !c.has(l.where) })
	if !c.madeByKubeadm() {
		controlPlane = nil
	}
	for _, p := range controlPlane {
		node, endpoint := p.Spec.NodeName, p.Annotations[advertiseAddress]
		if p.Labels["component"] != upgrade.APIServer || endpoint == "" {
			continue
		}
		looks = append(looks,
			look{"requests for old versions of APIs on " + node, madeByKubeadm, func(ctx context.Context) ([]upgrade.Finding, error) {
				return nil, c.requestedAPIs(ctx, node, endpoint, uses)
			}},
			look{"version of kube-apiserver on " + node, madeByKubeadm, func(ctx context.Context) ([]upgrade.Finding, error) {
				emulates, err := c.emulates(ctx, node, endpoint)
				for i := range seen.Nodes {
					if seen.Nodes[i].Name == node {
						seen.Nodes[i].Emulates = emulates
					}
				}
				return nil, err
			}})
	}
	results := make([][]upgrade.Finding, len(looks))
	var wg sync.WaitGroup
	for i, l := range looks {
		wg.Go(func() {
			var err error
			if results[i], err = l.do(ctx); err != nil {
				results[i] = append(results[i], notObserved(l.what, err))
			}
		})
	}
	wg.Wait()
	for _, found := range results {
		seen.Problems = append(seen.Problems, found...)
	}
	seen.APIs = uses.all()
}

// notObserved says that something was not looked at, and why.
func notObserved(what string, err error) upgrade.Finding {
	f := upgrade.Finding{ID: upgrade.NotObserved, Severity: upgrade.SeverityInfo, Target: what, Message: "not looked at: " + err.Error()}
	if fault.Is(err, fault.Unauthorized) {
		f.Message, f.Remedy = "not looked at: the kubeconfig's user may not", "grant what the reference lists under permissions"
	}
	return f
}
