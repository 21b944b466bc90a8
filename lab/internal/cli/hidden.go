package cli

import (
	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/infra"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// The lab's own processes are this program again, under hidden commands.

func (a *app) keepCommand() *cobra.Command {
	return &cobra.Command{
		Use: node.KeepCommand, Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			n, err := topology.Parse(args[0])
			if err != nil {
				return err
			}
			return node.Keep(h, n)
		},
	}
}

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: node.InitCommand, Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := topology.Parse(args[1])
			if err != nil {
				return err
			}
			return node.Init(args[0], n)
		},
	}
}

func (a *app) infraCommand() *cobra.Command {
	var (
		cps   []string
		relay bool
	)
	cmd := &cobra.Command{
		Use: infra.Command, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			var nodes []topology.Node
			for _, name := range cps {
				n, err := topology.Parse(name)
				if err != nil {
					return err
				}
				nodes = append(nodes, n)
			}
			return infra.Serve(cmd.Context(), h, nodes, relay)
		},
	}
	cmd.Flags().StringArrayVar(&cps, "control-plane", nil, "")
	cmd.Flags().BoolVar(&relay, "relay", false, "")
	return cmd
}
