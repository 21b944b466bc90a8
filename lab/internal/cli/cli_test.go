package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/lab"
)

func TestUpOptions(t *testing.T) {
	for _, c := range []struct {
		name        string
		asked       upFlags
		served, err string
	}{
		{name: "the next minor is served", asked: upFlags{controlPlanes: 1, workers: 2, version: "v1.36.3"}, served: "v1.36.3 v1.37.2"},
		{name: "several", asked: upFlags{controlPlanes: 3, version: "1.35.4", next: []string{"v1.37.2", "v1.36.3"}}, served: "v1.35.4 v1.36.3 v1.37.2"},
		{name: "the newest has no next", asked: upFlags{controlPlanes: 1, version: "v1.37.2"}, served: "v1.37.2"},
		{name: "two control planes", asked: upFlags{controlPlanes: 2, version: "v1.36.3"}, err: "--control-planes 2: a lab has 1 or 3"},
		{name: "many workers", asked: upFlags{controlPlanes: 1, workers: 6, version: "v1.36.3"}, err: "--workers 6: a lab has 0 to 5"},
		{name: "by hand", asked: upFlags{hardWay: true, controlPlanes: 3, workers: 1, version: "v1.36.3"}, served: "v1.36.3 v1.37.2"},
		{name: "by hand without workers", asked: upFlags{hardWay: true, controlPlanes: 3, version: "v1.36.3"}, err: "--workers 0: with --hard-way only workers run pods, so a lab has at least 1"},
		{name: "no version", asked: upFlags{controlPlanes: 1, version: "newest"}, err: `version "newest": not a release like v1.36.3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.asked.options()
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || strings.Join(got.Served, " ") != c.served {
				t.Errorf("served %v, %v; want %s", got.Served, err, c.served)
			}
			if (got.Shape == lab.HardWay) != c.asked.hardWay {
				t.Errorf("shape is %s", got.Shape)
			}
		})
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if c.Short == "" && !c.Hidden {
			t.Errorf("%s: no description", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRoot())
}
