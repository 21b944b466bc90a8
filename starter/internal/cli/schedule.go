package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/schedule"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

func scheduleCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "schedule",
		Short: "Run upgrades at given times, to a version or by a policy",
		Long: `Run upgrades at given times: once, or again and again; to a version, or to what a policy says then.
A schedule is Temporal's: its web UI shows and changes it too.

When it is due, the cluster is planned for. Where the plan has errors, nothing is touched and the run
fails with what they are; the schedule goes on. Where another upgrade of the cluster runs, the run is
skipped. An upgrade that a schedule has started is steered like any other, and goes on when the
schedule is paused or deleted.`,
		Example: `  pawl schedule create lab --policy newest-patch --at 22:00 --on tue,thu --time-zone Europe/Zurich
  pawl schedule list
  pawl schedule describe lab`,
	}, scheduleCreateCommand(), scheduleListCommand(), scheduleDescribeCommand(), schedulePauseCommand(),
		scheduleResumeCommand(), scheduleTriggerCommand(), scheduleDeleteCommand())
}

// created is what schedule create says in JSON.
type created struct {
	schedule.Schedule
	// Today is what it would do now, without what there is of each node; nil where nobody looked.
	Today *upgrade.Plan `json:"today,omitempty"`
}

func scheduleCreateCommand() *cobra.Command {
	var wanted upgradeFlags
	var when schedule.When
	var n upgrades.NewSchedule
	var format string
	var noCheck bool
	c := &cobra.Command{
		Use:   "create CLUSTER --to VERSION|--policy POLICY --at TIME|--cron EXPRESSION",
		Short: "Make a schedule",
		Long: `Make a schedule of upgrades of a cluster. Policies:

  newest-patch         the newest patch of the minor that the cluster has
  newest-minor         the newest patch of the newest minor, one minor after the other
  newest-minor-less-1  the newest patch of the minor before the newest (or 2, ... before it)

of what the package repositories offer to all nodes. A policy goes forward only, and finishes an
upgrade that was begun before it goes on to another minor.

--at is a time of the day, with --on on these days of the week only; or a date and time, once.
--cron has the fields minute, hour, day of the month, month, day of the week (and a year; with seven
fields the first is the second). All of them have to match: "0 22 8-14 * tue" is the second Tuesday of
each month. A time that daylight saving leaves out is left out; one that comes twice is due twice.

First it plans and shows what it would do today. Exits with 10 and makes nothing when that is refused.`,
		Example: `  pawl schedule create lab --policy newest-patch --at 22:00 --on tue,thu --time-zone Europe/Zurich
  pawl schedule create lab --policy newest-minor-less-1 --cron '0 22 8-14 * tue' --name lab-minors
  pawl schedule create lab --to v1.37.2 --at 2026-12-01T22:00 --time-zone Europe/Zurich`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			const op = "schedule create"
			if n.Upgrade, err = wanted.input(op, args[0]); err != nil {
				return err
			}
			if n.Name == "" {
				n.Name = args[0]
			}
			if err := checkScheduleName(op, n.Name); err != nil {
				return err
			}
			if n.Spec, n.Once, err = when.Spec(time.Now()); err != nil {
				return exit.Errorf(exit.BadInput, "%s %s: %v", op, n.Name, err)
			}
			const leastCatchUp = 10 * time.Second // Temporal's
			if n.CatchUp < leastCatchUp || n.Jitter < 0 {
				return exit.Errorf(exit.BadInput, "%s %s: wanted a --catch-up of %s or more, and no negative --jitter", op, n.Name, leastCatchUp)
			}
			return createSchedule(cmd, n, !noCheck, asJSON)
		},
	}
	wanted.add(c)
	wanted.addPolicy(c)
	wanted.addApprovals(c)
	f := c.Flags()
	f.StringVar(&n.Name, "name", "", "the schedule's name (default: the cluster's)")
	f.StringVar(&when.At, "at", "", "time of the day, such as 22:00, or once: 2026-12-01T22:00")
	f.StringVar(&when.On, "on", "", "days of the week for --at, such as tue,thu or mon-fri (default: every day)")
	f.StringVar(&when.Cron, "cron", "", "cron expression, instead of --at")
	f.StringVar(&when.TimeZone, "time-zone", "UTC", "IANA name, such as Europe/Zurich")
	f.DurationVar(&n.Jitter, "jitter", 0, "start up to so much later, by chance, so that many clusters do not start at once")
	f.DurationVar(&n.CatchUp, "catch-up", 10*time.Minute, "how late a run may start when Temporal was away at its time")
	f.BoolVar(&n.PauseOnFailure, "pause-on-failure", false, "pause the schedule when a run fails or its plan is refused")
	f.BoolVar(&n.Paused, "paused", false, "make it paused")
	f.StringVar(&n.Note, "note", "", "a line for people")
	f.BoolVar(&noCheck, "no-check", false, "do not plan first, and make it even where it would be refused today")
	outputFlag(c, &format)
	return c
}

// createSchedule plans, makes the schedule and says so.
func createSchedule(cmd *cobra.Command, n upgrades.NewSchedule, check, asJSON bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	client, err := upgrades.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	var today *upgrade.Plan
	if check {
		if err := client.RefuseIfScheduled(ctx, n.Name); err != nil {
			return err
		}
		plan, err := client.Plan(ctx, n.Upgrade, teller(cmd))
		if err != nil {
			return err
		}
		if plan.Refused() {
			fmt.Fprint(cmd.ErrOrStderr(), view.Findings(plan.Findings, style(cmd.ErrOrStderr())))
			return exit.Errorf(exit.Refused, "schedule create %s: the upgrade to %s is refused today, nothing was made; put it right, or say --no-check",
				n.Name, n.Upgrade.Wants())
		}
		today = &plan
	}
	made, err := client.CreateSchedule(ctx, n)
	if err != nil {
		return err
	}
	if asJSON {
		if today != nil {
			brief := today.Brief()
			today = &brief
		}
		return printJSON(out, created{made, today})
	}
	fmt.Fprintf(out, "%s: made\n", made.Name)
	if today != nil {
		fmt.Fprintf(out, "It would do today: %s", view.PlanOutline(*today, style(out)))
	}
	fmt.Fprintf(out, "\n%s", view.Schedule(made, style(out)))
	return nil
}

// checkScheduleName refuses names that cannot be part of an id.
func checkScheduleName(op, name string) error {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/\\ \t\n") {
		return exit.Errorf(exit.BadInput, "%s: %q is not a schedule's name, wanted one like lab-patches", op, name)
	}
	return nil
}

func scheduleListCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "list",
		Short:   "Show all schedules, with their next time and their last run",
		Long:    "Show all schedules of upgrades that Temporal has, with their next time and their last run.",
		Example: "  pawl schedule list\n  pawl schedule list -o json | jq -r '.[].name'",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onSchedules(cmd, format, func(client *upgrades.Client) (any, string, error) {
				all, err := client.Schedules(cmd.Context())
				if all == nil {
					all = []schedule.Schedule{}
				}
				return all, view.Schedules(all, style(cmd.OutOrStdout())), err
			})
		},
	}
	outputFlag(c, &format)
	return c
}

func scheduleDescribeCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "describe NAME",
		Short:   "Show a schedule, its next times and what became of its last runs",
		Long:    "Show a schedule: what it does and when, its next times, and what became of its last runs.\nTimes are the schedule's own time zone's. A schedule made without pawl is named by its id.",
		Example: "  pawl schedule describe lab\n  pawl schedule describe lab -o json | jq '.runs[0]'",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onSchedules(cmd, format, func(client *upgrades.Client) (any, string, error) {
				s, err := client.Schedule(cmd.Context(), args[0])
				return s, view.Schedule(s, style(cmd.OutOrStdout())), err
			})
		},
	}
	outputFlag(c, &format)
	return c
}

func schedulePauseCommand() *cobra.Command {
	var format, reason string
	c := &cobra.Command{
		Use:     "pause NAME",
		Short:   "Keep a schedule from starting upgrades",
		Long:    "Keep a schedule from starting upgrades until it is resumed. An upgrade that it has started goes on.",
		Example: `  pawl schedule pause lab --reason "freeze until January"`,
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onSchedules(cmd, format, func(client *upgrades.Client) (any, string, error) {
				s, err := client.PauseSchedule(cmd.Context(), args[0], note("paused", reason))
				return s, s.Name + ": paused; an upgrade that it has started goes on\n", err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the schedule's note")
	outputFlag(c, &format)
	return c
}

func scheduleResumeCommand() *cobra.Command {
	var format, reason string
	c := &cobra.Command{
		Use:     "resume NAME",
		Short:   "Let a paused schedule start upgrades again",
		Long:    "Let a paused schedule start upgrades again. Times that have passed meanwhile are not made up for.",
		Example: `  pawl schedule resume lab --reason "the freeze is over"`,
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onSchedules(cmd, format, func(client *upgrades.Client) (any, string, error) {
				s, err := client.ResumeSchedule(cmd.Context(), args[0], note("resumed", reason))
				text := s.Name + ": resumed, next never\n"
				if len(s.Next) > 0 {
					text = fmt.Sprintf("%s: resumed, next %s\n", s.Name, view.Moment(s.Next[0]))
				}
				return s, text, err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the schedule's note")
	outputFlag(c, &format)
	return c
}

func scheduleTriggerCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "trigger NAME",
		Short: "Run a schedule now",
		Long: `Run a schedule now, also one that is paused or whose time is over.

Exits with 11 and starts nothing while a run of it is under way.`,
		Example: "  pawl schedule trigger lab",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onSchedules(cmd, format, func(client *upgrades.Client) (any, string, error) {
				run, err := client.TriggerSchedule(cmd.Context(), args[0])
				text := fmt.Sprintf("%s: runs as %s\nSee what becomes of it with: pawl schedule describe %[1]s\n", args[0], run.Workflow)
				if run.UI != "" {
					text += "Temporal's UI: " + run.UI + "\n"
				}
				return run, text, err
			})
		},
	}
	outputFlag(c, &format)
	return c
}

func scheduleDeleteCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Remove a schedule",
		Long:    "Remove a schedule, and say what it was. An upgrade that it has started goes on.",
		Example: "  pawl schedule delete lab",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onSchedules(cmd, format, func(client *upgrades.Client) (any, string, error) {
				s, err := client.DeleteSchedule(cmd.Context(), args[0])
				return s, fmt.Sprintf("deleted %s; an upgrade that it has started goes on\n", view.ScheduleTitle(s)), err
			})
		},
	}
	outputFlag(c, &format)
	return c
}

// onSchedules connects, does something, and prints what it returns, as JSON or as text.
func onSchedules(cmd *cobra.Command, format string, do func(*upgrades.Client) (any, string, error)) error {
	asJSON, err := wantsJSON(format)
	if err != nil {
		return err
	}
	return withClient(cmd, func(client *upgrades.Client) error {
		answer, text, err := do(client)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	})
}

// note says who did what to a schedule, and why.
func note(what, reason string) string {
	text := what + " by " + decision("").By
	if reason != "" {
		text += ": " + reason
	}
	return text
}
