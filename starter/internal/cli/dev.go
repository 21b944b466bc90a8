package cli

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/dev"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

func devCommand() *cobra.Command {
	var o dev.Options
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a Temporal server, its web UI and a worker on this machine",
		Long: `Run a Temporal server on a SQLite file, its web UI and a worker, until Ctrl-C. This is all that one
engineer needs; upgrades under way survive its end, also by kill -9, and go on at the next start.

The server is pawl-temporal, found next to pawl or in PATH, else an installed "temporal" CLI.

Clusters are described in --clusters, else $PAWL_CLUSTERS, else ./clusters, else ~/.config/pawl/clusters.`,
		Example: "  pawl dev\n  pawl dev --clusters ./clusters --port 7243",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := os.UserHomeDir()
			if err != nil {
				return exit.Errorf(exit.Unexpected, "dev: %v", err)
			}
			if o.Clusters == "" {
				o.Clusters = dev.ClustersFolder(os.Getenv, home)
			}
			if o.Data == "" {
				o.Data = dev.DataFolder(os.Getenv, home)
			}
			if o.UIPort == 0 {
				o.UIPort = o.Port + 1000
			}
			for _, folder := range []*string{&o.Clusters, &o.Data} {
				if *folder, err = filepath.Abs(*folder); err != nil {
					return exit.Errorf(exit.Unexpected, "dev: %v", err)
				}
			}
			return dev.Run(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.Clusters, "clusters", "", "folder of the clusters' definitions")
	f.StringVar(&o.Data, "data", "", "folder of the server's file and of the logs (default ~/.local/state/pawl)")
	f.IntVar(&o.Port, "port", 7233, "port of the Temporal server")
	f.IntVar(&o.UIPort, "ui-port", 0, "port of the web UI (default: the server's port + 1000)")
	return c
}
