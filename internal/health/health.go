// Package health looks whether workloads are well: by PromQL, which a Prometheus answers, and by CEL expressions over
// Kubernetes objects, which somebody else fetches.
//
// Rule: what is not known is not true. An error, no data and an expression that cannot be evaluated each say so in the
// value, and none of them opens a gate.
package health

import (
	"context"
	"sync"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Check is one condition. Exactly one of PromQL and CEL is set; CEL goes with Objects.
type Check struct {
	Name    string           `json:"name"`
	PromQL  string           `json:"promql"`
	CEL     string           `json:"cel"`
	Objects *upgrade.Objects `json:"objects"`
}

// Fetch fetches the objects that a check looks at, as their JSON is: the one that is named, or none if it does not
// exist; else all that there are.
type Fetch func(ctx context.Context, o upgrade.Objects) ([]map[string]any, error)

// Gate is what must be true.
type Gate struct {
	Checks     []Check
	Prometheus Prometheus
	Fetch      Fetch
}

// lookTimeout bounds one look at one check.
const lookTimeout = 15 * time.Second

// Look looks at all checks once, side by side.
func (g Gate) Look(ctx context.Context) []upgrade.CheckResult {
	results := make([]upgrade.CheckResult, len(g.Checks))
	var wg sync.WaitGroup
	for i, c := range g.Checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			results[i] = upgrade.CheckResult{Name: c.Name}
			if c.PromQL != "" {
				results[i].True, results[i].Value = g.Prometheus.look(ctx, c.PromQL)
			} else {
				results[i].True, results[i].Value = c.lookAtObjects(ctx, g.Fetch)
			}
		})
	}
	wg.Wait()
	return results
}

// lookAtObjects fetches what the expression is about and evaluates it.
func (c Check) lookAtObjects(ctx context.Context, fetch Fetch) (bool, string) {
	objects, err := fetch(ctx, *c.Objects)
	if err != nil {
		return false, unknown(err)
	}
	if c.Objects.Name != "" && len(objects) == 0 {
		return false, c.Objects.String() + " does not exist"
	}
	return evaluate(ctx, c.CEL, c.Objects.Name != "", objects)
}

// unknown is the value of a check of which nobody knows.
func unknown(err error) string { return "unknown: " + line(err.Error()) }
