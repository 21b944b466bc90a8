package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// smokeTest is the Job of a hook.
const smokeTest = `apiVersion: batch/v1
kind: Job
metadata: {name: smoke-test, namespace: shop}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: test, image: registry.example.com/test, command: [sh, -c, 'echo "$PAWL_CLUSTER is at $PAWL_TO"']}
`

// TestAdditions: a health gate goes false in the middle of the workers, and the upgrade waits until it is true again; a
// hook of nodes runs once on each though server and worker are killed while it runs; another fails and is held; those who
// are notified learn of all that in order, and their address is nowhere to be seen.
func TestAdditions(t *testing.T) {
	t.Parallel()
	var errorRate atomic.Value // what the stand-in for Prometheus says, as its HTTP API is documented
	errorRate.Store(`{"metric":{},"value":[1435781451.781,"0"]}`)
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, errorRate.Load())
	}))
	defer prometheus.Close()
	ops := &receiver{}
	chat := httptest.NewServer(ops)
	defer chat.Close()

	s := newStageAlone(t, "added", bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}}, `
notifications:
  - {name: ops, urlFile: ./ops.url, headerFile: ./ops.header}
  - {name: nobody, url: "`+chat.URL+`/n0b0dy", events: [start]}
hooks:
  - {name: mark, when: beforeNode, parts: [node], command: [sh, -c, 'echo "$PAWL_EVENT $PAWL_NODE $PAWL_FROM $PAWL_TO" >> /var/lib/marks; sleep 300'], timeout: 1h}
  - {name: picky, when: afterNode, parts: [kubelet], command: [sh, -c, 'echo "$PAWL_NODE is not as I want it"; test -e /var/lib/as-i-want-it']}
  - {name: smoke test, when: afterHop, job: ./smoke.job}
  - {name: ticket, when: afterUpgrade, http: {urlFile: ./ops.url, headerFile: ./ops.header}}
health:
  soak: 1s
  prometheus: {address: "`+prometheus.URL+`"}
  checks:
    - {name: error rate, promql: 'sum(rate(http_requests_total{code=~"5.."}[2m])) < 1'}
    - {name: web ready, objects: {apiVersion: apps/v1, kind: Deployment, namespace: shop, name: web}, cel: 'object.status.readyReplicas >= 1'}
    - {name: nodes ready, objects: {apiVersion: v1, kind: Node}, cel: 'objects.all(n, n.status.conditions.exists(c, c.type == "Ready" && c.status == "True"))'}
`)
	for name, text := range map[string]string{"ops.url": chat.URL + "/services/s3cr3t\n", "ops.header": "Authorization: Bearer t0k3n\n", "smoke.job": smokeTest} {
		require.NoError(t, os.WriteFile(filepath.Join(s.dev.clusters(), name), []byte(text), 0o600))
	}

	// What is wrong is found beforehand, and nothing is done then.
	errorRate.Store("")
	require.NoError(t, os.WriteFile(filepath.Join(s.dev.clusters(), "smoke.job"), []byte("kind: Pod"), 0o600))
	out, code := s.pawl(s.wanted("plan")...)
	require.Equal(t, 10, code, out)
	require.Contains(t, out, "error rate: the health gate is not true now: no series: the comparison is not true, or there is no data; put the workload right, or the check, or waive health")
	require.Contains(t, out, "smoke test: read the Job of added")
	errorRate.Store(`{"metric":{},"value":[1435781451.781,"0"]}`)
	require.NoError(t, os.WriteFile(filepath.Join(s.dev.clusters(), "smoke.job"), []byte(smokeTest), 0o600))
	out, code = s.pawl(s.wanted("plan")...)
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "between nodes, and after the last: web ready (CEL) true for 1s, waited for at most 30m0s\n")
	require.Contains(t, out, "before each node (node): mark (command, at most 1h0m0s)\n")
	require.Empty(t, ops.events(), "a plan tells nobody")
	require.Zero(t, s.begun("w1", "systemd-run"))

	s.start()
	s.held("Hook picky, after cp1 (kubelet): run sh on cp1: it failed (exit-code, status 1): cp1 is not as I want it", "pawl retry added", "pawl pass added")
	require.Zero(t, s.begun("w1", "sh -c echo"), "no worker has been begun")
	s.run("cp1", "touch /var/lib/as-i-want-it")
	s.retry()

	require.Eventually(t, func() bool { return s.begun("w1", "sh -c echo") == 1 }, time.Minute, 20*time.Millisecond)
	s.killed() // inside the hook
	errorRate.Store("")
	s.is(upgrade.Waiting)
	require.Contains(t, s.status().Message, "Health gate: until true for 1s: error rate, web ready, nodes ready")
	require.Equal(t, upgrade.Done, nodeOf(t, s.status(), "w1").State)
	require.Equal(t, upgrade.ForHealth, s.status().Waits[0].For)
	time.Sleep(2 * time.Second) // longer than the soak time
	require.Equal(t, upgrade.Waiting, s.status().State)
	require.Zero(t, s.begun("w2", "sh -c echo"), "the next node waits for health")
	errorRate.Store(`{"metric":{},"value":[1435781451.781,"0.4"]}`)
	s.watch(0)
	s.requireUpgraded()

	for _, w := range []string{"w1", "w2"} {
		require.Equal(t, fmt.Sprintf("beforeNode %s v1.36.3 v1.37.2\n", w), s.run(w, "cat /var/lib/marks"), "the hook ran once")
		require.Equal(t, 1, s.begun(w, "sh -c echo"))
		require.NotContains(t, s.run(w, "systemctl list-units --all --plain --no-legend 'pawl-hook-*'"), "pawl-hook", "nothing is left on the host")
	}
	require.NotContains(t, s.run("cp1", "ls /var/lib"), "marks", "it is a hook of workers")
	jobs, err := s.Client().BatchV1().Jobs("shop").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, jobs.Items, 1)
	require.EqualValues(t, 1, jobs.Items[0].Status.Succeeded)

	require.Equal(t, []string{"start", "hold", "afterUpgrade", "done"}, ops.events())
	hold := ops.got[1]
	require.Equal(t, "added", hold.Cluster)
	require.Equal(t, "v1.36.3", hold.From.String())
	require.Contains(t, hold.Text, "added v1.36.3 → v1.37.2: held, waits for a person: Hook picky, after cp1 (kubelet): ")
	require.Equal(t, []string{"retry", "pass"}, []string{hold.Choices[0].Update, hold.Choices[1].Update})
	require.Contains(t, hold.Link, "http://"+s.dev.ui+"/namespaces/default/workflows/cluster-upgrade%2Fadded/")
	report := s.report()
	require.Len(t, report.Notices, 1)
	require.Equal(t, "nobody was not notified of start: call the webhook nobody: it answers 400: invalid_payload", report.Notices[0].Text)
	for _, secret := range []string{"s3cr3t", "t0k3n", "n0b0dy"} {
		for name, text := range s.told() {
			require.NotContains(t, text, secret, name)
		}
	}
	s.record("added", "", "w1")
}

// told is all that pawl has said or kept of the upgrade where people can read it.
func (s *stage) told() map[string]string {
	s.t.Helper()
	texts := map[string]string{}
	for _, file := range []string{"dev.log", "data/worker.log"} {
		text, err := os.ReadFile(filepath.Join(s.dev.dir, file))
		require.NoError(s.t, err)
		texts[file] = string(text)
	}
	for _, args := range [][]string{{"inventory", s.name}, {"report", s.name, "-o", "json"}, {"status", s.name, "-o", "json"}, append(s.wanted("plan"), "-o", "json")} {
		texts[args[0]], _ = s.pawl(args...)
	}
	c, err := client.Dial(client.Options{HostPort: s.dev.address})
	require.NoError(s.t, err)
	defer c.Close()
	events := c.GetWorkflowHistory(s.t.Context(), workflows.ClusterUpgradeID(s.name), "", false, 0)
	var history strings.Builder
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(s.t, err)
		for _, part := range slices.Concat(event.GetActivityTaskScheduledEventAttributes().GetInput().GetPayloads(), event.GetActivityTaskCompletedEventAttributes().GetResult().GetPayloads()) {
			history.Write(part.GetData())
		}
		history.WriteString(event.String())
	}
	texts["history"] = history.String()
	return texts
}

// receiver is what a chat program is to webhooks.
type receiver struct {
	mu  sync.Mutex
	got []upgrade.Message
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	text, _ := io.ReadAll(req.Body)
	var m upgrade.Message
	if json.Unmarshal(text, &m) != nil || req.URL.Path != "/services/s3cr3t" || req.Header.Get("Authorization") != "Bearer t0k3n" || m.Text == "" {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, m)
}

// events are those that were received, in order.
func (r *receiver) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, m := range r.got {
		all = append(all, string(m.Event))
	}
	return all
}
