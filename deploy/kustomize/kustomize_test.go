package kustomize

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var update = flag.Bool("update", false, "write what is built into the golden files")

func build(t *testing.T, dir string) resmap.ResMap {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	return built
}

// TestExample: integration applies the golden file to a real API.
func TestExample(t *testing.T) {
	got, err := build(t, "example").AsYaml()
	require.NoError(t, err)
	const golden = "testdata/example.golden.yaml"
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "after a change that is meant: make manifests")
	for _, part := range []string{"image: registry.example.com/ops/pawl:v1.2.3", "value: temporal.example.com:7233", "name: pawl-ssh", "name: PAWL_LISTEN"} {
		require.Contains(t, string(got), part)
	}
}

// TestBase: nothing of the chart gets lost in the base.
func TestBase(t *testing.T) {
	var kinds []string
	for _, r := range build(t, "base").Resources() {
		kinds = append(kinds, r.GetKind())
	}
	require.ElementsMatch(t, []string{"Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"}, kinds)
}
