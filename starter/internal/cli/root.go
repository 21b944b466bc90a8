package cli

import (
	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

func rootCommand() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "pawl",
		Short: "Upgrade Kubernetes clusters durably",
		Long: `pawl upgrades Kubernetes clusters with durable workflows: an upgrade that was begun goes on
after any crash, from the step where it was, and nothing is done twice that must not be.

Temporal is found by its standard configuration: temporal.toml and TEMPORAL_* variables, else
localhost:7233, where "pawl dev" has one.

` + exit.Table,
		Example: `  pawl dev                          # a Temporal server, its web UI and a worker
  pawl plan lab --to v1.37.2        # what would be done, and what stands in the way
  pawl start lab --to v1.37.2 --watch`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}, devCommand(), planCommand(), inventoryCommand(), startCommand(), rollbackCommand(), listCommand(), statusCommand(), watchCommand(),
		scheduleCommand(), fleetCommand(), codecCommand(), reportCommand(), sudoersCommand(), versionCommand())
	root.AddCommand(decisionCommands()...)
	root.SetVersionTemplate("{{.Version}}")
	root.SetFlagErrorFunc(wrongFlag)
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}
