package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/sim/internal/demo"
)

func demoCommand() *cobra.Command {
	var s shape
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Upgrade a simulated cluster over two minors, before your eyes",
		Long: `Make a simulated cluster, start "pawl dev" beside it, plan and start an upgrade to the newest version, show it live,
and show the report. It ends by itself and leaves nothing behind, unless --keep says so.`,
		Example: "  pawl-sim demo\n  pawl-sim demo --keep\n  pawl-sim demo --scenario docs/scenarios/bad-day.txt --report report.html",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, faults, err := s.options()
			if err != nil {
				return err
			}
			o.Cluster, o.Target, o.Dir = options.Name, newest(options), options.Dir
			d := demo.New(o, cmd.OutOrStdout())
			options.Say = d.Say
			d.Title(fmt.Sprintf("A cluster: %d control plane nodes, %d workers, Kubernetes %s", options.ControlPlanes, options.Workers, options.Version))
			b, done, err := bring(cmd.Context(), options, faults)
			if err != nil {
				return err
			}
			defer done()
			return d.Run(cmd.Context(), b, func() error { return hold(cmd.Context(), b) })
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&o.Keep, "keep", false, "keep everything up at the end, for playing, until Ctrl-C")
	c.Flags().StringVar(&o.Report, "report", "", "also write the report as a page to this file")
	return c
}
