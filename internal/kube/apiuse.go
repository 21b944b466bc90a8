package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// apiUses collects from several sides which old versions of APIs are in use.
type apiUses struct {
	mu   sync.Mutex
	uses map[schema.GroupVersionResource]*upgrade.APIUse
}

// note lets change add to what is known of one version of a resource.
func (a *apiUses) note(r schema.GroupVersionResource, change func(*upgrade.APIUse)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.uses == nil {
		a.uses = map[schema.GroupVersionResource]*upgrade.APIUse{}
	}
	if a.uses[r] == nil {
		a.uses[r] = &upgrade.APIUse{Group: r.Group, Version: r.Version, Resource: r.Resource}
	}
	change(a.uses[r])
}

// all are the uses in order; nil when there are none.
func (a *apiUses) all() []upgrade.APIUse {
	var all []upgrade.APIUse
	for _, r := range slices.SortedFunc(maps.Keys(a.uses), func(a, b schema.GroupVersionResource) int { return strings.Compare(a.String(), b.String()) }) {
		all = append(all, *a.uses[r])
	}
	return all
}

// insert adds a name to a sorted list without doubles.
func insert(names []string, name string) []string {
	if i, found := slices.BinarySearch(names, name); !found {
		names = slices.Insert(names, i, name)
	}
	return names
}

// requestedAPIs notes which deprecated APIs with a known end a node's API server was asked for since it started.
// Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/#locate-use-of-deprecated-apis
func (c *Cluster) requestedAPIs(ctx context.Context, node, endpoint string, uses *apiUses) error {
	return c.metricsOf(ctx, node, endpoint, "apiserver_requested_deprecated_apis", func(s sample) {
		gone, err := upgrade.ParseVersion(s.labels["removed_release"] + ".0")
		if err != nil || s.value == 0 {
			return // without an end
		}
		r := schema.GroupVersionResource{Group: s.labels["group"], Version: s.labels["version"], Resource: s.labels["resource"]}
		uses.note(r, func(u *upgrade.APIUse) {
			u.Removed, u.Requested = gone, insert(u.Requested, node)
		})
	})
}

// emulates asks a node's API server which release it behaves as; zero when it is its own, or it does not say.
func (c *Cluster) emulates(ctx context.Context, node, endpoint string) (upgrade.Version, error) {
	const op = "ask the version of kube-apiserver of"
	response, err := c.getFrom(ctx, op, node, endpoint, "/version")
	if err != nil {
		return upgrade.Version{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var info struct {
		Major          string `json:"major"`
		Minor          string `json:"minor"`
		EmulationMajor string `json:"emulationMajor"`
		EmulationMinor string `json:"emulationMinor"`
	}
	if response.StatusCode != http.StatusOK {
		return upgrade.Version{}, fault.New(fault.Unreachable, op, node, response.Status, "")
	}
	if err := json.NewDecoder(response.Body).Decode(&info); err != nil {
		return upgrade.Version{}, fault.Wrap(fault.Unreachable, op, node, err, "")
	}
	if info.EmulationMinor == "" || info.EmulationMinor == info.Minor && info.EmulationMajor == info.Major {
		return upgrade.Version{}, nil
	}
	v, err := upgrade.ParseVersion(info.EmulationMajor + "." + info.EmulationMinor + ".0")
	return v, fault.Wrap(fault.Unreachable, op, node, err, "")
}

const (
	mostPages  = 4 // per resource: what is written with an old version is rarely written once only
	listsAtOne = 6 // resources that are listed side by side
	mostNames  = 5 // managers that are named of one version of a resource
)

// writtenAPIs notes who wrote objects with a version of an API that a release after oldest removes. Objects are listed by
// another version, since listing is a request, too, and would be found the next time.
func (c *Cluster) writtenAPIs(ctx context.Context, oldest upgrade.Version, uses *apiUses) error {
	groups, lists, err := c.client.Discovery().ServerGroupsAndResources()
	if len(lists) == 0 {
		return c.classify("ask which APIs are served by", c.name, err) // else an aggregated API is away, which is another matter
	}
	client, err := metadata.NewForConfig(c.config)
	if err != nil {
		return c.classify("list metadata of", c.name, err)
	}
	return c.noteWritten(ctx, client, groups, lists, oldest, uses)
}

// noteWritten is writtenAPIs when it is known what is served.
func (c *Cluster) noteWritten(ctx context.Context, client metadata.Interface, groups []*metav1.APIGroup, lists []*metav1.APIResourceList, oldest upgrade.Version, uses *apiUses) error {
	served := listable(lists)
	var group errgroup.Group
	group.SetLimit(listsAtOne)
	for resource, old := range removedAfter(oldest) {
		for _, r := range old {
			if r.Objects && served[resource.WithVersion(r.Version)] {
				group.Go(func() error { return c.noteObjects(ctx, client, resource.WithVersion(r.Version), uses) })
			}
		}
		if v := lastingVersion(groups, served, resource, old); v != "" {
			group.Go(func() error { return c.noteManagers(ctx, client, resource.WithVersion(v), old, uses) })
		}
	}
	return group.Wait()
}

// removedAfter are the versions of resources that a release of a later minor removes.
func removedAfter(oldest upgrade.Version) map[schema.GroupResource][]upgrade.RemovedAPI {
	all := map[schema.GroupResource][]upgrade.RemovedAPI{}
	for _, r := range upgrade.RemovedAPIs {
		for _, name := range r.Resources {
			if r.Removed.Minor() > oldest.Minor() {
				resource := schema.GroupResource{Group: r.Group, Resource: name}
				all[resource] = append(all[resource], r)
			}
		}
	}
	return all
}

// listable are the resources that are served and can be listed.
func listable(lists []*metav1.APIResourceList) map[schema.GroupVersionResource]bool {
	all := map[schema.GroupVersionResource]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") {
				all[gv.WithResource(r.Name)] = true
			}
		}
	}
	return all
}

// lastingVersion is the first version of a resource that is served and stays, or "".
func lastingVersion(groups []*metav1.APIGroup, served map[schema.GroupVersionResource]bool, resource schema.GroupResource, old []upgrade.RemovedAPI) string {
	for _, g := range groups {
		for _, v := range g.Versions {
			goes := slices.ContainsFunc(old, func(r upgrade.RemovedAPI) bool { return r.Version == v.Version })
			if g.Name == resource.Group && !goes && served[resource.WithVersion(v.Version)] {
				return v.Version
			}
		}
	}
	return ""
}

// noteObjects notes whether there are objects of a resource.
func (c *Cluster) noteObjects(ctx context.Context, client metadata.Interface, r schema.GroupVersionResource, uses *apiUses) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	list, err := client.Resource(r).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return c.classify("list "+r.Resource+" of", c.name, err)
	}
	if len(list.Items) > 0 {
		uses.note(r, func(u *upgrade.APIUse) { u.Objects = true })
	}
	return nil
}

// noteManagers notes who wrote objects of a resource with one of the old versions.
func (c *Cluster) noteManagers(ctx context.Context, client metadata.Interface, r schema.GroupVersionResource, old []upgrade.RemovedAPI, uses *apiUses) error {
	options := metav1.ListOptions{Limit: pageSize}
	for range mostPages {
		ctx, cancel := bounded(ctx)
		list, err := client.Resource(r).List(ctx, options)
		cancel()
		if err != nil {
			return c.classify(fmt.Sprintf("list %s of", r.Resource), c.name, err)
		}
		for i := range list.Items {
			for _, field := range list.Items[i].ManagedFields {
				if slices.ContainsFunc(old, func(o upgrade.RemovedAPI) bool { return o.Group+"/"+o.Version == field.APIVersion }) {
					_, version, _ := strings.Cut(field.APIVersion, "/")
					uses.note(r.GroupResource().WithVersion(version), func(u *upgrade.APIUse) {
						if len(u.Managers) < mostNames {
							u.Managers = insert(u.Managers, field.Manager)
						}
					})
				}
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
	return nil
}
