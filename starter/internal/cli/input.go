package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// upgradeFlags are those that say what an upgrade is to be, the same to plan and start.
type upgradeFlags struct {
	to      string
	policy  string
	through []string
	waive   []string
	approve []string
}

// addApprovals adds the one that only matters to an upgrade that is really started.
func (f *upgradeFlags) addApprovals(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.approve, "approve", nil, "wait for an approval at "+strings.Join(workflows.ApprovalPoints, ", ")+" (\"pawl approve\" gives it)")
}

// addPolicy adds the policy, where the target may be left to one.
func (f *upgradeFlags) addPolicy(c *cobra.Command) {
	c.Flags().StringVar(&f.policy, "policy", "", "the version to reach by a rule, instead of --to: "+upgrade.Policies)
}

// add adds them to a command.
func (f *upgradeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.to, "to", "", "the Kubernetes version to reach, such as v1.37.2; of managed control planes the minor, such as v1.37")
	c.Flags().StringSliceVar(&f.through, "through", nil, "the release of a minor on the way, such as v1.36.3 (default: the newest that all nodes are offered)")
	c.Flags().StringSliceVar(&f.waive, "waive", nil, "id of a finding that is not to stop the upgrade, such as disk-space")
}

// wanted reads the flags. What can be told to be wrong here needs no server.
func (f *upgradeFlags) wanted(op, cluster string) (upgrade.Wanted, error) {
	w := upgrade.Wanted{Waive: f.waive}
	var err error
	switch {
	case f.to == "" && f.policy == "":
		return w, exit.Errorf(exit.BadInput, "%s %s: no target: say --to v1.37.2", op, cluster)
	case f.to != "" && f.policy != "":
		return w, exit.Errorf(exit.BadInput, "%s %s: --policy chooses the version: leave out --to", op, cluster)
	case f.policy != "":
		w.Policy, err = upgrade.ParsePolicy(f.policy)
	default:
		w.Target, err = upgrade.ParseTarget(f.to)
	}
	if err != nil {
		return w, exit.Errorf(exit.BadInput, "%s %s: %v", op, cluster, err)
	}
	if w.Through, err = upgrade.ParseVersions(f.through); err != nil {
		return w, exit.Errorf(exit.BadInput, "%s %s: --through: %v", op, cluster, err)
	}
	return w, nil
}

// input is what the workflows take.
func (f *upgradeFlags) input(op, cluster string) (workflows.ScheduledUpgradeInput, error) {
	in := workflows.ScheduledUpgradeInput{ClusterUpgradeInput: workflows.ClusterUpgradeInput{Cluster: cluster}}
	if err := checkCluster(op, cluster); err != nil {
		return in, err
	}
	w, err := f.wanted(op, cluster)
	if err != nil {
		return in, err
	}
	in.TargetVersion, in.Policy, in.Waive, in.Approve = w.Target.String(), w.Policy, w.Waive, f.approve
	if err := in.CheckApprovals(); err != nil {
		return in, exit.Errorf(exit.BadInput, "%s %s: %v", op, cluster, err)
	}
	for _, v := range w.Through {
		in.Through = append(in.Through, v.String())
	}
	return in, nil
}

// checkCluster refuses names that cannot be the name of a definition.
func checkCluster(op, cluster string) error {
	if cluster == "" || strings.ContainsAny(cluster, "/\\ \t\n") || strings.HasPrefix(cluster, ".") {
		return exit.Errorf(exit.BadInput, "%s: %q is not a cluster's name; it is the name of a file, clusters/NAME.yaml", op, cluster)
	}
	return nil
}

// outputFlag adds -o.
func outputFlag(c *cobra.Command, format *string) {
	c.Flags().StringVarP(format, "output", "o", "text", "text or json")
}

// wantsJSON reads -o.
func wantsJSON(format string) (bool, error) {
	switch format {
	case "json":
		return true, nil
	case "text", "":
		return false, nil
	}
	return false, exit.Errorf(exit.BadInput, "--output %q, wanted text or json", format)
}

// machineFormat reads -o where text is not among the choices, or was chosen against.
func machineFormat(format string) (func(io.Writer, any) error, error) {
	switch format {
	case "json":
		return printJSON, nil
	case "yaml":
		return printYAML, nil
	}
	return nil, exit.Errorf(exit.BadInput, "--output %q, wanted json or yaml", format)
}
