package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
	"github.com/pawl-dev/pawl/workflows"
)

// started is what start says in JSON.
type started struct {
	Cluster     string          `json:"cluster"`
	From        upgrade.Version `json:"from"`
	Target      upgrade.Version `json:"target"`
	NothingToDo bool            `json:"nothingToDo,omitempty"`
	Workflow    string          `json:"workflow,omitempty"`
	Run         string          `json:"run,omitempty"`
	UI          string          `json:"ui,omitempty"`
}

func startCommand() *cobra.Command {
	var wanted upgradeFlags
	var format string
	var watch bool
	c := &cobra.Command{
		Use:   "start CLUSTER --to VERSION",
		Short: "Start an upgrade",
		Long: `Plan the upgrade, show what was found, and start it. It then runs on the worker, whatever happens
to this command.

Exits with 10 and starts nothing when the plan is refused, 11 when an upgrade of the cluster is running.`,
		Example: "  pawl start lab --to v1.37.2 --watch",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := wanted.input("start", args[0])
			if err != nil {
				return err
			}
			in := asked.ClusterUpgradeInput
			asJSON, err := wantsJSON(format)
			if err != nil {
				return err
			}
			client, err := upgrades.Connect(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			result, err := start(cmd, client, in, asJSON)
			if err != nil {
				return err
			}
			if !watch || result.NothingToDo {
				return nil
			}
			return follow(cmd, client, in.Cluster, asJSON)
		},
	}
	wanted.add(c)
	wanted.addApprovals(c)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "follow it until it ends")
	outputFlag(c, &format)
	return c
}

// start plans, starts and says so. That one is running already is said before anything is looked at.
func start(cmd *cobra.Command, client *upgrades.Client, in workflows.ClusterUpgradeInput, asJSON bool) (started, error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := client.RefuseIfRunning(ctx, in.Cluster); err != nil {
		return started{}, err
	}
	plan, err := client.Plan(ctx, workflows.ScheduledUpgradeInput{ClusterUpgradeInput: in}, teller(cmd))
	if err != nil {
		return started{}, err
	}
	if plan.Refused() {
		fmt.Fprint(cmd.ErrOrStderr(), view.Findings(plan.Findings, style(cmd.ErrOrStderr())))
		return started{}, exit.Errorf(exit.Refused, "start %s: the way to %s is refused, nothing was started", in.Cluster, plan.Target)
	}
	result := started{Cluster: plan.Cluster, From: plan.Current, Target: plan.Target}
	if len(plan.Hops) == 0 {
		result.NothingToDo = true
		if asJSON {
			return result, printJSON(out, result)
		}
		fmt.Fprintf(out, "%s: every node is at %s, nothing to do\n", plan.Cluster, plan.Target)
		return result, nil
	}
	run, err := client.Start(ctx, in, fmt.Sprintf("%s %s -> %s", plan.Cluster, plan.Current, plan.Target))
	if err != nil {
		return started{}, err
	}
	result.Workflow, result.Run, result.UI = run.Workflow, run.Run, client.Link(run.Workflow, run.Run)
	if asJSON {
		return result, printJSON(out, result)
	}
	fmt.Fprintf(out, "%s: started %s -> %s\n", plan.Cluster, plan.Current, plan.Target)
	fmt.Fprint(out, view.Findings(plan.Findings, style(out)))
	fmt.Fprintf(out, "Follow it with: pawl watch %s\n", in.Cluster)
	if result.UI != "" {
		fmt.Fprintf(out, "Temporal's UI:  %s\n", result.UI)
	}
	return result, nil
}
