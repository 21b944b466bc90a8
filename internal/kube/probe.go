package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// probeTimeout is how soon an API server must answer a probe.
const probeTimeout = 2 * time.Second

// APIServerProbe looks up the address of the node's own API server, and returns what asks its /readyz once. Each probe
// connects anew: a connection kept from before says nothing of a server that was replaced.
func (c *Cluster) APIServerProbe(ctx context.Context, node string) (func(context.Context) error, error) {
	const op = "probe kube-apiserver of"
	pods, err := c.controlPlanePods(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := ""
	for _, p := range pods {
		if p.Labels["component"] == upgrade.APIServer && p.Spec.NodeName == node {
			endpoint = p.Annotations[advertiseAddress]
		}
	}
	if endpoint == "" {
		return nil, fault.New(fault.NotFound, op, node, "its address is not known", "")
	}
	client, err := c.probeClient()
	if err != nil {
		return nil, c.classify(op, node, err)
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+endpoint+"/readyz", nil)
		if err != nil {
			return c.classify(op, node, err)
		}
		response, err := client.Do(request)
		if err != nil {
			return fault.Wrap(fault.Unreachable, op, node, err, "")
		}
		defer func() { _ = response.Body.Close() }()
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096))
		if response.StatusCode != http.StatusOK {
			return fault.New(fault.Unreachable, op, node, fmt.Sprintf("/readyz answers %d", response.StatusCode), "")
		}
		return nil
	}, nil
}

func (c *Cluster) probeClient() (*http.Client, error) {
	tls, err := rest.TLSConfigFor(c.config)
	if err != nil {
		return nil, err
	}
	transport, err := rest.HTTPWrappersForConfig(c.config, &http.Transport{
		TLSClientConfig: tls, DisableKeepAlives: true, Proxy: c.config.Proxy,
	})
	return &http.Client{Transport: transport, Timeout: probeTimeout}, err
}
