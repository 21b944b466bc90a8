package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/timing"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

func reportCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "report CLUSTER",
		Short: "Show where the time of an upgrade went",
		Long: `Show where the time of the newest upgrade went: per stage, per node and step, in all, and how much of it
pawl itself added to the steps' own work. It can be asked for while the upgrade runs, too.`,
		Example: "  pawl report lab\n  pawl report lab -o json | jq -r .time.overhead",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			s, err := newest(cmd, args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			account, out := timing.Of(s.Status, now), cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, struct {
					snapshot.Snapshot
					Time timing.Account `json:"time"`
				}{s, account})
			}
			_, err = fmt.Fprint(out, view.Report(s, account, now, style(out)))
			return err
		},
	}
	outputFlag(c, &format)
	return c
}
