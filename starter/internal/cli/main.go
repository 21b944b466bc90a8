package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// Main runs pawl and returns its exit code. What went wrong is one line on stderr.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var known *exit.Error
	switch {
	case err == nil:
		return exit.Done
	case errors.As(err, &known):
		if known.Text != "" {
			fmt.Fprintln(stderr, "pawl:", known.Text)
		}
		return known.Code
	}
	// What has no code comes from cobra.
	fmt.Fprintf(stderr, "pawl: %v; see \"pawl --help\"\n", err)
	return exit.BadInput
}
