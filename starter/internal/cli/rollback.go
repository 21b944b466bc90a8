package cli

import (
	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/workflows"
)

func rollbackCommand() *cobra.Command {
	var waive []string
	var format string
	var watch bool
	c := &cobra.Command{
		Use:   "rollback CLUSTER",
		Short: "Bring a managed control plane back to the minor before",
		Long: `Plan the way back, show what was found, and start it. Only the control plane of an EKS cluster
goes back, within 7 days; add-ons and nodes that have followed it must be back already.

Exits with 10 and starts nothing when that cannot be, 11 when an upgrade of the cluster is running.`,
		Example: "  pawl rollback prod --watch",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkCluster("roll back", args[0]); err != nil {
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
			in := workflows.ClusterUpgradeInput{Cluster: args[0], RollBack: true, Waive: waive}
			if _, err := start(cmd, client, in, asJSON); err != nil || !watch {
				return err
			}
			return follow(cmd, client, in.Cluster, asJSON)
		},
	}
	c.Flags().StringSliceVar(&waive, "waive", nil, "id of a finding that is not to stop it")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "follow it until it ends")
	outputFlag(c, &format)
	return c
}
