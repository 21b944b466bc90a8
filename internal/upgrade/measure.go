package upgrade

import (
	"slices"
	"strings"
	"time"
)

// Measured is how long steps took in earlier upgrades of a cluster.
type Measured []MeasuredStep

// MeasuredStep is the mean of one step on one kind of node.
type MeasuredStep struct {
	ControlPlane bool     `json:"controlPlane,omitempty"`
	Step         Step     `json:"step"`
	Mean         Duration `json:"mean"`
	Count        int      `json:"count"` // on so many nodes
}

// Measure takes the mean of every step that was done in the runs. What was held or failed is not counted, only the time
// of the attempt that succeeded.
func Measure(runs ...Status) Measured {
	var all Measured
	for _, run := range runs {
		for _, n := range run.Nodes {
			for _, s := range n.Steps {
				if took := s.took(); took > 0 {
					all.add(n.Role.IsControlPlane(), s.Step, took)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b MeasuredStep) int {
		if a.ControlPlane != b.ControlPlane {
			if a.ControlPlane {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.Step), string(b.Step))
	})
	return all
}

func (m *Measured) add(controlPlane bool, step Step, took time.Duration) {
	i := slices.IndexFunc(*m, func(s MeasuredStep) bool { return s.ControlPlane == controlPlane && s.Step == step })
	if i < 0 {
		i, *m = len(*m), append(*m, MeasuredStep{ControlPlane: controlPlane, Step: step})
	}
	s := &(*m)[i]
	s.Mean = Duration((s.Mean.Std()*time.Duration(s.Count) + took) / time.Duration(s.Count+1))
	s.Count++
}

// of is the mean of a step; zero when it was never done.
func (m Measured) of(role Role, step Step) time.Duration {
	i := slices.IndexFunc(m, func(s MeasuredStep) bool { return s.ControlPlane == role.IsControlPlane() && s.Step == step })
	if i < 0 {
		return 0
	}
	return m[i].Mean.Std()
}

// took is how long a step that is done took; zero when that is not known.
func (s StepStatus) took() time.Duration {
	switch {
	case s.State != Done:
		return 0
	case s.Worked > 0:
		return s.Worked.Std()
	case len(s.Holds) > 0:
		return 0
	}
	return s.Ended.Sub(s.Started)
}
