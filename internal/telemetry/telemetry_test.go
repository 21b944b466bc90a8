package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/metrics"
	"github.com/pawl-dev/pawl/internal/telemetry/panels"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/internal/visibility"
	"github.com/pawl-dev/pawl/workflows"
)

// worker is a registry that has seen one of everything, and answers.
func worker(t *testing.T, look Look) (*Registry, *Server) {
	t.Helper()
	r, err := NewRegistry()
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", r)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, r.Register(Upgrades(look)))
	return r, s
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + s.Address + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

var held = time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)

func twoUpgrades(context.Context) ([]visibility.Upgrade, error) {
	return []visibility.Upgrade{
		{Cluster: "prod", Target: "v1.37.2", State: upgrade.Held, Phase: "workers", HeldAt: "w1", Nodes: 5, NodesDone: 3, Started: held.Add(-time.Hour),
			TaskQueue: "pawl", Moments: workflows.Moments{HeldSince: held}},
		{Cluster: "test", Target: "v1.37.2", State: upgrade.Failed, Phase: "plan", Started: held.Add(-time.Hour), Ended: held, TaskQueue: "pawl"},
	}, nil
}

func TestUpgradesAreTheSameWhoeverIsAsked(t *testing.T) {
	_, one := worker(t, twoUpgrades)
	_, another := worker(t, twoUpgrades)
	of := func(s *Server) string {
		code, text := get(t, s, "/metrics")
		require.Equal(t, http.StatusOK, code)
		return strings.Join(regexp.MustCompile(`(?m)^pawl_(upgrade_[a-z_]+|temporal_up)(\{.*cluster.*)? .*$`).FindAllString(text, -1), "\n")
	}
	text := of(one)
	require.Equal(t, text, of(another))
	for _, want := range []string{
		`pawl_upgrade_state{cluster="prod",state="held"} 1`, `pawl_upgrade_state{cluster="prod",state="failed"} 0`,
		`pawl_upgrade_state{cluster="test",state="failed"} 1`,
		`pawl_upgrade_info{cluster="prod",phase="workers",target="v1.37.2",task_queue="pawl"} 1`,
		fmt.Sprintf(`pawl_upgrade_held_timestamp_seconds{at="w1",cluster="prod"} %v`, float64(held.Unix())),
		`pawl_upgrade_held_timestamp_seconds{at="",cluster="test"} 0`,
		fmt.Sprintf(`pawl_upgrade_end_timestamp_seconds{cluster="test"} %v`, float64(held.Unix())),
		`pawl_upgrade_nodes{cluster="prod"} 5`, `pawl_upgrade_nodes_done{cluster="prod"} 3`, `pawl_temporal_up 1`,
	} {
		require.Contains(t, text+"\n", want+"\n")
	}
}

func TestAScrapeAnswersThoughTemporalDoesNot(t *testing.T) {
	var asked atomic.Int32
	_, s := worker(t, func(ctx context.Context) ([]visibility.Upgrade, error) {
		asked.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for range 2 {
		code, text := get(t, s, "/metrics")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, text, "pawl_temporal_up 0\n")
		require.NotContains(t, text, "pawl_upgrade_state{", "what is not known is not told")
	}
	require.EqualValues(t, 1, asked.Load(), "the second did not ask again")
}

func TestReadiness(t *testing.T) {
	r, s := worker(t, twoUpgrades)
	code, _ := get(t, s, "/healthz")
	require.Equal(t, http.StatusOK, code)
	code, text := get(t, s, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "not ready: the worker is starting\n", text)

	temporal := errors.New("connection refused")
	s.Ready(Check{"Temporal", func(context.Context) error { return temporal }}, Check{"polling", r.Polling})
	code, text = get(t, s, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "not ready: Temporal: connection refused\n", text)
	temporal = nil
	_, text = get(t, s, "/readyz")
	require.Equal(t, "not ready: polling: nothing polls for workflow tasks\n", text)
	for _, kind := range []string{"workflow_task", "activity_task"} {
		r.Handler().WithTags(map[string]string{"poller_type": kind}).Gauge("temporal_num_pollers").Update(1)
	}
	code, text = get(t, s, "/readyz")
	require.Equal(t, http.StatusOK, code, text)
	_, err := Listen(s.Address, r)
	require.ErrorContains(t, err, "--listen "+s.Address)
	require.ErrorContains(t, err, "wanted an address like 127.0.0.1:9464 or :9464 that is free")
}

func TestOwnMetricsHaveTheirOwnLabelsOnly(t *testing.T) {
	r, s := worker(t, twoUpgrades)
	r.Know("prod")
	sdk := r.Handler().WithTags(map[string]string{"namespace": "default", "activity_type": "DrainNode"})
	metrics.Evictions.Add(sdk, 2, "prod", "refused")
	metrics.NodeDuration.Observe(sdk, 90*time.Second, "prod", "batch", "done")
	sdk.Counter("temporal_request").Inc(1)
	sdk.Timer("temporal_request_latency").Record(30 * time.Millisecond)
	_, text := get(t, s, "/metrics")
	for _, want := range []string{
		`pawl_evictions_total{cluster="prod",outcome="refused"} 2`, `pawl_evictions_total{cluster="prod",outcome="accepted"} 0`,
		`pawl_holds_total{cluster="prod"} 0`,
		`pawl_node_duration_seconds_bucket{cluster="prod",outcome="done",pool="batch",le="60"} 0`,
		`pawl_node_duration_seconds_bucket{cluster="prod",outcome="done",pool="batch",le="120"} 1`,
		`temporal_request_total{activity_type="DrainNode",namespace="default"} 1`,
		`temporal_request_latency_seconds_bucket{activity_type="DrainNode",namespace="default",le="0.02"} 0`,
		`temporal_request_latency_seconds_bucket{activity_type="DrainNode",namespace="default",le="0.1"} 1`,
	} {
		require.Contains(t, text, "\n"+want+"\n")
	}
	require.Panics(t, func() { metrics.Evictions.Add(sdk, 1, "prod") }, "a label too few")
}

// everything is a scrape of a worker that has done and seen all there is.
func everything(t *testing.T) string {
	r, s := worker(t, twoUpgrades)
	r.Know("prod")
	for _, m := range metrics.All {
		values := append([]string{"prod"}, make([]string, len(m.Labels))...)[:len(m.Labels)]
		switch m.Kind {
		case metrics.Counter:
			m.Add(r.Handler(), 1, values...)
		case metrics.Histogram:
			m.Observe(r.Handler(), time.Second, values...)
		}
	}
	// As the SDK does; what it really shows is seen in integration.
	sdk := r.Handler().WithTags(map[string]string{"task_queue": "pawl", "poller_type": "workflow_task"})
	sdk.Gauge("temporal_num_pollers").Update(2)
	sdk.Timer("temporal_workflow_task_schedule_to_start_latency").Record(time.Millisecond)
	_, text := get(t, s, "/metrics")
	return text
}

// TestMetricsAreDocumented holds the table of docs/observability.md against what a worker registers.
func TestMetricsAreDocumented(t *testing.T) {
	scrape := everything(t)
	registered := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (pawl_\S+) (\S+)$`).FindAllStringSubmatch(scrape, -1) {
		registered[m[1]] = m[2]
	}
	doc, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(pawl_[a-z_]+)` \\| (\\w+) \\| (.*) \\| (.+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]] = row[2]
		for _, m := range metrics.All {
			if m.Name == row[1] {
				labels := ""
				if len(m.Labels) > 0 {
					labels = "`" + strings.Join(m.Labels, "`, `") + "`"
				}
				require.Equal(t, labels, row[3], m.Name)
				require.Equal(t, m.Help, row[4], m.Name)
			}
		}
	}
	require.Equal(t, registered, documented)
	require.Len(t, registered, len(metrics.All))
}

// TestNamesFollowPrometheus: https://prometheus.io/docs/practices/naming/
func TestNamesFollowPrometheus(t *testing.T) {
	for _, m := range metrics.All {
		require.Equal(t, m.Kind == metrics.Counter, strings.HasSuffix(m.Name, "_total"), m.Name)
		require.Equal(t, m.Kind == metrics.Histogram, m.Buckets != nil, m.Name)
		require.NotContains(t, m.Labels, "node", "%s: too many series", m.Name)
		for _, values := range m.Known {
			require.Len(t, values, len(m.Labels)-1, m.Name)
			require.Equal(t, metrics.Cluster, m.Labels[0])
		}
	}
}

func TestRulesOfTheOperatorAreTheSame(t *testing.T) {
	var plain, wrapped struct {
		Groups any
		Spec   struct{ Groups any }
	}
	for file, into := range map[string]any{"prometheus-rules.yaml": &plain, "prometheusrule.yaml": &wrapped} {
		text, err := os.ReadFile("../../deploy/observability/" + file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, into))
	}
	require.NotEmpty(t, plain.Groups)
	require.Equal(t, plain.Groups, wrapped.Spec.Groups)
}

// TestPanelsAndAlertsAskForWhatThereIs holds dashboard and rules against all that a worker can show; what it really shows
// after an upgrade is tested in integration.
func TestPanelsAndAlertsAskForWhatThereIs(t *testing.T) {
	dashboard, err := os.ReadFile("../../deploy/observability/grafana-dashboard.json")
	require.NoError(t, err)
	rules, err := os.ReadFile("../../deploy/observability/prometheus-rules.yaml")
	require.NoError(t, err)
	missing, err := panels.Missing(dashboard, rules, everything(t))
	require.NoError(t, err)
	require.Empty(t, missing)
	queries, err := panels.Queries(dashboard, rules)
	require.NoError(t, err)
	for _, m := range metrics.All { // and nothing is counted that nobody looks at
		used := false
		for _, q := range queries {
			used = used || strings.Contains(q.Expr, m.Name)
		}
		require.True(t, used || m.Name == metrics.UpgradeStarted.Name || m.Name == metrics.WindowWait.Name, "%s is in no panel and no alert", m.Name)
	}
}
