package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
	"github.com/pawl-dev/pawl/starter/internal/watch"
)

func statusCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "status CLUSTER",
		Short: "Show where the newest upgrade of a cluster is",
		Long: `Show where the newest upgrade of a cluster is: stages, nodes, steps, what blocks and what is tried again.

Exits with 0 when it is done or under way, 12 when it waits for a person, 1 when it failed or was aborted.`,
		Example: "  pawl status lab\n  pawl status lab -o json | jq -r .state",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			client, s, err := newest(cmd, args[0])
			if err != nil {
				return err
			}
			defer client.Close()
			out := cmd.OutOrStdout()
			if asJSON {
				err = printJSON(out, s)
			} else {
				_, err = fmt.Fprint(out, view.Status(s, time.Now(), style(out)))
			}
			if code := watch.Code(s.State); err == nil && code != exit.Done {
				return exit.Silent(code)
			}
			return err
		},
	}
	outputFlag(c, &format)
	return c
}

// newest is where the newest upgrade of a cluster is, and a connection to ask for more; the caller closes it.
func newest(cmd *cobra.Command, cluster string) (*upgrades.Client, snapshot.Snapshot, error) {
	var none snapshot.Snapshot
	if err := checkCluster(cmd.Name(), cluster); err != nil {
		return nil, none, err
	}
	client, err := upgrades.Connect(cmd.Context())
	if err != nil {
		return nil, none, err
	}
	s, err := client.Status(cmd.Context(), cluster)
	if err != nil {
		client.Close()
		return nil, none, err
	}
	return client, s, nil
}
