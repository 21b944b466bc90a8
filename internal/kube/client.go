// Package kube talks to the Kubernetes API of one cluster.
//
// Rule: it observes and acts on API objects and classifies its own errors; it knows nothing of the order of an upgrade,
// and it never tries a request again by itself for longer than a client library does.
package kube

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pawl-dev/pawl/internal/fault"
)

// requestTimeout bounds one request. Watches and execs set their own.
const requestTimeout = 15 * time.Second

// Cluster is the API of one cluster. It is safe for concurrent use.
type Cluster struct {
	name   string
	config *rest.Config
	client kubernetes.Interface
	// managed: a provider runs the control plane.
	managed bool
	// byHand: nothing of the control plane runs as pods.
	byHand bool

	mapOnce sync.Once
	kinds   meta.RESTMapper // see mapper
}

// Open reads a kubeconfig and makes a client. It makes no request.
func Open(name, kubeconfig string) (*Cluster, error) {
	if _, err := os.Stat(kubeconfig); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "open kubeconfig of", name, err, "set kubeconfig in the cluster's definition to a file that the worker can read")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "read kubeconfig "+kubeconfig+" of", name, err, "check that it is a kubeconfig with a current context")
	}
	config.QPS, config.Burst = 50, 100
	config.UserAgent = "pawl"
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "read kubeconfig "+kubeconfig+" of", name, err, "")
	}
	return &Cluster{name: name, config: config, client: client}, nil
}

// classify says what kind of fault an API error is. nil stays nil.
func (c *Cluster) classify(op, target string, err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	kind, remedy := fault.Unexpected, ""
	switch {
	case apierrors.IsUnauthorized(err):
		kind, remedy = fault.Unauthorized, "check the credentials in the cluster's kubeconfig"
	case apierrors.IsForbidden(err):
		kind, remedy = fault.Unauthorized, "grant the permission to the user of the cluster's kubeconfig"
	case apierrors.IsNotFound(err):
		kind = fault.NotFound
	case apierrors.IsConflict(err):
		kind = fault.Conflict
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsInternalError(err):
		kind = fault.Unreachable
	case apierrors.ReasonForError(err) == "": // no answer from the API: refused, reset, timed out
		kind = fault.Unreachable
		remedy = "check that the API server answers at " + c.config.Host
	}
	return fault.Wrap(kind, op, target, err, remedy)
}

// bounded limits one request.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestTimeout)
}

// getFrom asks one API server on its own address, with the cluster's credentials. Its certificate names the address, as
// kubeadm makes it. The caller closes the body; reading it counts towards the request's time-out.
func (c *Cluster) getFrom(ctx context.Context, op, node, endpoint, path string) (*http.Response, error) {
	config := rest.CopyConfig(c.config)
	config.Timeout = requestTimeout
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, c.classify(op, node, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+endpoint+path, nil)
	if err != nil {
		return nil, c.classify(op, node, err)
	}
	response, err := client.Do(request)
	return response, fault.Wrap(fault.Unreachable, op, node, err, "")
}
