package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X github.com/pawl-dev/pawl/starter/internal/cli.version=v0.1.0".
var version = ""

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show pawl's version",
		Long:    "Show pawl's version, and what it was built with.",
		Example: "  pawl version",
		Args:    arguments(0, 0),
		Run:     func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), versionText()) },
	}
}

// versionText is what "pawl version" and "pawl --version" say.
func versionText() string {
	return fmt.Sprintf("pawl %s (%s, %s/%s)\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion falls back to what Go recorded of the build.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
