package logs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"

	"github.com/pawl-dev/pawl/workflows"
)

// TestLinesSayWhatTheyAreAbout writes as Temporal's SDK does.
func TestLinesSayWhatTheyAreAbout(t *testing.T) {
	var out bytes.Buffer
	logger, err := New(&out, "json")
	require.NoError(t, err)
	sdk := log.NewStructuredLogger(logger)
	node := log.With(sdk, "WorkflowID", workflows.NodeUpgradeID("prod", "w1"), "RunID", "r1")
	node.Warn("a hold")
	log.With(node, "ActivityID", "drainNode", "ActivityType", "DrainNode", "Attempt", 2).Error("Activity error.", "Error", "blocked")
	sdk.Error("Activity error.", "WorkflowID", workflows.ClusterUpgradeID("prod"), "RunID", "r2", "ActivityID", "back-up-cp1", "ActivityType", "BackUpControlPlane")
	log.With(node, "node", "w2").Info("of its own")
	sdk.Info("a plan", "WorkflowID", workflows.ClusterPlanID("prod", "1"))
	logger.Info("pawl-worker is ready", "taskQueue", "pawl")

	var lines []map[string]any
	for text := range strings.Lines(out.String()) {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &line), text)
		require.Equal(t, 1, strings.Count(text, `"msg":`))
		require.LessOrEqual(t, strings.Count(text, `"node":`), 1, text)
		delete(line, "time")
		lines = append(lines, line)
	}
	about := func(line map[string]any) map[string]any {
		return map[string]any{"cluster": line["cluster"], "node": line["node"], "step": line["step"], "upgrade": line["upgrade"], "RunID": line["RunID"]}
	}
	require.Len(t, lines, 6)
	require.Equal(t, map[string]any{"cluster": "prod", "node": "w1", "step": nil, "upgrade": "cluster-upgrade/prod", "RunID": "r1"}, about(lines[0]))
	require.Equal(t, map[string]any{"cluster": "prod", "node": "w1", "step": "drainNode", "upgrade": "cluster-upgrade/prod", "RunID": "r1"}, about(lines[1]))
	require.Equal(t, map[string]any{"cluster": "prod", "node": "cp1", "step": "backUpControlPlane", "upgrade": "cluster-upgrade/prod", "RunID": "r2"}, about(lines[2]))
	require.Equal(t, "w2", lines[3]["node"], "who knows better is believed")
	require.Equal(t, map[string]any{"cluster": "prod", "node": nil, "step": nil, "upgrade": nil, "RunID": nil}, about(lines[4]))
	require.Equal(t, map[string]any{"level": "INFO", "msg": "pawl-worker is ready", "taskQueue": "pawl"}, lines[5])
}

func TestFormats(t *testing.T) {
	var out bytes.Buffer
	logger, err := New(&out, "text")
	require.NoError(t, err)
	logger.Info("hello", "WorkflowID", workflows.NodeUpgradeID("prod", "w1"))
	require.Contains(t, out.String(), "cluster=prod node=w1 upgrade=cluster-upgrade/prod")
	_, err = New(&out, "xml")
	require.EqualError(t, err, `--log-format "xml"; wanted text or json`)
}
