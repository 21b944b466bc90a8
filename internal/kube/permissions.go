package kube

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// needed is what an upgrade cannot do without. What only a plan asks is not among it: it is missed when it is asked.
var needed = []authorizationv1.ResourceAttributes{
	{Verb: "update", Resource: "nodes"},
	{Verb: "list", Resource: "pods"},
	{Verb: "watch", Resource: "pods"},
	{Verb: "watch", Group: "policy", Resource: "poddisruptionbudgets"},
	{Verb: "create", Resource: "pods", Subresource: "eviction"},
	{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: metav1.NamespaceSystem},
	{Verb: "get", Resource: "nodes", Subresource: "proxy"},
	{Verb: "get", Group: "apps", Resource: "daemonsets"},
	{Verb: "list", Group: "apps", Resource: "daemonsets", Namespace: metav1.NamespaceSystem},
	{Verb: "get", Resource: "configmaps", Namespace: metav1.NamespaceSystem},
	{Verb: "get", Group: "coordination.k8s.io", Resource: "leases", Namespace: metav1.NamespaceSystem},
	{Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: metav1.NamespaceSystem},
	{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: metav1.NamespaceSystem, Name: lockName},
}

// neededToReplace is what replacing nodes by new ones needs besides, and neededToStop what stopping their pods does.
var (
	neededToReplace = []authorizationv1.ResourceAttributes{
		{Verb: "delete", Resource: "nodes"},
		{Verb: "list", Group: "storage.k8s.io", Resource: "volumeattachments"},
		{Verb: "create", Resource: "secrets", Namespace: metav1.NamespaceSystem},
		{Verb: "delete", Resource: "secrets", Namespace: metav1.NamespaceSystem},
		{Verb: "get", Resource: "configmaps", Namespace: metav1.NamespacePublic},
	}
	neededToStop = []authorizationv1.ResourceAttributes{
		{Verb: "delete", Resource: "pods"},
		{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices"},
	}
)

// neededForFargate is what restarting workloads needs.
var neededForFargate = []authorizationv1.ResourceAttributes{
	{Verb: "list", Group: "apps", Resource: "deployments"},
	{Verb: "patch", Group: "apps", Resource: "deployments"},
	{Verb: "list", Group: "apps", Resource: "statefulsets"},
	{Verb: "patch", Group: "apps", Resource: "statefulsets"},
}

// ofKubeadm are for what is only done to clusters made by kubeadm.
var ofKubeadm = []authorizationv1.ResourceAttributes{
	{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: metav1.NamespaceSystem},
	{Verb: "get", Resource: "nodes", Subresource: "proxy"},
	{Verb: "get", Resource: "configmaps", Namespace: metav1.NamespaceSystem},
}

// neededFor is what an upgrade by these settings needs.
func neededFor(s upgrade.Settings) []authorizationv1.ResourceAttributes {
	all, pools := needed, s.Pools
	if s.RestartFargate {
		all = slices.Concat(all, neededForFargate)
	}
	if slices.ContainsFunc(pools, func(p upgrade.PoolSettings) bool { return p.Strategy == upgrade.AddNewNodes }) {
		all = slices.Concat(all, neededToReplace)
	}
	if slices.ContainsFunc(pools, func(p upgrade.PoolSettings) bool { return p.Strategy == upgrade.AllAtOnce }) {
		all = slices.Concat(all, neededToStop)
	}
	return all
}

// permissions asks, side by side, whether the kubeconfig's user may do what an upgrade has to: found at the plan, and not
// when a node is cordoned already.
func (c *Cluster) permissions(ctx context.Context, s upgrade.Settings) ([]upgrade.Finding, error) {
	needed := neededFor(s)
	if !c.madeByKubeadm() {
		needed = slices.DeleteFunc(slices.Clone(needed), func(a authorizationv1.ResourceAttributes) bool { return slices.Contains(ofKubeadm, a) })
	}
	missing := make([]bool, len(needed))
	group, ctx := errgroup.WithContext(ctx)
	for i := range needed {
		group.Go(func() error {
			ctx, cancel := bounded(ctx)
			defer cancel()
			review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &needed[i]},
			}, metav1.CreateOptions{})
			if err != nil {
				return c.classify("ask for the permissions in", c.name, err)
			}
			missing[i] = !review.Status.Allowed
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var found []upgrade.Finding
	for i, n := range needed {
		if missing[i] {
			found = append(found, upgrade.Finding{ID: upgrade.Permission, Severity: upgrade.SeverityError,
				Message: "the kubeconfig's user may not " + permission(n), Remedy: "grant it; the reference lists all permissions",
				Source: "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"})
		}
	}
	return found, nil
}

// permission is how a person says it: "create pods/exec in kube-system".
func permission(a authorizationv1.ResourceAttributes) string {
	name := a.Resource
	if a.Subresource != "" {
		name += "/" + a.Subresource
	}
	if a.Group != "" {
		name += "." + a.Group
	}
	if a.Name != "" {
		name += " " + a.Name
	}
	words := []string{a.Verb, name}
	if a.Namespace != "" {
		words = append(words, "in", a.Namespace)
	}
	return strings.Join(words, " ")
}
