package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/temporal/internal/devserver"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "pawl-temporal",
		Short:         "A Temporal server in one process, on one SQLite file",
		Version:       devserver.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	server := &cobra.Command{Use: "server", Short: "Run the server"}
	server.AddCommand(startDevCommand())
	root.AddCommand(server)
	return root
}

// startDevCommand serves the flags of `temporal server start-dev` that matter here.
func startDevCommand() *cobra.Command {
	var o devserver.Options
	var dynamic, attributes []string
	var logFormat string
	c := &cobra.Command{
		Use:   "start-dev",
		Short: "Start the server and its web UI, until SIGINT or SIGTERM",
		Long: `Start a Temporal server and its web UI on loopback, until SIGINT or SIGTERM.

Workflows live in the SQLite file and survive restarts and kill -9. One server at a time may use a file; the
version of the server that made the file is kept beside it, because Temporal does not migrate SQLite files.`,
		Example: "  pawl-temporal server start-dev --db-filename ~/.local/state/pawl/temporal.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.DynamicConfig, err = devserver.ParseDynamicConfig(dynamic); err != nil {
				return err
			}
			if o.SearchAttributes, err = devserver.ParseSearchAttributes(attributes); err != nil {
				return err
			}
			o.Ready = func(s devserver.Addresses) {
				fmt.Fprintf(cmd.OutOrStdout(), "Temporal server: %s\n", s.Frontend)
				if s.UI != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "Temporal UI:     %s\n", s.UI)
				}
			}
			return devserver.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.File, "db-filename", "f", "", "SQLite file that holds the workflows; made when it is not there (required)")
	f.StringVar(&o.IP, "ip", "127.0.0.1", "address to listen on")
	f.IntVarP(&o.Port, "port", "p", 7233, "port of the server")
	f.StringVar(&o.UIIP, "ui-ip", "", "address of the web UI (default: as --ip)")
	f.IntVar(&o.UIPort, "ui-port", 0, "port of the web UI (default: the server's port + 1000)")
	f.BoolVar(&o.Headless, "headless", false, "no web UI")
	f.StringArrayVarP(&o.Namespaces, "namespace", "n", nil, "namespace to create besides \"default\"; may be repeated")
	f.StringVar(&o.LogLevel, "log-level", "warn", "debug, info, warn, error or never")
	f.StringVar(&logFormat, "log-format", "json", "json or pretty; only json is written")
	f.StringArrayVar(&dynamic, "dynamic-config-value", nil, "KEY=JSON, a setting of the server; may be repeated")
	f.StringArrayVar(&attributes, "search-attribute", nil, "NAME=TYPE, a search attribute to register; may be repeated")
	return c
}
