// Package cli is the pawl-sim command.
//
// Rule: a command parses and prints; what it does is in the package that it calls.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the command and returns its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "pawl-sim:", err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pawl-sim",
		Short: "A simulated cluster to try pawl on",
		Long: `pawl-sim makes a Kubernetes cluster to try pawl on, in seconds and as an ordinary user. Its API, scheduler and
controllers are the real ones; its machines are models of Debian hosts behind real SSH servers on the loopback
interface, where anything can be made to fail. For real nodes there is pawl-lab.`,
		Example: `  pawl-sim demo                          an upgrade over two minors, before your eyes
  pawl-sim up                            a cluster to play with, until Ctrl-C
  pawl-sim fault 'w2 start reboot'       something goes wrong in it
  pawl-sim ssh w2 kubeadm version -o short`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(demoCommand(), upCommand(), faultCommand(), commandsCommand(), sshCommand())
	return root
}

// arguments refuses the wrong number of them with the command's own usage.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("arguments: got %d; usage: %s; see \"%s --help\"", len(args), cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}

// dirFlag adds --dir: the folder in which a cluster has everything, and by which other commands find it.
func dirFlag(c *cobra.Command, dir *string) {
	home := ".pawl-sim"
	if cache, err := os.UserCacheDir(); err == nil {
		home = filepath.Join(cache, "pawl-sim", "run")
	}
	c.Flags().StringVar(dir, "dir", home, "the cluster's folder")
}
