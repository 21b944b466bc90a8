// Command schema writes the JSON schema of a plan from the Go types and their comments: `go run ./scripts/schema`, in the
// project's root folder.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	module = "github.com/pawl-dev/pawl"
	file   = "docs/plan.schema.json"
)

func main() {
	text, err := schema()
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

// schema describes what `pawl plan -o json` prints.
func schema() ([]byte, error) {
	r := jsonschema.Reflector{Mapper: texts, AllowAdditionalProperties: true} // a later pawl may say more
	if err := r.AddGoComments(module, "internal/upgrade"); err != nil {
		return nil, err
	}
	s := r.Reflect(upgrade.Plan{})
	s.ID = "https://" + module + "/blob/main/" + file
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// texts are types that are written as text.
func texts(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[upgrade.Version]():
		return &jsonschema.Schema{Type: "string", Description: `A version like "v1.37.2"; "" is none, or unknown.`}
	case reflect.TypeFor[upgrade.Amount]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "integer"}, {Type: "string", Pattern: "^[0-9]+%$"}},
			Description: `A number of nodes, or a percentage of a pool's like "25%"; 0 is "not said".`}
	case reflect.TypeFor[upgrade.Duration]():
		return &jsonschema.Schema{Type: "string", Description: `A duration like "1h30m0s".`}
	}
	return nil
}
