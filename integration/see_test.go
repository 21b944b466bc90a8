package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/telemetry/panels"
	"github.com/pawl-dev/pawl/internal/tracing/collector"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// TestSeen upgrades a cluster whose drain is held once, and looks at it in all the ways in which a worker can be seen.
func TestSeen(t *testing.T) {
	simtest.Programs(t, controlplane.Program, "pawl", "pawl-worker", "pawl-temporal")
	traces := collector.Start(t)
	listen, err := endpoint.FreeAddress()
	require.NoError(t, err)
	// The worker is a child of `pawl dev`, and `pawl` traces too.
	t.Setenv("PAWL_LISTEN", listen)
	t.Setenv("PAWL_LOG_FORMAT", "json")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
	s := newStageAlone(t, "seen", bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}},
		"drain: {timeout: 10s}\n")
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + listen + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	code, text := get("/readyz")
	require.Equal(t, http.StatusOK, code, text)
	code, _ = get("/healthz")
	require.Equal(t, http.StatusOK, code)

	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", true))
	s.start()
	s.held("w1", "blocked by PodDisruptionBudget shop/web")
	require.Eventually(t, func() bool {
		_, text = get("/metrics")
		return strings.Contains(text, `pawl_upgrade_state{cluster="seen",state="held"} 1`)
	}, 30*time.Second, 500*time.Millisecond, "visibility is behind by a moment, and answers are kept for some seconds")
	require.Regexp(t, `pawl_upgrade_held_timestamp_seconds\{at="w1",cluster="seen"\} 1\.`, text)
	require.Contains(t, text, "\npawl_holds_total{cluster=\"seen\"} 1\n")
	require.NotContains(t, text, "\npawl_evictions_total{cluster=\"seen\",outcome=\"refused\"} 0\n")

	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", false))
	s.retry("w1")
	s.watch(0)
	s.requireUpgraded()
	require.Eventually(t, func() bool {
		_, text = get("/metrics")
		return strings.Contains(text, `pawl_upgrade_state{cluster="seen",state="done"} 1`)
	}, 30*time.Second, 500*time.Millisecond)
	require.Contains(t, text, "\npawl_node_duration_seconds_count{cluster=\"seen\",outcome=\"done\",pool=\"control-plane\"} 1\n")
	require.Contains(t, text, "\npawl_upgrade_duration_seconds_count{cluster=\"seen\",outcome=\"done\"} 1\n")
	require.Contains(t, text, "\npawl_upgrade_nodes_done{cluster=\"seen\"} 3\n")
	if file := os.Getenv("PAWL_TEST_SCRAPE"); file != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	s.requireNoPanelWithoutData(text)
	s.requireEvents("w1")
	s.requireOneTrace(traces)
	s.requireLogs()
}

func (s *stage) requireNoPanelWithoutData(scrape string) {
	s.t.Helper()
	dashboard, err := os.ReadFile("../deploy/observability/grafana-dashboard.json")
	require.NoError(s.t, err)
	rules, err := os.ReadFile("../deploy/observability/prometheus-rules.yaml")
	require.NoError(s.t, err)
	missing, err := panels.Missing(dashboard, rules, scrape)
	require.NoError(s.t, err)
	require.Empty(s.t, missing)
}

// requireEvents requires that the node's object says what was done to it, each thing once.
func (s *stage) requireEvents(node string) {
	s.t.Helper()
	events, err := s.Client().CoreV1().Events(metav1.NamespaceDefault).List(s.t.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.kind=Node,source=pawl,involvedObject.name=" + node})
	require.NoError(s.t, err)
	got := map[string]int{}
	for _, e := range events.Items {
		got[e.Reason]++
	}
	require.Equal(s.t, map[string]int{"Draining": 1, "UpgradeHeld": 1, "Drained": 1, "UpgradingKubelet": 1, "NodeUpgraded": 1, "Uncordoned": 1}, got)
}

// requireOneTrace requires that everything that the upgrade did is in the trace that began with `pawl start`.
func (s *stage) requireOneTrace(c *collector.Collector) {
	s.t.Helper()
	find := func(name, tag, value string) (found []collector.Span) {
		for _, span := range c.Spans() {
			if span.Name == name && span.Attributes[tag] == value {
				found = append(found, span)
			}
		}
		return found
	}
	cluster := workflows.ClusterUpgradeID(s.name)
	require.Eventually(s.t, func() bool { return len(find("RunWorkflow:ClusterUpgrade", "temporalWorkflowID", cluster)) > 0 }, 30*time.Second, 200*time.Millisecond)
	start := find("StartWorkflow:ClusterUpgrade", "temporalWorkflowID", cluster)
	require.Len(s.t, start, 1)
	require.Equal(s.t, "pawl", start[0].Resource["service.name"])
	count := map[string]int{}
	for _, span := range c.Spans() {
		id := span.Attributes["temporalWorkflowID"]
		if !strings.HasPrefix(span.Name, "Run") || id != cluster && !strings.HasPrefix(id, workflows.NodeUpgradeID(s.name, "")) {
			continue
		}
		count[span.Name]++
		require.Equal(s.t, start[0].Trace, span.Trace, "%s of %s", span.Name, id)
		require.Equal(s.t, s.name, span.Attributes["pawl.cluster"])
	}
	require.Positive(s.t, count["RunWorkflow:NodeUpgrade"])
	require.Positive(s.t, count["RunActivity:MakePlan"])
	drains := find("RunActivity:DrainNode", "pawl.node", "w1")
	require.Len(s.t, drains, 2, "the one that was held, and the one after")
	require.True(s.t, drains[0].Failed)
	require.Contains(s.t, drains[0].Status, "PodDisruptionBudget")
	require.False(s.t, drains[1].Failed)
	require.Equal(s.t, "drainNode", drains[1].Attributes["pawl.step"])
}

// requireLogs requires that every line of the worker's log is JSON, and that those of the upgrade say what they are about.
func (s *stage) requireLogs() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dev.dir, "data", "*worker*.log"))
	require.NoError(s.t, err)
	require.Len(s.t, files, 1)
	text, err := os.ReadFile(files[0])
	require.NoError(s.t, err)
	drains := 0
	for line := range bytes.Lines(text) {
		var is map[string]any
		require.NoError(s.t, json.Unmarshal(line, &is), string(line))
		if id, _ := is["WorkflowID"].(string); strings.HasPrefix(id, "node-upgrade/") {
			require.Equal(s.t, s.name, is["cluster"], string(line))
			require.NotEmpty(s.t, is["node"], string(line))
			require.NotEmpty(s.t, is["RunID"], string(line))
			if is["step"] == "drainNode" && is["node"] == "w1" {
				drains++
			}
		}
	}
	require.Positive(s.t, drains, "a drain that is held is a line")
	for _, secret := range []string{"PRIVATE KEY", "client-key-data", "client-certificate-data"} {
		require.NotContains(s.t, string(text), secret)
	}
}
