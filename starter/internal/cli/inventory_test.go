package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// TestPlanFromAnInventoryNeedsNoServer: the plan is what the cluster's would have been, in every format.
func TestPlanFromAnInventoryNeedsNoServer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	const file = "testdata/inventory.yaml"
	code, out, errOut := pawl("plan", "--inventory", file, "--to", "v1.37.2", "--waive", "etcd-version")
	require.Equal(t, exit.Done, code, errOut)
	require.Contains(t, out, "lab: v1.35.4 -> v1.36.3 -> v1.37.2, 2 hops, 2 nodes, 3 drains")
	require.Contains(t, out, "etcd is 3.6.6; before 3.7.0")
	code, out, _ = pawl("plan", "--inventory", file, "--to", "v1.37.2")
	require.Equal(t, exit.Refused, code)
	require.Contains(t, out, "or waive etcd-version")

	var asJSON, asYAML upgrade.Plan
	_, out, _ = pawl("plan", "--inventory", file, "--to", "v1.37.2", "--through", "v1.36.2", "--waive", "etcd-version", "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(out), &asJSON))
	require.Equal(t, "v1.36.2", asJSON.Hops[0].To.String())
	_, out, _ = pawl("plan", "--inventory", file, "--to", "v1.37.2", "--through", "v1.36.2", "--waive", "etcd-version", "-o", "yaml")
	require.NoError(t, yaml.Unmarshal([]byte(out), &asYAML))
	require.Equal(t, asJSON, asYAML)

	code, out, _ = pawl("plan", "--inventory", file, "--to", "v1.34.0")
	require.Equal(t, exit.Refused, code)
	require.Contains(t, out, "downgrade")

	// JSON is YAML: both are read.
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	text, err = yaml.YAMLToJSON(text)
	require.NoError(t, err)
	inJSON := filepath.Join(t.TempDir(), "lab.json")
	require.NoError(t, os.WriteFile(inJSON, text, 0o600))
	_, fromYAML, _ := pawl("plan", "--inventory", file, "--to", "v1.37.2", "-o", "yaml")
	_, fromJSON, _ := pawl("plan", "--inventory", inJSON, "--to", "v1.37.2", "-o", "yaml")
	require.NotEmpty(t, fromYAML)
	require.Equal(t, fromYAML, fromJSON)
}
