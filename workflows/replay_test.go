package workflows

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// TestRecordedHistoriesReplay walks histories of real upgrades with today's code: an upgrade that is under way when pawl
// itself is replaced must go on. A history that is missing is a failure, so that the test cannot pass by finding none.
//
// Histories are recorded from real runs, never from code under change: PAWL_E2E_RECORD=DIR make e2e, and on the
// simulated bed PAWL_RECORD=DIR go test ./integration -run Schedule. Their names say what was upgraded, how, and by which version of pawl.
func TestRecordedHistoriesReplay(t *testing.T) {
	const dir = "testdata/histories"
	manifest, err := os.ReadFile(filepath.Join(dir, "MANIFEST"))
	require.NoError(t, err)
	names := strings.Fields(string(manifest))
	require.NotEmpty(t, names)
	found, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	require.Len(t, found, len(names), "every recorded history is in the manifest")

	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(ClusterUpgrade, workflow.RegisterOptions{Name: ClusterUpgradeName})
	replayer.RegisterWorkflowWithOptions(NodeUpgrade, workflow.RegisterOptions{Name: NodeUpgradeName})
	replayer.RegisterWorkflowWithOptions(ScheduledUpgrade, workflow.RegisterOptions{Name: ScheduledUpgradeName})
	replayer.RegisterWorkflowWithOptions(FleetUpgrade, workflow.RegisterOptions{Name: FleetUpgradeName})
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open(filepath.Join(dir, name))
			require.NoError(t, err)
			defer file.Close()
			history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
			require.NoError(t, err)
			started := history.Events[0].GetWorkflowExecutionStartedEventAttributes()
			// Without its own id a workflow whose children are named after it would not be recognised.
			err = replayer.ReplayWorkflowHistoryWithOptions(nil, history, worker.ReplayWorkflowHistoryOptions{
				OriginalExecution: workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()},
			})
			require.NoError(t, err)
		})
	}
}
