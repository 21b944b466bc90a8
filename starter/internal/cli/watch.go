package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
	"github.com/pawl-dev/pawl/starter/internal/watch"
	"github.com/pawl-dev/pawl/workflows"
)

func watchCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "watch CLUSTER",
		Short: "Follow an upgrade live, and answer what it waits for",
		Long: `Follow the newest upgrade of a cluster. On a terminal it is a live picture, in which nodes can be selected
and what waits for a person be answered; ? lists the keys. It stays while the upgrade is held; q leaves it.
Elsewhere it is one line for each change, and with -o json one status for each change, until it ends or is
held. Whoever stops watching does not stop the upgrade.

Exits with 0 when it is done, 12 when it waits for a person, 1 when it failed or was aborted, 130 when the
watching was ended before.`,
		Example: "  pawl watch lab\n  pawl watch lab -o json > upgrade.jsonl",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			if err := checkCluster("watch", args[0]); err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error { return follow(cmd, client, args[0], asJSON) })
		},
	}
	outputFlag(c, &format)
	return c
}

// follow watches in the way that suits where the output goes, and says how it was left.
func follow(cmd *cobra.Command, client *upgrades.Client, cluster string, asJSON bool) error {
	ctx, out, errOut := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	source := func(ctx context.Context) (snapshot.Snapshot, error) { return client.Status(ctx, cluster) }
	var last snapshot.Snapshot
	var err error
	switch {
	case asJSON:
		last, err = watch.Follow(ctx, source, watch.Interval, watch.EndedOrHeld, watch.JSONLines(out, errOut))
	case terminal(out) && terminal(os.Stdin):
		last, err = watch.Screen(ctx, source, person(client, cluster), os.Stdin, out, style(out).Color)
	default:
		last, err = watch.Follow(ctx, source, watch.Interval, watch.EndedOrHeld, watch.Lines(out, time.Now))
		if err == nil {
			heldHint(cmd, last)
		}
	}
	if exit.Code(err) == exit.Interrupted {
		fmt.Fprintf(errOut, "pawl: the upgrade goes on; follow it with \"pawl watch %s\"\n", cluster)
	}
	if err != nil {
		return err
	}
	if code := watch.Code(last.State); code != exit.Done {
		return exit.Silent(code)
	}
	return nil
}

// person is who watches, and what that person may say.
func person(client *upgrades.Client, cluster string) watch.Person {
	return watch.Person{
		By: decision("").By,
		Decide: func(ctx context.Context, node, update string, payload any) (string, error) {
			return client.Decide(ctx, cluster, node, update, payload)
		},
		Anytime: []upgrade.Choice{
			{Update: workflows.UpdatePause, Does: "begin nothing more", Example: `{"reason":"change freeze"}`},
			{Update: workflows.UpdateAbort, Does: "stop at a safe point", Example: `{"reason":"not today"}`},
		},
	}
}

// heldHint says what a person can do; the live picture has it already.
func heldHint(cmd *cobra.Command, s snapshot.Snapshot) {
	choices := view.Choices(s)
	if len(choices) == 0 {
		return
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "pawl: the upgrade waits for a person; what can be done:")
	for _, c := range choices {
		fmt.Fprintln(cmd.ErrOrStderr(), "  "+c)
	}
}
