package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/lab"
)

func (a *app) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove the lab, keep what was built",
		Long: `Ends all processes of the lab and removes its networks, control groups and run
folder, however far up had come. What was built stays in the cache folder.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			something, err := lab.Down(h)
			if err != nil {
				return err
			}
			if something {
				fmt.Fprintln(cmd.OutOrStdout(), "The lab is down.")
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), "No lab is up, nothing to remove.")
			}
			return nil
		},
	}
}
