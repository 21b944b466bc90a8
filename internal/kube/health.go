package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// advertiseAddress is where kubeadm notes the address of a node's own API server.
const advertiseAddress = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"

// ControlPlaneHealth asks every API server on its own address, every etcd member, and the leases of
// controller-manager and scheduler. It returns all that is not healthy.
func (c *Cluster) ControlPlaneHealth(ctx context.Context) error {
	return errors.Join(c.healthProblems(ctx)...)
}

// healthProblems asks everything side by side.
func (c *Cluster) healthProblems(ctx context.Context) []error {
	if c.managed {
		if err := c.apiReady(ctx); err != nil {
			return []error{err}
		}
		return nil
	}
	if c.byHand {
		return slices.DeleteFunc([]error{c.apiReady(ctx), c.leaseRenewed(ctx, upgrade.ControllerManager), c.leaseRenewed(ctx, upgrade.Scheduler)},
			func(err error) bool { return err == nil })
	}
	pods, err := c.controlPlanePods(ctx)
	if err != nil {
		return []error{err}
	}
	checks := []func() error{
		func() error { return c.etcdHealth(ctx, pods) },
		func() error { return c.leaseRenewed(ctx, upgrade.ControllerManager) },
		func() error { return c.leaseRenewed(ctx, upgrade.Scheduler) },
	}
	for _, p := range pods {
		if p.Labels["component"] == upgrade.APIServer {
			checks = append(checks, func() error { return c.apiServerReady(ctx, p.Spec.NodeName, p.Annotations[advertiseAddress]) })
		}
	}
	results := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { results[i] = check() })
	}
	wg.Wait()
	var problems []error
	for _, err := range results {
		if err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// apiServerReady asks one API server's /readyz.
func (c *Cluster) apiServerReady(ctx context.Context, node, endpoint string) error {
	if endpoint == "" {
		return nil // not made by kubeadm: the pod's own readiness has to do
	}
	const op = "check kube-apiserver of"
	response, err := c.getFrom(ctx, op, node, endpoint, "/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode != http.StatusOK {
		return fault.New(fault.VerificationFailed, op, node,
			fmt.Sprintf("/readyz answers %d: %s", response.StatusCode, failedChecks(string(body))), "")
	}
	return nil
}

// failedChecks keeps the failed lines of a verbose health answer.
func failedChecks(body string) string {
	var failed []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "[-]") {
			failed = append(failed, strings.TrimSpace(line))
		}
	}
	if len(failed) == 0 {
		return strings.TrimSpace(body)
	}
	return strings.Join(failed, ", ")
}

// leaseSlack is added to a lease's own duration before it counts as no longer renewed, for clocks that differ.
const leaseSlack = 15 * time.Second

// leaseRenewed checks that the component's leader is at work.
func (c *Cluster) leaseRenewed(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	lease, err := c.client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return c.classify("read the lease of", name, err)
	}
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return fault.New(fault.VerificationFailed, "check", name, "its lease was never renewed", "")
	}
	limit := time.Duration(*lease.Spec.LeaseDurationSeconds)*time.Second + leaseSlack
	if age := time.Since(lease.Spec.RenewTime.Time); age > limit {
		return fault.New(fault.VerificationFailed, "check", name, fmt.Sprintf("its lease was renewed %s ago, wanted at most %s", age.Round(time.Second), limit), "")
	}
	return nil
}

// etcdHealth asks every member through the etcdctl of one of them. An external etcd has no pods here and is not asked.
func (c *Cluster) etcdHealth(ctx context.Context, controlPlane []corev1.Pod) error {
	var last error
	for _, p := range controlPlane {
		if p.Labels["component"] != etcdComponent || !podReady(&p) {
			continue
		}
		out, err := c.etcdctl(ctx, p.Spec.NodeName, "endpoint", "health", "--cluster", "--write-out=json")
		members, parsed := parseEtcdHealth(out)
		if parsed != nil {
			last = fault.Wrap(fault.Unreachable, "check etcd through", p.Name, errors.Join(err, parsed), "")
			continue // another member may answer
		}
		for _, m := range members {
			if !m.Health {
				return fault.New(fault.VerificationFailed, "check etcd member", m.Endpoint, "unhealthy: "+m.Error, "repair the member; an upgrade restarts one after another and needs all of them")
			}
		}
		return nil
	}
	for _, p := range controlPlane {
		if p.Labels["component"] == etcdComponent && last == nil {
			last = fault.New(fault.VerificationFailed, "check etcd", p.Name, "the pod is not Ready", "")
		}
	}
	return last
}

type etcdMemberHealth struct {
	Endpoint string `json:"endpoint"`
	Health   bool   `json:"health"`
	Error    string `json:"error"`
}

func parseEtcdHealth(out string) ([]etcdMemberHealth, error) {
	var members []etcdMemberHealth
	if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &members); err != nil {
		return nil, fmt.Errorf("etcdctl said %q", out)
	}
	if len(members) == 0 {
		return nil, errors.New("etcdctl named no member")
	}
	return members, nil
}
