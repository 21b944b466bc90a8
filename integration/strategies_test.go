package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestStrategies: three pools in one upgrade, a zone each: one rolls, one is upgraded all at once, one gets new nodes from a
// webhook, while server and worker are killed in the steps of each.
func TestStrategies(t *testing.T) {
	t.Parallel()
	cloud := newCloud(t)
	s := newStageAlone(t, "strategies", bed.Options{ControlPlanes: 1, Workers: 6, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.05}, `
workers:
  pools:
    - {name: batch, selector: topology.kubernetes.io/zone=b, strategy: allAtOnce}
    - {name: cattle, selector: topology.kubernetes.io/zone=c, strategy: addNewNodes, provider: {webhook: {url: "`+cloud.URL+`", also: [withdraw, readmit, begin, end]}}}
  rebalance: true
`)
	cloud.bed = s.Bed
	s.deploy("pair", 2, corev1.NodeSelectorOpNotIn) // not where everything goes down at once
	s.deploy("nightly", 4, corev1.NodeSelectorOpIn)
	require.NoError(t, s.AwaitPods(t.Context()))
	pair, nightly := s.probe("pair"), s.probe("nightly")

	out, code := s.pawl(s.wanted("plan")...)
	require.Equal(t, 0, code, out)
	for _, want := range []string{
		"Pool batch, all at the same time: their applications are down",
		"Pool cattle, replaced by new nodes (webhook), at most 1 at a time",
		"Pool workers, at most 1 at a time",
		"batch: all 2 nodes are upgraded at the same time: what runs on them only is down for about",
	} {
		require.Contains(t, out, want)
	}

	s.start()
	s.held("before all 2 workers of pool batch are upgraded at the same time: an approval is wanted")
	s.killed()
	stop := s.killInEveryStep()
	s.say("approved", "approve", "strategies", "--reason", "the night is theirs")
	s.watch(0)
	killed := stop()
	for _, kind := range []upgrade.Step{upgrade.StopPods, upgrade.AddNode, upgrade.DrainNode, upgrade.RestartKubelet} {
		require.Contains(t, killed, kind, "pawl was killed in the steps of every strategy")
	}
	t.Logf("killed in %v", killed)
	s.requireUpgraded()

	require.Zero(t, pair.failed(), "of %d requests to a service with two replicas and a budget", pair.asked())
	report := s.report()
	require.Len(t, report.Outages, 1)
	require.Equal(t, "shop/nightly", report.Outages[0].Services[0].Service)
	away := report.Outages[0].Services[0].Down.Std()
	require.Greater(t, away, nightly.away()-2*time.Second, "no less than what was probed")
	t.Logf("pair: 0 of %d requests failed; nightly was away for %s, probed %s", pair.asked(), away, nightly.away())

	cloud.requireReplaced(t, "w2", "w5")
	tokens, err := s.Tokens(t.Context())
	require.NoError(t, err)
	require.Empty(t, tokens, "no join token is left")
	nodes, err := s.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for _, n := range nodes.Items {
		names = append(names, n.Name)
		require.False(t, slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return strings.HasPrefix(t.Key, "pawl.dev/") }), n.Name)
		require.NotContains(t, n.Labels, corev1.LabelNodeExcludeBalancers, n.Name)
	}
	require.Equal(t, []string{"cp1", "new-w2", "new-w5", "w1", "w3", "w4", "w6"}, names)
	require.NotEmpty(t, report.Spread)
	s.record("strategies", "", "w1", "w2", "w3")
	text, code := s.pawl("report", "strategies")
	require.Equal(t, 0, code, text)
	require.Contains(t, text, "new-w2")
	require.Contains(t, text, "shop/nightly")
}

// TestAllAtOnceMeasuresTheDowntime: agreed to beforehand, nothing waits for a person; what it costs is told as it was.
func TestAllAtOnceMeasuresTheDowntime(t *testing.T) {
	t.Parallel()
	s := newStage(t, "all-at-once", bed.Options{ControlPlanes: 1, Workers: 3, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.1}, "workers: {strategy: allAtOnce}\n")
	s.deploy("nightly", 4, corev1.NodeSelectorOpIn)
	require.NoError(t, s.AwaitPods(t.Context()))
	probed := s.probe("nightly")
	out, code := s.pawl(append(s.wanted("start"), "--waive", upgrade.ApplicationsDown)...)
	require.Equal(t, 0, code, out)
	s.watch(0)
	s.requireUpgraded()
	outage := s.report().Outages[0]
	require.Equal(t, "shop/nightly", outage.Services[0].Service)
	require.Positive(t, probed.failed())
	require.InDelta(t, probed.away().Seconds(), outage.Services[0].Down.Std().Seconds(), 2.5, "by clocks of whole seconds")
	t.Logf("nightly was away for %s, probed %s", outage.Services[0].Down, probed.away())
}

// TestAnAbortedReplacementLeavesThePoolAsItWas: a drain that nothing lets end is given up.
func TestAnAbortedReplacementLeavesThePoolAsItWas(t *testing.T) {
	t.Parallel()
	cloud := newCloud(t)
	s := newStage(t, "kept", bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}},
		"drain: {timeout: 5s}\nverify: {timeout: 15s}\nworkers: {strategy: addNewNodes, provider: {webhook: {url: \""+cloud.URL+"\", also: [withdraw, readmit, begin, end]}}}\n")
	cloud.bed = s.Bed
	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", true))
	s.start()
	s.held("w1", "blocked by PodDisruptionBudget shop/web")
	s.say("stopping", "abort", "kept", "--reason", "not tonight")
	s.watch(1)
	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", false))
	require.Equal(t, upgrade.Aborted, s.report().State)
	s.record("kept", "", "w1")
	require.Equal(t, []string{"begin", "add new-w1", "withdraw w1", "readmit w1", "end"}, cloud.did("begin", "add", "withdraw", "readmit", "end"))
	n, err := s.Client().CoreV1().Nodes().Get(t.Context(), "w1", metav1.GetOptions{})
	require.NoError(t, err)
	require.False(t, n.Spec.Unschedulable)
	require.Empty(t, n.Spec.Taints)
	require.NotContains(t, n.Labels, corev1.LabelNodeExcludeBalancers)
}

// deploy makes an application with a budget and a service, in zone b or not in it.
func (s *stage) deploy(name string, replicas int32, in corev1.NodeSelectorOperator) {
	s.t.Helper()
	ctx, labels := s.t.Context(), map[string]string{"k8s-app": name}
	one := intstr.FromInt32(1)
	_, err := s.Client().AppsV1().Deployments(bed.Namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: metav1.SetAsLabelSelector(labels), Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: name, Image: "registry.k8s.io/pause:3.10.2"}},
				Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: in, Values: []string{"b"}}}}}}}},
			}}},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	_, err = s.Client().PolicyV1().PodDisruptionBudgets(bed.Namespace).Create(ctx, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: metav1.SetAsLabelSelector(labels)},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	_, err = s.Client().CoreV1().Services(bed.Namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

// probing asks a service again and again, as kube-proxy would send a request: to an endpoint that is ready, or to none.
type probing struct {
	mu       sync.Mutex
	requests int
	refused  int
	since    time.Time // it is refused
	longest  time.Duration
}

func (s *stage) probe(service string) *probing {
	p := &probing{}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			list, err := s.Client().DiscoveryV1().EndpointSlices(bed.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0", LabelSelector: discoveryv1.LabelServiceName + "=" + service})
			if err == nil {
				p.saw(slices.ContainsFunc(list.Items, func(s discoveryv1.EndpointSlice) bool {
					return slices.ContainsFunc(s.Endpoints, func(e discoveryv1.Endpoint) bool { return e.Conditions.Ready != nil && *e.Conditions.Ready })
				}))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	s.t.Cleanup(func() { cancel(); <-ended })
	return p
}

func (p *probing) saw(served bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	switch {
	case served:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = time.Now()
		fallthrough
	default:
		p.refused++
		p.longest = max(p.longest, time.Since(p.since))
	}
}

func (p *probing) asked() int          { p.mu.Lock(); defer p.mu.Unlock(); return p.requests }
func (p *probing) failed() int         { p.mu.Lock(); defer p.mu.Unlock(); return p.refused }
func (p *probing) away() time.Duration { p.mu.Lock(); defer p.mu.Unlock(); return p.longest }

// killInEveryStep kills server and worker in the first step of each kind that it sees under way, until stop is called, which
// tells in which it did.
func (s *stage) killInEveryStep() (stop func() []upgrade.Step) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	var killed []upgrade.Step
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			out, _ := s.pawl("status", s.name, "-o", "json")
			var status upgrade.Status
			_ = json.Unmarshal([]byte(out), &status)
			for _, n := range status.Nodes {
				for _, step := range n.Steps {
					if step.State == upgrade.Running && !n.Role.IsControlPlane() && !slices.Contains(killed, step.Step) && ctx.Err() == nil {
						killed = append(killed, step.Step)
						_ = s.dev.killAndRestart()
					}
				}
			}
		}
	}()
	return func() []upgrade.Step { cancel(); <-ended; return killed }
}

// cloud is somebody's own way to get machines: a webhook that makes simulated ones.
type cloud struct {
	*httptest.Server
	bed *bed.Bed

	mu     sync.Mutex
	made   map[string]string // machines by key
	calls  []string
	broken []string
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{made: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	t.Cleanup(func() { require.Empty(t, c.broken) })
	return c
}

func (c *cloud) serve(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Action, Key, Zone string
		Version           upgrade.Version
		Old, Machine      *upgrade.Machine
		Join              *upgrade.Join
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &q); err != nil {
		c.breaks("%v", err)
	}
	answer := any(map[string]string{})
	what := q.Action
	switch q.Action {
	case "add":
		name := "new-" + q.Old.Node
		what += " " + name
		c.mu.Lock()
		if made, there := c.made[q.Key]; there && made != name {
			c.broken = append(c.broken, "the key of "+made+" asks for "+name)
		}
		c.made[q.Key] = name
		c.mu.Unlock()
		c.tryToken(q.Join)
		address, err := c.bed.AddNode(name, q.Version, q.Zone)
		if err != nil {
			c.breaks("%v", err)
		}
		answer = upgrade.Machine{ID: "machine-of-" + name, Address: address, Zone: q.Zone}
	case "remove":
		name := q.Machine.Node
		if name == "" {
			name = strings.TrimPrefix(q.Machine.ID, "machine-of-")
		}
		what += " " + name
		c.bed.RemoveNode(name)
	case "withdraw", "readmit":
		what += " " + q.Machine.Node
	}
	c.mu.Lock()
	c.calls = append(c.calls, what)
	c.mu.Unlock()
	_ = json.NewEncoder(w).Encode(answer)
}

// tryToken requires that the token lets a machine in.
func (c *cloud) tryToken(j *upgrade.Join) {
	as, err := kubernetes.NewForConfig(&rest.Config{Host: "https://" + j.Endpoint, BearerToken: j.Token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err == nil {
		_, err = as.AuthenticationV1().SelfSubjectReviews().Create(context.Background(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	}
	if err != nil {
		c.breaks("the token does not let a machine in: %v", err)
	}
}

func (c *cloud) breaks(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// did are the calls of these kinds, each once however often it was made.
func (c *cloud) did(kinds ...string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, call := range c.calls {
		kind, _, _ := strings.Cut(call, " ")
		if slices.Contains(kinds, kind) && !slices.Contains(all, call) {
			all = append(all, call)
		}
	}
	return all
}

// requireReplaced requires that each of these machines was replaced by one, and that nothing else was done.
func (c *cloud) requireReplaced(t *testing.T, old ...string) {
	t.Helper()
	want := []string{"begin"}
	for _, o := range old {
		want = append(want, "add new-"+o, "withdraw "+o, "remove "+o)
	}
	require.Equal(t, append(want, "end"), c.did("begin", "add", "withdraw", "readmit", "remove", "end"))
	require.Len(t, c.made, len(old), "one machine for each, whatever was killed")
}
