package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

func planCommand() *cobra.Command {
	var wanted upgradeFlags
	var format string
	c := &cobra.Command{
		Use:   "plan CLUSTER --to VERSION",
		Short: "Show what an upgrade would do, and what stands in its way",
		Long: `Look at the cluster and show which version is where, what would be done in which order, and what
stands in the way. Nothing is changed.

Exits with 10 when the upgrade is refused, 2 when the cluster is not known.`,
		Example: "  pawl plan lab --to v1.37.2\n  pawl plan lab --to v1.37.2 -o json | jq .findings\n" +
			"  pawl plan lab --to v1.37.2 --through v1.36.3",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := wanted.input("plan", args[0])
			if err != nil {
				return err
			}
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			client, err := upgrades.Connect(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			plan, err := client.Plan(cmd.Context(), in, teller(cmd))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = printJSON(out, plan)
			} else {
				_, err = fmt.Fprint(out, view.Plan(plan, style(out)))
			}
			if err == nil && plan.Refused() {
				return exit.Silent(exit.Refused)
			}
			return err
		},
	}
	wanted.add(c)
	outputFlag(c, &format)
	return c
}
