package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/scenario"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// shape is what a person may say of a cluster.
type shape struct {
	name           string
	dir            string
	controlPlanes  int
	workers, rpm   int
	maxUnavailable int
	version        string
	next           []string
	pace           float64
	scenario       string
}

func (s *shape) flags(c *cobra.Command) {
	dirFlag(c, &s.dir)
	f := c.Flags()
	f.StringVar(&s.name, "name", "demo", "the cluster's name")
	f.IntVar(&s.controlPlanes, "control-planes", 3, "control plane nodes")
	f.IntVar(&s.workers, "workers", 6, "workers")
	f.IntVar(&s.rpm, "rpm", 0, "so many of the workers are RPM hosts, with dnf and with zypper in turn")
	f.IntVar(&s.maxUnavailable, "max-unavailable", 1, "workers under way at a time")
	f.StringVar(&s.version, "version", "v1.35.4", "the version that the cluster has")
	f.StringSliceVar(&s.next, "next", []string{"v1.36.3", "v1.37.2"}, "what the package repositories have beside it")
	f.Float64Var(&s.pace, "pace", 0.05, "factor on everything that takes time on a node; 1 is as on a small real one")
	f.StringVar(&s.scenario, "scenario", "", "file of faults, one a line (docs/simulation.md)")
}

// options reads what was said.
func (s *shape) options() (bed.Options, []scenario.Fault, error) {
	o := bed.Options{
		Name: s.name, Dir: s.dir, ControlPlanes: s.controlPlanes, Workers: s.workers, RPM: s.rpm, Pace: s.pace,
		Definition: fmt.Sprintf("workers: {maxUnavailable: %d}\n", s.maxUnavailable),
	}
	switch {
	case s.controlPlanes < 1:
		return o, nil, fmt.Errorf("--control-planes %d: wanted at least 1", s.controlPlanes)
	case s.workers < 0 || s.rpm < 0 || s.rpm > s.workers:
		return o, nil, fmt.Errorf("--workers %d, --rpm %d: wanted 0 or more, and no more RPM hosts than workers", s.workers, s.rpm)
	case s.maxUnavailable < 1:
		return o, nil, fmt.Errorf("--max-unavailable %d: wanted at least 1", s.maxUnavailable)
	case s.pace <= 0:
		return o, nil, fmt.Errorf("--pace %g: wanted more than 0", s.pace)
	case len(validation.IsDNS1123Label(s.name)) > 0: // as of every definition
		return o, nil, fmt.Errorf("--name %q: wanted lower case letters, digits and dashes", s.name)
	}
	var err error
	if o.Version, err = upgrade.ParseVersion(s.version); err != nil {
		return o, nil, fmt.Errorf("--version: %w", err)
	}
	if !o.Version.AtLeastMinor(1, 32) {
		return o, nil, fmt.Errorf("--version %s: wanted v1.32.0 or later, as the models are", o.Version)
	}
	for _, text := range s.next {
		v, err := upgrade.ParseVersion(text)
		if err != nil {
			return o, nil, fmt.Errorf("--next: %w", err)
		}
		o.Offered = append(o.Offered, v)
	}
	if s.scenario == "" {
		return o, nil, nil
	}
	text, err := os.ReadFile(s.scenario)
	if err != nil {
		return o, nil, fmt.Errorf("read scenario: %w", err)
	}
	faults, err := scenario.Parse(string(text))
	if err != nil {
		return o, nil, fmt.Errorf("read scenario %s: %w", s.scenario, err)
	}
	return o, faults, nil
}
