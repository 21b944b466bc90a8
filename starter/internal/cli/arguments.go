package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// arguments refuses the wrong number of them with the command's own usage.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return exit.Errorf(exit.BadInput, "arguments: got %d; usage: %s; see \"%s --help\"", len(args), cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}

// group makes a command of others. By itself it shows what they are.
func group(c *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	c.Args = unknownCommand
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	c.SuggestionsMinimumDistance = 2 // cobra's own
	c.AddCommand(commands...)
	return c
}

// unknownCommand refuses what is none of a group's commands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		meant = fmt.Sprintf(" (did you mean %s?)", strings.Join(similar, " or "))
	}
	return exit.Errorf(exit.BadInput, "unknown command %q for %q%s; see \"%[2]s --help\"", args[0], cmd.CommandPath(), meant)
}

// wrongFlag says whose flag it is not. Behind a command that is unknown, that is what is wrong.
func wrongFlag(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() {
		if unknown := unknownCommand(cmd, cmd.Flags().Args()); unknown != nil {
			return unknown
		}
	}
	return exit.Errorf(exit.BadInput, "%v; see \"%s --help\"", err, cmd.CommandPath())
}
