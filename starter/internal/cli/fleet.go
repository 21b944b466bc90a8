package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
	"github.com/pawl-dev/pawl/starter/internal/watch"
	"github.com/pawl-dev/pawl/workflows"
)

// fleetCommand is the group of commands about many clusters.
func fleetCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "fleet",
		Short: "Upgrade many clusters in waves",
		Long: `Upgrade many clusters to one version in waves: a canary first, then groups; at most so many at a time, with a
soak between waves. Nothing new begins when too many are held or have failed. Each cluster has an upgrade of its own,
to which all other commands apply.

` + exit.Table,
		Example: "  pawl fleet plan prod --to v1.37.2 --wave canary --wave eu1,eu2\n" +
			"  pawl fleet start prod --to v1.37.2 --wave canary --wave eu1,eu2,eu3 --max-concurrent 2 --soak 30m --watch\n" +
			"  pawl fleet status prod",
	}, fleetPlanCommand(), fleetStartCommand(), fleetStatusCommand(), fleetWatchCommand())
	c.AddCommand(fleetDecisionCommands()...)
	return c
}

// fleetFlags say what the upgrade of a fleet is to be.
type fleetFlags struct {
	file          string
	wanted        upgradeFlags
	waves         []string
	maxConcurrent int
	maxHeld       int
	soak          time.Duration
}

func (f *fleetFlags) add(c *cobra.Command) {
	f.wanted.add(c)
	c.Flags().StringVarP(&f.file, "file", "f", "", `read all of it from this file, the JSON that the workflow takes; "-" is standard input`)
	c.Flags().StringArrayVar(&f.waves, "wave", nil, "clusters of one wave, such as eu1,eu2; say it once for each wave")
	c.Flags().IntVar(&f.maxConcurrent, "max-concurrent", 1, "how many clusters are under way at a time")
	c.Flags().IntVar(&f.maxHeld, "max-held", 0, "how many may be held or have failed before nothing new begins")
	c.Flags().DurationVar(&f.soak, "soak", 0, "how long a wave has to be well before the next begins, such as 30m")
}

// input reads the flags, or the file. What can be told to be wrong here needs no server.
func (f *fleetFlags) input(cmd *cobra.Command, args []string) (in workflows.FleetUpgradeInput, s upgrade.FleetStatus, err error) {
	var beside []string // of the file, flags that it would say
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains([]string{"file", "output", "watch"}, flag.Name) {
			beside = append(beside, "--"+flag.Name)
		}
	})
	switch {
	case f.file != "" && len(beside) > 0:
		err = fmt.Errorf("--file says all of it: leave out %s", strings.Join(beside, ", "))
	case f.maxConcurrent < 1: // of the workflow's input 0 is the default
		err = fmt.Errorf("--max-concurrent is %d, wanted at least 1", f.maxConcurrent)
	case f.file == "" && len(args) == 1:
		in = workflows.FleetUpgradeInput{Fleet: args[0], TargetVersion: f.wanted.to, MaxConcurrent: f.maxConcurrent, MaxHeld: f.maxHeld,
			Soak: upgrade.Duration(f.soak), Through: f.wanted.through, Waive: f.wanted.waive, Approve: f.wanted.approve}
		for _, wave := range f.waves {
			in.Waves = append(in.Waves, strings.FieldsFunc(wave, func(r rune) bool { return r == ',' || r == ' ' }))
		}
	case f.file != "" && len(args) == 0:
		in, err = readFleet(f.file, cmd.InOrStdin())
	default:
		err = fmt.Errorf("wanted FLEET and flags, or --file alone")
	}
	if err == nil {
		s, err = in.Status()
	}
	if err != nil {
		err = exit.Errorf(exit.BadInput, "fleet %s: %s", cmd.Name(), strings.Join(strings.Fields(err.Error()), " "))
	}
	return in, s, err
}

// readFleet reads what the workflow takes.
func readFleet(file string, stdin io.Reader) (in workflows.FleetUpgradeInput, err error) {
	var text []byte
	if file == "-" {
		file = "standard input"
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return in, err
	}
	if err = json.Unmarshal(text, &in); err != nil {
		err = fmt.Errorf("read %s: %w", file, err)
	}
	return in, err
}

func fleetStartCommand() *cobra.Command {
	var wanted fleetFlags
	var format string
	var follow bool
	c := &cobra.Command{
		Use:   "start FLEET --to VERSION --wave CLUSTERS ... | start -f FILE",
		Short: "Start the upgrade of a fleet",
		Long: `Start the upgrade of a fleet. Each cluster is planned when its turn comes: one whose plan is refused counts as
failed, one that is at the version already as done. "pawl fleet plan" plans all of them before.

Exits with 11 when an upgrade of the fleet is running.`,
		Example: "  pawl fleet start prod --to v1.37.2 --wave canary --wave eu1,eu2,eu3 --max-concurrent 2 --max-held 1 --soak 30m --watch\n  pawl fleet start -f fleet.json",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			in, s, err := wanted.input(cmd, args)
			if err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error {
				run, err := client.StartFleet(cmd.Context(), in)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), run)
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "fleet %s: started to %s, %d clusters in %d waves\nFollow it with: pawl fleet watch %s\n", in.Fleet, s.Target, len(s.Clusters), s.Waves, in.Fleet)
				}
				if err != nil || !follow {
					return err
				}
				return followFleet(cmd, client, in.Fleet, asJSON)
			})
		},
	}
	wanted.add(c)
	wanted.wanted.addApprovals(c)
	c.Flags().BoolVarP(&follow, "watch", "w", false, "follow it until it ends")
	outputFlag(c, &format)
	return c
}

// plansAtOnce is how many clusters are looked at side by side.
const plansAtOnce = 8

func fleetPlanCommand() *cobra.Command {
	var wanted fleetFlags
	var format string
	c := &cobra.Command{
		Use:   "plan FLEET --to VERSION --wave CLUSTERS ... | plan -f FILE",
		Short: "Plan all clusters of a fleet side by side",
		Long: `Look at all clusters of a fleet and show what their upgrades would do, a row each. Nothing is changed.
"pawl plan CLUSTER" shows one of them in full.

Exits with 10 when one is refused or cannot be planned.`,
		Example: "  pawl fleet plan prod --to v1.37.2 --wave canary --wave eu1,eu2\n  pawl fleet plan -f fleet.json -o json",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			in, s, err := wanted.input(cmd, args)
			if err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error {
				plans, err := planFleet(cmd, client, in, s)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), plans)
				} else {
					_, err = fmt.Fprint(cmd.OutOrStdout(), view.FleetPlans(plans, style(cmd.OutOrStdout())))
				}
				for _, p := range plans {
					if p.Refused() && err == nil {
						err = exit.Silent(exit.Refused)
					}
				}
				return err
			})
		},
	}
	wanted.add(c)
	outputFlag(c, &format)
	return c
}

// planFleet plans every cluster. One that cannot be planned is said so in its row; without Temporal or a worker none can.
func planFleet(cmd *cobra.Command, client *upgrades.Client, in workflows.FleetUpgradeInput, s upgrade.FleetStatus) ([]view.FleetPlan, error) {
	plans := make([]view.FleetPlan, len(s.Clusters))
	group, ctx := errgroup.WithContext(cmd.Context())
	group.SetLimit(plansAtOnce)
	for i, c := range s.Clusters {
		plans[i] = view.FleetPlan{Cluster: c.Cluster, Wave: c.Wave}
		group.Go(func() (err error) {
			plans[i].Plan, err = client.Plan(ctx, workflows.ScheduledUpgradeInput{ClusterUpgradeInput: workflows.ClusterUpgradeInput{
				Cluster: c.Cluster, TargetVersion: in.TargetVersion, Through: in.Through, Waive: in.Waive}}, func(string) {})
			switch exit.Code(err) {
			case exit.Refused, exit.BadInput, exit.Unexpected:
				plans[i].Error = err.Error()
				return nil
			}
			return err
		})
	}
	return plans, group.Wait()
}

func fleetStatusCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "status FLEET",
		Short: "Show where the newest upgrade of a fleet is",
		Long: `Show where the newest upgrade of a fleet is: its waves, its clusters, and what a person can do.

Exits with 0 when it is done or under way, 12 when it waits for a person, 1 when it failed or was aborted.`,
		Example: "  pawl fleet status prod\n  pawl fleet status prod -o json | jq -r '.clusters[] | select(.state == \"held\") | .cluster'",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error {
				s, err := client.FleetStatus(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), s)
				} else {
					_, err = fmt.Fprint(cmd.OutOrStdout(), view.Fleet(s, time.Now(), style(cmd.OutOrStdout())))
				}
				if code := watch.Code(s.State); err == nil && code != exit.Done {
					return exit.Silent(code)
				}
				return err
			})
		},
	}
	outputFlag(c, &format)
	return c
}

func fleetWatchCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "watch FLEET",
		Short: "Follow the upgrade of a fleet, until it ends or waits for a person",
		Long: `Follow the newest upgrade of a fleet, one line for each change, or with -o json one status. Ctrl-C ends the
watching, not the upgrade.

Exits with 0 when it is done, 12 when it waits for a person, 1 when it failed or was aborted.`,
		Example: "  pawl fleet watch prod\n  pawl fleet watch prod -o json > fleet.jsonl",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error { return followFleet(cmd, client, args[0], asJSON) })
		},
	}
	outputFlag(c, &format)
	return c
}

// followFleet shows what changes until the fleet has ended or waits for a person, and says how it was left.
func followFleet(cmd *cobra.Command, client *upgrades.Client, fleet string, asJSON bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	var prev *upgrade.FleetStatus
	away := ""
	for {
		s, err := client.FleetStatus(ctx, fleet)
		switch {
		case ctx.Err() != nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "pawl: the upgrade goes on; follow it with \"pawl fleet watch %s\"\n", fleet)
			return exit.Silent(exit.Interrupted)
		case exit.Code(err) == exit.BadInput:
			return err
		case err != nil:
			if away == "" { // once for each time that it goes away
				fmt.Fprintf(cmd.ErrOrStderr(), "pawl: %v; trying again\n", err)
			}
			away = err.Error()
		default:
			away = ""
			showFleet(out, prev, s, asJSON)
			prev = &s
			if s.State.Ended() || s.State == upgrade.Held {
				if !asJSON {
					fmt.Fprint(out, "\n"+view.Fleet(s, time.Now(), style(out)))
				}
				if code := watch.Code(s.State); code != exit.Done {
					return exit.Silent(code)
				}
				return nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(watch.Interval):
		}
	}
}

func showFleet(out io.Writer, prev *upgrade.FleetStatus, s upgrade.FleetStatus, asJSON bool) {
	lines := view.FleetChanges(prev, s, time.Now())
	if asJSON && len(lines) > 0 {
		_ = json.NewEncoder(out).Encode(s)
		return
	}
	for _, line := range lines {
		if !asJSON {
			fmt.Fprintln(out, line)
		}
	}
}

// fleetDecisionCommands are what a person says to a fleet's upgrade that is under way.
func fleetDecisionCommands() []*cobra.Command {
	ofCluster := func(args []string, d workflows.Decision, _ bool) any {
		c := workflows.ClusterDecision{Decision: d}
		if len(args) > 1 {
			c.Cluster = args[1]
		}
		return c
	}
	ofFleet := func(_ []string, d workflows.Decision, clusters bool) any {
		return workflows.FleetDecision{Decision: d, Clusters: clusters}
	}
	decide := func(update, use, short, long, example string, args cobra.PositionalArgs, clusters string, payload func([]string, workflows.Decision, bool) any) *cobra.Command {
		var reason string
		var too bool
		c := &cobra.Command{Use: update + " " + use + reasonUse(update), Short: short, Long: short + ".\n\n" + long + "\n\nThe reason is kept in the workflow's history.", Example: example, Args: args,
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := checkReason(update+" fleet "+args[0], update, reason); err != nil {
					return err
				}
				return withClient(cmd, func(client *upgrades.Client) error {
					answer, err := client.DecideFleet(cmd.Context(), args[0], update, payload(args, decision(reason), too))
					if err == nil {
						fmt.Fprintf(cmd.OutOrStdout(), "fleet %s: %s\n", args[0], answer)
					}
					return err
				})
			}}
		reasonFlag(c, update, &reason)
		if clusters != "" {
			c.Flags().BoolVar(&too, "clusters", false, clusters)
		}
		return c
	}
	return []*cobra.Command{
		decide(workflows.UpdateRetry, "FLEET [CLUSTER]", "Start again what has failed", "Without a cluster it is for all that have failed. A cluster that is held is decided on at its own upgrade.",
			`  pawl fleet retry prod eu1 --reason "w3 is Ready again"`, arguments(1, 2), "", ofCluster),
		decide(workflows.UpdateSkip, "FLEET CLUSTER", "Leave a cluster as it is, and go on without it", "It may not have begun, be held, or have failed. The upgrade of one that is held stays as it is.",
			`  pawl fleet skip prod eu1 --reason "it is retired next week"`, arguments(2, 2), "", ofCluster),
		decide(workflows.UpdatePause, "FLEET", "Begin no more clusters until it is resumed", "Clusters that are under way go on, unless --clusters pauses them too.",
			`  pawl fleet pause prod --reason "change freeze"`, arguments(1, 1), "pause those that are under way too", ofFleet),
		decide(workflows.UpdateResume, "FLEET", "Go on after a pause", "With --clusters the clusters that were paused go on too.",
			`  pawl fleet resume prod`, arguments(1, 1), "let those that are paused go on too", ofFleet),
		decide(workflows.UpdateAbort, "FLEET", "Begin no more clusters, and be done", "Clusters that are under way go on by themselves, unless --clusters stops them too, each at a safe point.",
			`  pawl fleet abort prod --clusters --reason "not in this window"`, arguments(1, 1), "stop those that are under way too", ofFleet),
	}
}
