package cli

import (
	"fmt"
	"math"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
	"github.com/pawl-dev/pawl/workflows"
)

// decisionCommands are what a person says to an upgrade that is under way.
func decisionCommands() []*cobra.Command {
	var skip workflows.Skip
	skipCommand := decisionCommand(workflows.UpdateSkip, "CLUSTER NODE", "Leave a held node as it is, and go on with the others",
		`The node is left at the versions that it has, and cordoned if pawl cordoned it; --uncordon makes it schedulable
again. It is refused where the version skew policy would be broken later on the way.`,
		`  pawl skip lab w2 --reason "its disk is broken"`, arguments(2, 2),
		func(_ []string, d workflows.Decision) (any, error) { skip.Decision = d; return skip, nil })
	skipCommand.Flags().BoolVar(&skip.Uncordon, "uncordon", false, "make the node schedulable again, if pawl cordoned it")

	var longer time.Duration
	waitCommand := decisionCommand(workflows.UpdateWait, "CLUSTER NODE --for DURATION", "Let a held drain go on for longer", "",
		`  pawl wait lab w2 --for 2h --reason "a long job ends by itself"`, arguments(2, 2),
		func(_ []string, d workflows.Decision) (any, error) {
			if longer <= 0 {
				return nil, exit.Errorf(exit.BadInput, "wait: for how long? say --for 2h")
			}
			return workflows.Wait{Decision: d, For: upgrade.Duration(longer)}, nil
		})
	waitCommand.Flags().DurationVar(&longer, "for", 0, "how long the drain may take from now on, such as 2h (required)")

	var pause workflows.Pause
	pauseCommand := decisionCommand(workflows.UpdatePause, "CLUSTER", "Begin nothing more, until it is resumed",
		`Nodes that are under way are finished. It takes effect at once, or with --after when a hop or a node is done.`,
		"  pawl pause lab --reason \"change freeze\"\n  pawl pause lab --after hop\n  pawl pause lab --after w3", arguments(1, 1),
		func(_ []string, d workflows.Decision) (any, error) { pause.Decision = d; return pause, nil })
	pauseCommand.Flags().StringVar(&pause.After, "after", "", `"hop", or a node's name (default: at once)`)

	var open time.Duration
	openCommand := decisionCommand(workflows.UpdateOpenWindow, "CLUSTER", "Open a maintenance window now, for an upgrade that waits for one",
		`It is open for as long as the window that is waited for would be, or for as long as --for says, and closes by itself.
Then the windows of the cluster's definition count again. What does not fit into it does not begin in it.`,
		"  pawl open-window lab --reason \"the customer agrees\"\n  pawl open-window lab --for 2h --reason CHG-4711", arguments(1, 1),
		func(_ []string, d workflows.Decision) (any, error) {
			if open < 0 {
				return nil, exit.Errorf(exit.BadInput, "open-window: --for is %s, wanted a duration such as 2h", open)
			}
			return workflows.OpenWindow{Decision: d, For: upgrade.Duration(open)}, nil
		})
	openCommand.Flags().DurationVar(&open, "for", 0, "how long it is open, such as 2h (default: as long as the window that is waited for)")

	var wanted upgradeFlags
	retargetCommand := decisionCommand(workflows.UpdateRetarget, "CLUSTER --to VERSION", "Go on to another version",
		`The way to the other version is planned from where the cluster is. If there is none, nothing is changed. Else
what is under way is finished, what is held is given up, and the upgrade goes on along the new plan.`,
		`  pawl retarget lab --to v1.37.3 --reason "a fix came out"`, arguments(1, 1),
		func(args []string, d workflows.Decision) (any, error) {
			in, err := wanted.input("retarget", args[0])
			return workflows.Retarget{Decision: d, TargetVersion: in.TargetVersion, Through: in.Through, Waive: in.Waive}, err
		})
	wanted.add(retargetCommand)

	plain := func(_ []string, d workflows.Decision) (any, error) { return d, nil }
	return []*cobra.Command{
		decisionCommand(workflows.UpdateRetry, "CLUSTER [NODE]", "Let what is held try its step again",
			`Tell the upgrade that what held a node has been put right. The node looks at the step again and does it
if it is still needed. Without a node, it is for a step of the whole cluster that is held.`,
			`  pawl retry lab w2 --reason "budget of payments/api relaxed"`, arguments(1, 2), plain),
		skipCommand,
		waitCommand,
		decisionCommand(workflows.UpdateDeletePods, "CLUSTER NODE NAMESPACE/POD...", "Delete pods that a held drain could not evict",
			`Only these pods are deleted, whatever their budgets say, and only if they are on the node. Then the drain goes on.`,
			`  pawl delete-pods lab w2 payments/api-0 --reason "its owner agrees"`, arguments(3, math.MaxInt),
			func(args []string, d workflows.Decision) (any, error) {
				for _, pod := range args[2:] {
					if namespace, name, _ := strings.Cut(pod, "/"); namespace == "" || name == "" {
						return nil, exit.Errorf(exit.BadInput, "delete-pods: %q is no pod, wanted NAMESPACE/POD", pod)
					}
				}
				return workflows.DeletePods{Decision: d, Pods: args[2:]}, nil
			}),
		decisionCommand(workflows.UpdateSkipDrain, "CLUSTER NODE", "Go on though pods are left on a node whose drain is held",
			`The pods are there while the kubelet is replaced, which the version skew policy advises against for a new minor.
Of a managed node group that is held, the provider is asked again, by force: pods that their budgets do not let go end
with their nodes.`,
			"  pawl skip-drain lab w2 --reason \"they may be interrupted\"\n  pawl skip-drain prod nodegroup/blue --reason \"their owner agrees\"", arguments(2, 2), plain),
		decisionCommand(workflows.UpdatePass, "CLUSTER", "Go on without a hook, or in spite of a health gate, that is held",
			`The hook is not run, or the gate is taken for open, this once. The next one counts again.`,
			`  pawl pass lab --reason "the alert is known"`, arguments(1, 1), plain),
		pauseCommand,
		decisionCommand(workflows.UpdateResume, "CLUSTER", "Go on after a pause", "", `  pawl resume lab`, arguments(1, 1), plain),
		decisionCommand(workflows.UpdateApprove, "CLUSTER", "Let happen what waits for an approval",
			`"pawl status" shows what is about to happen. Which points wait for an approval is said when an upgrade is started.`,
			`  pawl approve lab --reason CHG-4711`, arguments(1, 1), plain),
		decisionCommand(workflows.UpdateAbort, "CLUSTER", "Stop at a safe point, and be done",
			`Nodes that are under way are finished. What is held is given up: a node whose kubelet was not touched is made
schedulable again, another stays cordoned, and the status says so. A later "pawl start" takes it up from there.`,
			`  pawl abort lab --reason "not in this window"`, arguments(1, 1), plain),
		openCommand,
		retargetCommand,
	}
}

// decisionCommand makes the command for an update. payload makes what is sent from the arguments.
func decisionCommand(update, args, short, long, example string, count cobra.PositionalArgs, payload func([]string, workflows.Decision) (any, error)) *cobra.Command {
	var reason string
	name := view.CommandName(update)
	c := &cobra.Command{
		Use:     name + " " + args + reasonUse(update),
		Short:   short,
		Long:    strings.TrimSpace(short + ".\n\n" + long + "\n\nThe reason is kept in the workflow's history."),
		Example: example,
		Args:    count,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkCluster(name, args[0]); err != nil {
				return err
			}
			d, err := payload(args, decision(reason))
			if err != nil {
				return err
			}
			node := ""
			if strings.Contains(cmd.Use, "NODE") && len(args) > 1 {
				node = args[1]
			}
			if err := checkReason(strings.TrimSpace(name+" "+args[0]+" "+node), update, reason); err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error {
				answer, err := client.Decide(cmd.Context(), args[0], node, update, d)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", strings.TrimSpace(args[0]+" "+node), answer)
				}
				return err
			})
		},
	}
	reasonFlag(c, update, &reason)
	return c
}

// reasonUse is what the usage of a decision says of its reason.
func reasonUse(update string) string {
	if view.NeedsReason(update) {
		return " --reason WHY"
	}
	return ""
}

// reasonFlag adds --reason.
func reasonFlag(c *cobra.Command, update string, reason *string) {
	help := "why, for the history"
	if view.NeedsReason(update) {
		help += " (required)"
	}
	c.Flags().StringVar(reason, "reason", "", help)
}

// checkReason refuses what the workflow would refuse, before it is asked.
func checkReason(op, update, reason string) error {
	if view.NeedsReason(update) && strings.TrimSpace(reason) == "" {
		return exit.Errorf(exit.BadInput, "%s: why? Give a reason, which is recorded: --reason \"...\"", op)
	}
	return nil
}

// decision says who decides: user and machine, as far as they are known.
func decision(reason string) workflows.Decision {
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		by += "@" + host
	}
	return workflows.Decision{Reason: reason, By: by}
}
