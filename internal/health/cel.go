package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// What an expression may look at.
const (
	oneObject  = "object"  // of a check that names one
	allObjects = "objects" // of the others: a list
)

// environments are what expressions are compiled in, by whether they look at one object. Numbers compare whatever their
// types are: JSON has integers where there may be fractions.
var environments = sync.OnceValues(func() (map[bool]*cel.Env, error) {
	common := []cel.EnvOption{cel.OptionalTypes(), cel.CrossTypeNumericComparisons(true), ext.Strings()}
	one, err := cel.NewEnv(append(common, cel.Variable(oneObject, cel.DynType))...)
	if err != nil {
		return nil, err
	}
	all, err := cel.NewEnv(append(common, cel.Variable(allObjects, cel.ListType(cel.DynType)))...)
	return map[bool]*cel.Env{true: one, false: all}, err
})

const (
	// mostCost ends an expression that would take for ever; about a second's worth.
	// Source: https://pkg.go.dev/k8s.io/apiserver/pkg/apis/cel, RuntimeCELCostBudget
	mostCost = 10_000_000
	// interruptEvery is how many turns of a loop pass between two looks at the context.
	interruptEvery = 100
)

// Compile says what is wrong with a CEL expression over one object or over several.
func Compile(expression string, one bool) error {
	_, err := compile(expression, one)
	return err
}

func compile(expression string, one bool) (cel.Program, error) {
	envs, err := environments()
	if err != nil {
		return nil, fmt.Errorf("set CEL up: %w", err)
	}
	ast, issues := envs[one].Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, errors.New(issue(issues))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it gives %s, wanted bool", t)
	}
	return envs[one].Program(ast, cel.CostLimit(mostCost), cel.InterruptCheckFrequency(interruptEvery))
}

// issue is the first thing that is wrong, on one line, without CEL's picture of where.
func issue(issues *cel.Issues) string {
	first := issues.Errors()[0]
	return fmt.Sprintf("%s, at column %d", line(first.Message), first.Location.Column()+1)
}

// evaluate evaluates an expression over one object, or over all.
func evaluate(ctx context.Context, expression string, one bool, objects []map[string]any) (bool, string) {
	program, err := compile(expression, one)
	if err != nil {
		return false, unknown(err)
	}
	variables := map[string]any{allObjects: objects}
	if one {
		variables = map[string]any{oneObject: objects[0]}
	}
	out, _, err := program.ContextEval(ctx, variables)
	if err != nil {
		return false, unknown(err)
	}
	value, ok := out.(types.Bool)
	switch {
	case !ok:
		return false, fmt.Sprintf("it gives %s, wanted bool", out.Type())
	case one:
		return bool(value), fmt.Sprint(bool(value))
	}
	return bool(value), fmt.Sprintf("%t for %d objects", bool(value), len(objects))
}

// line is a text on one line, of bearable length.
func line(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
