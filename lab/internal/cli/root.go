// Package cli is the pawl-lab command. Rule: a command parses and prints; what
// it does is in the package that it calls.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/needs"
)

// app carries what all commands share.
type app struct {
	dir string // --dir
}

// Main runs the command and returns its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cmd := newRoot()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	fmt.Fprintln(os.Stderr, "pawl-lab: "+err.Error())
	var s status
	if errors.As(err, &s) {
		return s.code
	}
	return 1
}

func newRoot() *cobra.Command {
	a := &app{}
	cmd := &cobra.Command{
		Use:   "pawl-lab",
		Short: "A real Kubernetes cluster on one Linux machine",
		Long: `pawl-lab runs a real Kubernetes cluster on one Linux machine, to try an upgrade
on: nodes with systemd, SSH and containerd, made by kubeadm with packages from a
repository or installed by hand, in a network of their own that leads nowhere.
Needs root.`,
		Example: `  pawl-lab build                       build what a lab is made of (once, about 30 min)
  pawl-lab up                          1 control plane and 2 workers at v1.36.3
  pawl-lab up --control-planes 3       the same, highly available
  pawl-lab up --hard-way               installed by hand, without kubeadm
  pawl-lab exec pawl plan --help       run a program inside the lab's network
  pawl-lab ssh w1                      look around on a worker
  pawl-lab node add w3                 a further worker; node remove w3 takes it away
  pawl-lab node reboot w1              faults: reboot, stop, start, net cut
  pawl-lab down                        remove it all, keep what was built`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.PersistentFlags().StringVar(&a.dir, "dir", "", "the lab's folder (default $"+home.EnvVar+" or pawl-lab in the user's cache folder)")
	cmd.AddCommand(
		a.buildCommand(), a.upCommand(), a.downCommand(), a.statusCommand(),
		a.sshCommand(), a.execCommand(), a.nodeCommand(), a.netCommand(), a.probeCommand(), a.imageCommand(), a.providerCommand(),
		a.keepCommand(), a.initCommand(), a.infraCommand(),
	)
	return cmd
}

// arguments refuses the wrong number of them with the command's own usage.
// A negative maximum is none.
func arguments(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < min || (max >= 0 && len(args) > max) {
			return fmt.Errorf("arguments: got %d; usage: %s (see %s --help)", len(args), cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}

// asRoot is the lab's folder for a command that needs root.
func (a *app) asRoot() (home.Home, error) {
	if err := needs.Root(); err != nil {
		return "", err
	}
	return home.Locate(a.dir)
}
