package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// Outline says in a few lines what a plan will do and what stands in its way, for a person who is asked to approve it.
func (p Plan) Outline() []string {
	lines := []string{"to be done: " + outline(p.Hops)}
	if p.Estimate > 0 {
		lines = append(lines, fmt.Sprintf("it takes about %s", p.Estimate.Std().Round(60e9)))
	}
	for _, f := range p.Findings {
		if f.Severity != SeverityInfo {
			lines = append(lines, fmt.Sprintf("%s: %s", f.Severity, f))
		}
	}
	if len(lines) > mostOutlined {
		lines = append(lines[:mostOutlined], fmt.Sprintf("and %d more findings", len(lines)-mostOutlined))
	}
	return lines
}

// mostOutlined bounds an outline, in lines.
const mostOutlined = 12

// Where says in one line which versions are where, and which nodes are cordoned.
func (p Plan) Where() string {
	var parts []string
	for _, kind := range []struct {
		name         string
		controlPlane bool
	}{{"API servers", true}, {"kubelets", false}} {
		var versions []string
		count := map[string]int{}
		for _, n := range p.Nodes {
			v := n.Kubelet
			if kind.controlPlane {
				v = n.Components[APIServer]
			}
			if kind.controlPlane && !n.ControlPlane {
				continue
			}
			text := orNone(v)
			if count[text]++; count[text] == 1 {
				versions = append(versions, text)
			}
		}
		slices.Sort(versions)
		for i, v := range versions {
			versions[i] = fmt.Sprintf("%d at %s", count[v], v)
		}
		parts = append(parts, kind.name+": "+strings.Join(versions, ", "))
	}
	var cordoned []string
	for _, n := range p.Nodes {
		if n.Cordoned || n.CordonedByPawl {
			cordoned = append(cordoned, n.Name)
		}
	}
	if len(cordoned) > 0 {
		parts = append(parts, "cordoned: "+strings.Join(cordoned, ", "))
	}
	return strings.Join(parts, "; ")
}
