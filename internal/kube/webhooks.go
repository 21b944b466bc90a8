package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// vital are requests that an upgrade cannot do without, and what a webhook that refuses them stands in the way of.
var vital = []struct {
	group, resource string
	operation       admissionv1.OperationType
	what            string
}{
	{"", "pods", admissionv1.Create, "new pods"},
	{"", "pods/eviction", admissionv1.Create, "evictions"},
	{"", "pods/binding", admissionv1.Create, "the scheduling of pods"},
	{"", "pods/status", admissionv1.Update, "the status of pods"},
	{"", "nodes", admissionv1.Update, "cordons"},
	{"", "nodes/status", admissionv1.Update, "the status of nodes"},
	{"coordination.k8s.io", "leases", admissionv1.Update, "leases"},
}

// webhook is one of either kind, as far as it matters here.
type webhook struct {
	name    string // for people: kind, configuration and webhook
	service *admissionv1.ServiceReference
	stops   []string // of vital
}

const webhookSource = "https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/"

// webhooks finds admission webhooks that must answer before something vital happens, and whose service has nobody to
// answer, or has all of them on one node. Webhooks that are called by URL are not looked at.
func (c *Cluster) webhooks(ctx context.Context) ([]upgrade.Finding, error) {
	all, err := c.vitalWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	var found []upgrade.Finding
	for _, w := range all {
		nodes, problem, err := c.serving(ctx, w.service)
		if err != nil {
			return found, err
		}
		if f, is := checkWebhook(w, nodes, problem); is {
			found = append(found, f)
		}
	}
	return found, nil
}

// vitalWebhooks are those that fail what they do not answer, among it something vital, and are called by service.
func (c *Cluster) vitalWebhooks(ctx context.Context) ([]webhook, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var all []webhook
	add := func(name string, policy *admissionv1.FailurePolicyType, client admissionv1.WebhookClientConfig, rules []admissionv1.RuleWithOperations) {
		if stops := stopsOf(rules); client.Service != nil && (policy == nil || *policy == admissionv1.Fail) && len(stops) > 0 {
			all = append(all, webhook{name, client.Service, stops})
		}
	}
	validating, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list webhooks of", c.name, err)
	}
	for _, configuration := range validating.Items {
		for _, w := range configuration.Webhooks {
			add("ValidatingWebhookConfiguration "+configuration.Name+", "+w.Name, w.FailurePolicy, w.ClientConfig, w.Rules)
		}
	}
	mutating, err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list webhooks of", c.name, err)
	}
	for _, configuration := range mutating.Items {
		for _, w := range configuration.Webhooks {
			add("MutatingWebhookConfiguration "+configuration.Name+", "+w.Name, w.FailurePolicy, w.ClientConfig, w.Rules)
		}
	}
	return all, nil
}

// stopsOf names what is vital among the rules.
func stopsOf(rules []admissionv1.RuleWithOperations) []string {
	var stops []string
	for _, v := range vital {
		if slices.ContainsFunc(rules, func(r admissionv1.RuleWithOperations) bool {
			return (slices.Contains(r.Operations, v.operation) || slices.Contains(r.Operations, admissionv1.OperationAll)) &&
				(slices.Contains(r.APIGroups, v.group) || slices.Contains(r.APIGroups, "*")) &&
				slices.ContainsFunc(r.Resources, func(pattern string) bool { return matchesResource(pattern, v.resource) }) &&
				(r.Scope == nil || *r.Scope == admissionv1.AllScopes || *r.Scope == scopeOf(v.resource))
		}) {
			stops = append(stops, v.what)
		}
	}
	return stops
}

func scopeOf(resource string) admissionv1.ScopeType {
	if strings.HasPrefix(resource, "nodes") {
		return admissionv1.ClusterScope
	}
	return admissionv1.NamespacedScope
}

// matchesResource is how a rule names resources: "pods", "pods/eviction", "pods/*", "*/eviction", "*" (no subresources)
// and "*/*". As the API server has it, "pods/*" is "pods", too.
// Source: k8s.io/apiserver pkg/admission/plugin/webhook/predicates/rules.
func matchesResource(pattern, resource string) bool {
	wantedName, wantedSub, _ := strings.Cut(pattern, "/")
	name, sub, _ := strings.Cut(resource, "/")
	return (wantedName == "*" || wantedName == name) && (wantedSub == sub || wantedSub == "*")
}

// serving are the nodes of the endpoints that answer for a service, with how many of each; or why there can be none. nil
// without a problem: that cannot be told.
func (c *Cluster) serving(ctx context.Context, s *admissionv1.ServiceReference) (nodes map[string]int, problem string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	service, err := c.client.CoreV1().Services(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, "does not exist", nil
	case err != nil:
		return nil, "", c.classify("read service "+s.Namespace+"/"+s.Name+" of", c.name, err)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return nil, "", nil
	}
	slices, err := c.client.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + s.Name})
	if err != nil {
		return nil, "", c.classify("list endpoints of "+s.Namespace+"/"+s.Name+" of", c.name, err)
	}
	nodes = map[string]int{}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				node := ""
				if e.NodeName != nil {
					node = *e.NodeName
				}
				nodes[node]++
			}
		}
	}
	if len(nodes) == 0 {
		return nil, "has no ready endpoint", nil
	}
	return nodes, "", nil
}

func checkWebhook(w webhook, nodes map[string]int, problem string) (upgrade.Finding, bool) {
	f := upgrade.Finding{ID: upgrade.Webhook, Severity: upgrade.SeverityError, Target: w.name, Source: webhookSource}
	service, stops := w.service.Namespace+"/"+w.service.Name, strings.Join(w.stops, ", ")
	switch {
	case problem != "":
		f.Message = fmt.Sprintf("it must answer before the API server lets through %s, and its service %s %s", stops, service, problem)
		f.Remedy = "bring its service back, set its failurePolicy to Ignore, or remove it"
	case len(nodes) == 1 && nodes[""] == 0:
		f.Severity = upgrade.SeverityWarning
		f.Message = fmt.Sprintf("it must answer before the API server lets through %s, and all endpoints of its service %s are on %s: nobody answers from its drain until they are back",
			stops, service, slices.Collect(maps.Keys(nodes))[0])
		f.Remedy = "run replicas of it on several nodes, with a PodDisruptionBudget, or leave its own namespace out by namespaceSelector"
	default:
		return f, false
	}
	return f, true
}
