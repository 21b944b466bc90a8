// Package panels checks dashboards and alerts against what a worker really shows: no panel without data, no alert that
// cannot fire. Only tests use it.
package panels

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// Missing says what the dashboard's panels and the rules ask for that is not in the scrape, a worker's answer in
// Prometheus' text format: metrics, labels, and values that a label is compared with. An error is a file that cannot be
// read, or a query that does not parse.
func Missing(dashboardJSON, rulesYAML []byte, scrape string) ([]string, error) {
	queries, err := Queries(dashboardJSON, rulesYAML)
	if err != nil {
		return nil, err
	}
	has, err := read(scrape)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, q := range queries {
		lacks, err := has.lacks(q.Expr)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", q.Of, q.Expr, err)
		}
		for _, what := range lacks {
			missing = append(missing, q.Of+": "+what)
		}
	}
	return missing, nil
}

// Query is what one panel or alert asks.
type Query struct{ Of, Expr string }

// Queries are all of both files.
func Queries(dashboardJSON, rulesYAML []byte) ([]Query, error) {
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(dashboardJSON, &dashboard); err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Record, Expr string }
		}
	}
	if err := yaml.Unmarshal(rulesYAML, &rules); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	var all []Query
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 && p.Type != "row" && p.Type != "text" {
			return nil, fmt.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, t := range p.Targets {
			all = append(all, Query{Of: fmt.Sprintf("panel %q", p.Title), Expr: t.Expr})
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			all = append(all, Query{Of: "rule " + r.Alert + r.Record, Expr: r.Expr})
		}
	}
	return all, nil
}

// series are the values of each label of each metric.
type series map[string]map[string]map[string]bool

func read(scrape string) (series, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(scrape)))
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	has := series{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			names := []string{name}
			if m.GetHistogram() != nil {
				names = []string{name + "_bucket", name + "_sum", name + "_count"}
				has.add(names[0], "le", "+Inf")
			}
			for _, n := range names {
				has.add(n, "", "")
				for _, l := range m.GetLabel() {
					has.add(n, l.GetName(), l.GetValue())
				}
			}
		}
	}
	return has, nil
}

func (s series) add(name, label, value string) {
	if s[name] == nil {
		s[name] = map[string]map[string]bool{}
	}
	if s[name][label] == nil {
		s[name][label] = map[string]bool{}
	}
	s[name][label][value] = true
}

// byPrometheus are the labels that a scrape adds.
var byPrometheus = []string{"instance", "job"}

// lacks says what a query asks for that is not there.
func (s series) lacks(query string) ([]string, error) {
	expr, err := metricsql.Parse(strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m").Replace(query))
	if err != nil {
		return nil, err
	}
	var missing []string
	asked := map[string]bool{} // labels that some metric of the query has
	var grouped []string
	metricsql.VisitAll(expr, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			missing = append(missing, s.lacksSelector(e, asked)...)
		case *metricsql.ModifierExpr:
			grouped = append(grouped, e.Args...)
		}
	})
	for _, label := range grouped {
		if !asked[label] && !slices.Contains(byPrometheus, label) {
			missing = append(missing, "no metric of the query has the label "+label)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

func (s series) lacksSelector(e *metricsql.MetricExpr, asked map[string]bool) (missing []string) {
	for _, filters := range e.LabelFilterss {
		name := ""
		for _, f := range filters {
			if f.Label == "__name__" {
				name = f.Value
			}
		}
		labels, there := s[name]
		if !there {
			missing = append(missing, "there is no metric "+name)
			continue
		}
		for l := range labels {
			asked[l] = true
		}
		for _, f := range filters {
			values, has := labels[f.Label]
			switch {
			case f.Label == "__name__" || slices.Contains(byPrometheus, f.Label):
			case !has:
				missing = append(missing, fmt.Sprintf("%s has no label %s", name, f.Label))
			case !f.IsNegative && !f.IsRegexp && !strings.Contains(f.Value, "$") && !values[f.Value]:
				missing = append(missing, fmt.Sprintf("%s has no series with %s=%q", name, f.Label, f.Value))
			}
		}
	}
	return missing
}
