package cli

import (
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/workflows"
)

func retryCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "retry CLUSTER [NODE]",
		Short: "Let what is held try its step again",
		Long: `Tell the upgrade that what held a node has been put right. The node looks at the step again and does it
if it is still needed. Without a node, it is for a step of the whole cluster that is held. The reason is
kept in the workflow's history.`,
		Example: `  pawl retry lab w2 --reason "budget of payments/api relaxed"`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return decide(cmd, args[0], func(client *upgrades.Client) error {
				if len(args) == 1 {
					return client.RetryCluster(cmd.Context(), args[0], decision(reason))
				}
				return client.Retry(cmd.Context(), args[0], args[1], decision(reason))
			}, fmt.Sprintf("%s: trying again", strings.Join(args, " ")))
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	return c
}

func decide(cmd *cobra.Command, cluster string, tell func(*upgrades.Client) error, accepted string) error {
	if err := checkCluster(cmd.Name(), cluster); err != nil {
		return err
	}
	client, err := upgrades.Connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	if err := tell(client); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), accepted)
	return nil
}

// decision says who decides: user and machine, as far as they are known.
func decision(reason string) workflows.Decision {
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		by += "@" + host
	}
	return workflows.Decision{Reason: reason, By: by}
}
