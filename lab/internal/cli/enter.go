package cli

import (
	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/lab"
)

func (a *app) sshCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh NODE [COMMAND...]",
		Short: "Log in to a node, or run a command there",
		Long: `Becomes ssh(1) as root on a node. The user "admin" with the same key and
password-less sudo is there too.`,
		Example: `  pawl-lab ssh w1
  pawl-lab ssh cp1 kubectl get pods -A`,
		Args: arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			return lab.SSH(h, args[0], args[1:])
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the node is not for us
	return cmd
}

func (a *app) execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec COMMAND...",
		Short: "Run a program inside the lab's network",
		Long: `Becomes the given program, in the lab's network and otherwise as it is called:
same folder, environment and files. Signals and the exit status are its own.`,
		Example: `  pawl-lab exec curl http://10.77.0.21:30080/
  pawl-lab exec kubectl --kubeconfig clusters/admin.conf get nodes`,
		Args: arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			return lab.Exec(h, args)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}
