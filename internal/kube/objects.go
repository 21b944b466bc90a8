package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	objectsPage = 500
	// mostObjects bounds what one look fetches.
	mostObjects = 5000
)

// Objects fetches the objects that a health check looks at, as their JSON is. Of one that is named and does not exist
// there is none, and no error.
func (c *Cluster) Objects(ctx context.Context, o upgrade.Objects) ([]map[string]any, error) {
	const op = "look at"
	objects, err := c.resource(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Name != "" {
		one, err := objects.Get(ctx, o.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, c.classify(op, o.String(), err)
		}
		return []map[string]any{one.Object}, nil
	}
	var all []map[string]any
	page := metav1.ListOptions{LabelSelector: o.Selector, Limit: objectsPage}
	for {
		list, err := objects.List(ctx, page)
		if err != nil {
			return nil, c.classify(op, o.String(), err)
		}
		for _, item := range list.Items {
			all = append(all, item.Object)
		}
		if page.Continue = list.GetContinue(); page.Continue == "" {
			return all, nil
		}
		if len(all) >= mostObjects {
			return nil, fault.New(fault.InvalidInput, op, o.String(), fmt.Sprintf("there are more than %d", mostObjects), "narrow the check by a namespace or a selector")
		}
	}
}

// resource finds what the API calls a kind.
func (c *Cluster) resource(ctx context.Context, o upgrade.Objects) (dynamic.ResourceInterface, error) {
	const op = "look at"
	group, err := schema.ParseGroupVersion(o.APIVersion)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, op, o.String(), err, "")
	}
	mapping, err := c.mapping(ctx, schema.GroupKind{Group: group.Group, Kind: o.Kind}, group.Version)
	if meta.IsNoMatchError(err) {
		return nil, fault.New(fault.InvalidInput, op, o.String(), fmt.Sprintf("the cluster has no kind %s in %s", o.Kind, o.APIVersion), "")
	}
	if err != nil {
		return nil, c.classify(op, o.String(), err)
	}
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		return nil, c.classify(op, o.String(), err)
	}
	all := client.Resource(mapping.Resource)
	switch namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace; {
	case !namespaced && o.Namespace != "":
		return nil, fault.New(fault.InvalidInput, op, o.String(), "objects of this kind are in no namespace", "leave the namespace out")
	case namespaced && o.Namespace == "" && o.Name != "":
		return nil, fault.New(fault.InvalidInput, op, o.String(), "it has no namespace", "name the namespace")
	case namespaced && o.Namespace != "":
		return all.Namespace(o.Namespace), nil
	}
	return all, nil
}

// mapping asks the mapper, which knows no context, for as long as ctx lasts.
func (c *Cluster) mapping(ctx context.Context, kind schema.GroupKind, version string) (*meta.RESTMapping, error) {
	var mapping *meta.RESTMapping
	answered := make(chan error, 1)
	go func() {
		var err error
		mapping, err = c.mapper().RESTMapping(kind, version)
		answered <- err
	}()
	select {
	case err := <-answered:
		return mapping, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mapper knows the API's kinds. What it knows is thrown away when a kind is not among it, since an upgrade brings new
// ones; see DeferredDiscoveryRESTMapper.
func (c *Cluster) mapper() meta.RESTMapper {
	c.mapOnce.Do(func() {
		c.kinds = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	})
	return c.kinds
}
