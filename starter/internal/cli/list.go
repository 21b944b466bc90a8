package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

func listCommand() *cobra.Command {
	var format string
	var held bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the newest upgrade of every cluster",
		Long: `List the newest upgrade of every cluster: target, state, phase, nodes done, since when, and why it is held
or has failed. It asks Temporal's index only, so that it also answers while no worker runs; the index is
behind by a second or so.`,
		Example: "  pawl list\n  pawl list --held\n  pawl list -o json | jq -r '.[] | select(.state==\"held\") | .cluster'",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error {
				all, err := client.List(cmd.Context(), held)
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				if asJSON {
					if all == nil {
						all = []upgrades.Listed{}
					}
					return printJSON(out, all)
				}
				_, err = fmt.Fprint(out, view.List(all, time.Now(), style(out)))
				return err
			})
		},
	}
	c.Flags().BoolVar(&held, "held", false, "only those that wait for a person's decision")
	outputFlag(c, &format)
	return c
}
