package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/recording"
	"github.com/pawl-dev/pawl/workflows"
)

// record keeps the histories of the upgrade that has just ended, for replay tests, where PAWL_E2E_RECORD says. It runs
// this test binary inside the lab's network, where Temporal listens.
func (l *lab) record(label string) {
	l.t.Helper()
	dir := os.Getenv("PAWL_E2E_RECORD")
	if dir == "" {
		return
	}
	self, err := os.Executable()
	require.NoError(l.t, err)
	dir, err = filepath.Abs(dir)
	require.NoError(l.t, err)
	cmd := l.inLab(self, "-test.run=^TestWriteHistories$", "-test.v")
	cmd.Env = append(os.Environ(), "PAWL_E2E_RECORD="+dir, "PAWL_E2E_RECORD_LABEL="+label)
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, string(out))
}

// TestWriteHistories is the half of record that runs inside the lab.
func TestWriteHistories(t *testing.T) {
	label := os.Getenv("PAWL_E2E_RECORD_LABEL")
	if label == "" {
		t.Skip("SKIPPED: only run by the end-to-end test itself: PAWL_E2E_RECORD=DIR make e2e")
	}
	c, err := client.Dial(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	for name, id := range map[string]string{
		"cluster": workflows.ClusterUpgradeID("lab"),
		"cp1":     workflows.NodeUpgradeID("lab", "cp1"),
		"w1":      workflows.NodeUpgradeID("lab", "w1"),
	} {
		require.NoError(t, recording.Write(t.Context(), c, os.Getenv("PAWL_E2E_RECORD"), label+"-"+name, id, ""))
	}
}
