package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/aws"
	"github.com/pawl-dev/pawl/internal/config"
	"github.com/pawl-dev/pawl/internal/eks"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/health"
	"github.com/pawl-dev/pawl/internal/provision"
	"github.com/pawl-dev/pawl/internal/webhook"
)

// What a definition adds to the runbook, opened. Files that it names are read each time.

// Notification implements activities.Directory.
func (d *directory) Notification(cluster, name string) (activities.Webhook, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return nil, err
	}
	for _, n := range c.Notifications {
		if n.Name == name {
			return endpoint(name, n.Endpoint, ""), nil
		}
	}
	return nil, gone("notification", name, cluster)
}

// Provider implements activities.Directory.
func (d *directory) Provider(ctx context.Context, cluster, pool string) (activities.NodeProvider, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return nil, err
	}
	p, err := c.ProviderOf(pool)
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.InvalidInput, "find the provider of pool", pool, err, "put it back, or abort")
	case p.ASG != nil:
		return opened(aws.NewGroup(ctx, *p.ASG))
	case p.EC2 != nil:
		return opened(aws.NewInstances(ctx, *p.EC2))
	case p.Command != nil:
		return provision.NewCommand(*p.Command, d.folder), nil
	default:
		return provision.NewWebhook(*p.Webhook, pool), nil
	}
}

// Managed implements activities.Directory.
func (d *directory) Managed(ctx context.Context, cluster string) (activities.Managed, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return nil, err
	}
	if c.EKS == nil {
		return nil, fault.New(fault.InvalidInput, "open the control plane of", cluster, "no provider runs it any more, by its definition", "put the provider back, or abort")
	}
	return eks.New(ctx, c.EKS.Config)
}

// opened is the provider, or no provider at all.
func opened[P activities.NodeProvider](p P, err error) (activities.NodeProvider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Hook implements activities.Directory.
func (d *directory) Hook(cluster, name string) (activities.Hook, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return activities.Hook{}, err
	}
	for _, h := range c.Hooks {
		switch {
		case h.Name != name:
		case h.HTTP != nil:
			return activities.Hook{Webhook: endpoint(name, h.HTTP.Endpoint, h.HTTP.Method)}, nil
		case h.Job != "":
			manifest, err := os.ReadFile(h.Job)
			return activities.Hook{Manifest: manifest}, fault.Wrap(fault.InvalidInput, "read the Job of hook", name, err, "")
		default:
			return activities.Hook{Command: h.Command}, nil
		}
	}
	return activities.Hook{}, gone("hook", name, cluster)
}

// Gate implements activities.Directory. Here the two meet that look at health and that fetch objects.
func (d *directory) Gate(cluster string) (activities.Gate, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return nil, err
	}
	api, err := d.kube(cluster)
	if err != nil {
		return nil, err
	}
	p := c.Health.Prometheus
	return health.Gate{
		Checks: c.Health.Checks, Fetch: api.Objects,
		Prometheus: health.Prometheus{Address: p.Address, BearerTokenFile: p.BearerTokenFile},
	}, nil
}

func endpoint(name string, e config.Endpoint, method string) webhook.Endpoint {
	return webhook.Endpoint{Name: name, URL: e.URL, URLFile: e.URLFile, URLEnv: e.URLEnv, HeaderFile: e.HeaderFile, Method: method}
}

func gone(what, name, cluster string) error {
	return fault.New(fault.NotFound, "find "+what, name, fmt.Sprintf("the definition of %s has it no more", cluster), "put it back, or go on without it")
}
