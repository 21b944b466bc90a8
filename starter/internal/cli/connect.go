package cli

import (
	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/upgrades"
)

// withClient does something with a connection to Temporal.
func withClient(cmd *cobra.Command, do func(*upgrades.Client) error) error {
	client, err := upgrades.Connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}
