package upgrade

import (
	"fmt"
	"strings"
	"time"
)

// Health is what must be true of the workloads before the next node is worked on. What is asked stays in the cluster's
// definition.
type Health struct {
	// Soak is for how long all checks must have been true without a break.
	Soak Duration `json:"soak"`
	// Timeout is when a person is asked.
	Timeout Duration `json:"timeout"`
	Checks  []Check  `json:"checks,omitempty"` // none: there is no gate
}

// Check is one of the conditions.
type Check struct {
	Name string `json:"name"`
	By   string `json:"by"` // "PromQL" or "CEL"
}

// DefaultHealthTimeout is how long a gate waits before a person is asked.
const DefaultHealthTimeout = 30 * time.Minute

// Names are those of the checks, for a line of text.
func (h Health) Names() string {
	var names []string
	for _, c := range h.Checks {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// String is how a plan mentions a check.
func (c Check) String() string { return fmt.Sprintf("%s (%s)", c.Name, c.By) }

// CheckResult is what one look at a check saw.
type CheckResult struct {
	Name string `json:"name"`
	True bool   `json:"true"`
	// Value is what it saw, in a few words: "0.2", "no series", "false", or why nobody knows.
	Value string `json:"value"`
}

// String renders it on one line.
func (r CheckResult) String() string {
	if r.True {
		return r.Name + " is true (" + r.Value + ")"
	}
	return r.Name + " is not true (" + r.Value + ")"
}

// NotTrue are the results that are not, as one line; "" when all are true.
func NotTrue(results []CheckResult) string {
	var lines []string
	for _, r := range results {
		if !r.True {
			lines = append(lines, r.String())
		}
	}
	return strings.Join(lines, ", ")
}

// HealthFindings are those of a gate that is not true before anything is touched: the upgrade would stand before its
// second node.
func HealthFindings(results []CheckResult) []Finding {
	var found []Finding
	for _, r := range results {
		if !r.True {
			found = append(found, failure(HealthGate, r.Name, "the health gate is not true now: "+r.Value, "put the workload right, or the check"))
		}
	}
	return found
}

// Objects are the API objects that a CEL expression looks at: one by its name, or those of a kind, of one namespace or of
// all, that a label selector matches.
type Objects struct {
	APIVersion string `json:"apiVersion"` // "apps/v1"
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Selector   string `json:"selector"` // "app=api,tier!=test"
}

// String names them for people.
func (o Objects) String() string {
	s := o.Kind
	switch {
	case o.Namespace != "" && o.Name != "":
		s += " " + o.Namespace + "/" + o.Name
	case o.Name != "":
		s += " " + o.Name
	case o.Namespace != "":
		s += " in " + o.Namespace
	}
	if o.Selector != "" {
		s += " with " + o.Selector
	}
	return s
}

// OfSteps are the settings without what no step of a node needs: they are the input of every step.
func (s Settings) OfSteps() Settings {
	s.Notifications, s.Hooks, s.Health, s.Pools = nil, nil, Health{}, nil
	return s
}

// Order says in which order hooks and gates come, a line each.
func (s Settings) Order() []string {
	var lines []string
	for _, m := range HookMoments {
		if m == BeforeNode && len(s.Health.Checks) > 0 {
			for _, c := range s.Health.Checks {
				lines = append(lines, fmt.Sprintf("between nodes, and after the last: %s true for %s, waited for at most %s", c, s.Health.Soak, s.Health.Timeout))
			}
		}
		for _, h := range s.Hooks {
			if h.When == m {
				lines = append(lines, h.String())
			}
		}
	}
	return lines
}
