package cli

import (
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/sim/internal/remote"
)

func faultCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "fault LINE",
		Short: "Let something fail in the cluster that runs",
		Long: `Add a fault to the cluster that runs: a line as in a scenario's file. docs/simulation.md describes the lines.

  NODE start FAULT [ARGUMENT] [for DURATION]
  NODE before|during|after "COMMAND" FAULT [ARGUMENT] [for DURATION]
  NODE at "POINT" FAULT [ARGUMENT] [for DURATION]`,
		Example: `  pawl-sim fault 'w2 start reboot'
  pawl-sim fault 'w3 before "apt-get install kubelet" cut'
  pawl-sim fault 'cp1 start api-down for 20s'`,
		Args: arguments(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.Fault(cmd.Context(), dir, strings.Join(args, " "))
		},
	}
	dirFlag(c, &dir)
	return c
}
