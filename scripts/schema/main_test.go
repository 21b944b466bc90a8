package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestSchemaIsCurrent also holds a plan against the schema, and things that are no plan.
func TestSchemaIsCurrent(t *testing.T) {
	t.Chdir("../..")
	want, err := schema()
	require.NoError(t, err)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s is old; run: go run ./scripts/schema", file)

	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("plan.json", document))
	compiled, err := compiler.Compile("plan.json")
	require.NoError(t, err)

	var seen inventory.Inventory
	text, err := os.ReadFile("starter/internal/cli/testdata/inventory.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &seen))
	plan, err := json.Marshal(seen.Plan(upgrade.Wanted{Target: upgrade.MustVersion("v1.37.2"), Waive: []string{upgrade.EtcdVersion}}))
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(plan))
	require.NoError(t, err)
	require.NoError(t, compiled.Validate(instance))
	refused, err := json.Marshal(seen.Plan(upgrade.Wanted{Target: upgrade.MustVersion("v1.30.0")}))
	require.NoError(t, err)
	none, err := jsonschema.UnmarshalJSON(bytes.NewReader(refused))
	require.NoError(t, err)
	require.NoError(t, compiled.Validate(none), "one that is refused, too")

	hops := instance.(map[string]any)["hops"].([]any)
	hops[0].(map[string]any)["drains"] = "three"
	delete(hops[0].(map[string]any), "to")
	require.ErrorContains(t, compiled.Validate(instance), "missing property 'to'")
}
