package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

func planCommand() *cobra.Command {
	var wanted upgradeFlags
	var format, inventory string
	c := &cobra.Command{
		Use:   "plan CLUSTER --to VERSION|--policy POLICY",
		Short: "Show what an upgrade would do, and what stands in its way",
		Long: `Look at the cluster and show which version is where, what would be done in which order, and what
stands in the way. Nothing is changed. With --inventory the plan is made from what
"pawl inventory" recorded, without a cluster or Temporal.

Exits with 10 when the upgrade is refused, 2 when the cluster is not known.`,
		Example: "  pawl plan lab --to v1.37.2\n  pawl plan lab --to v1.37.2 -o json | jq .findings\n" +
			"  pawl plan lab --to v1.37.2 --through v1.36.3\n  pawl plan lab --policy newest-patch\n  pawl plan --inventory lab.json --to v1.37.2",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case inventory == "":
				return arguments(1, 1)(cmd, args)
			case len(args) > 0:
				return exit.Errorf(exit.BadInput, "plan: --inventory says which cluster: leave out %s", strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := planWriter(format)
			if err != nil {
				return err
			}
			var plan upgrade.Plan
			if inventory != "" {
				plan, err = planFrom(inventory, wanted)
			} else {
				plan, err = planOf(cmd, args[0], wanted)
			}
			if err != nil {
				return err
			}
			if err = write(cmd.OutOrStdout(), plan); err == nil && plan.Refused() {
				return exit.Silent(exit.Refused)
			}
			return err
		},
	}
	wanted.add(c)
	wanted.addPolicy(c)
	c.Flags().StringVar(&inventory, "inventory", "", "plan from this file, which \"pawl inventory\" wrote")
	c.Flags().StringVarP(&format, "output", "o", "text", "text, json or yaml")
	return c
}

// planOf asks the worker.
func planOf(cmd *cobra.Command, cluster string, wanted upgradeFlags) (upgrade.Plan, error) {
	in, err := wanted.input("plan", cluster)
	if err != nil {
		return upgrade.Plan{}, err
	}
	client, err := upgrades.Connect(cmd.Context())
	if err != nil {
		return upgrade.Plan{}, err
	}
	defer client.Close()
	return client.Plan(cmd.Context(), in, teller(cmd))
}

// planFrom plans from a file.
func planFrom(file string, wanted upgradeFlags) (upgrade.Plan, error) {
	seen, err := readInventory(file)
	if err != nil {
		return upgrade.Plan{}, err
	}
	w, err := wanted.wanted("plan", seen.Cluster.Name)
	if err != nil {
		return upgrade.Plan{}, err
	}
	if err := w.Check(seen.Settings); err != nil {
		return upgrade.Plan{}, exit.Errorf(exit.BadInput, "plan %s: %v", seen.Cluster.Name, err)
	}
	return seen.Plan(w), nil
}

// planWriter reads -o.
func planWriter(format string) (func(io.Writer, upgrade.Plan) error, error) {
	if format == "text" || format == "" {
		return func(out io.Writer, p upgrade.Plan) error {
			_, err := fmt.Fprint(out, view.Plan(p, style(out)))
			return err
		}, nil
	}
	write, err := machineFormat(format)
	if err != nil {
		return nil, exit.Errorf(exit.BadInput, "--output %q, wanted text, json or yaml", format)
	}
	return func(out io.Writer, p upgrade.Plan) error { return write(out, p) }, nil
}
