package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/lab"
)

func (a *app) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Switch nodes off and on, reboot them, add and remove workers",
		Example: `  pawl-lab node add w3       a further worker
  pawl-lab node remove w3    destroy it
  pawl-lab node stop w1      pull the plug
  pawl-lab node start w1     and put it back
  pawl-lab node reboot cp1   in good order`,
	}
	cmd.AddCommand(
		a.onNode("stop", "Pull a node's plug; its disk stays", func(_ context.Context, h home.Home, n string) error { return lab.StopNode(h, n) }),
		a.onNode("start", "Switch a node on and wait until it lets in", lab.StartNode),
		a.onNode("reboot", "Reboot a node in good order and wait until it lets in", lab.RebootNode),
		a.addCommand(),
		a.onNode("remove", "Destroy a worker's machine; the cluster is not told", lab.RemoveNode),
	)
	return cmd
}

func (a *app) netCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "net",
		Short: "Pull a node's network cable and put it back",
		Example: `  pawl-lab net cut w1
  pawl-lab net restore w1`,
	}
	cmd.AddCommand(
		a.onNode("cut", "Take a node off the network", func(_ context.Context, h home.Home, n string) error { return lab.CutCable(h, n) }),
		a.onNode("restore", "Put a node back on the network", func(_ context.Context, h home.Home, n string) error { return lab.RestoreCable(h, n) }),
	)
	return cmd
}

// onNode is a command that takes one node's name.
func (a *app) onNode(verb, short string, do func(context.Context, home.Home, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NODE",
		Short: short,
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			return do(cmd.Context(), h, args[0])
		},
	}
}
