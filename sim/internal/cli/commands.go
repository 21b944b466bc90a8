package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/sim/internal/remote"
)

func commandsCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "commands NODE",
		Short: "Show what was run on a machine",
		Long: `Show the command lines that have begun on a machine since the cluster was made: over SSH, and as jobs of its systemd.
They are what a scenario can wait for.`,
		Example: "  pawl-sim commands w1 | grep kubeadm",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines, err := remote.Commands(cmd.Context(), dir, args[0])
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), lines)
			return nil
		},
	}
	dirFlag(c, &dir)
	return c
}
