package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
)

func inventoryCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "inventory CLUSTER",
		Short: "Record all that plans for a cluster are made from",
		Long: `Look at the cluster and write down all that a plan is made from: nodes, versions, what the package
repositories offer, the pods and what decides where they can be, and the settings of its definition.
There are no secrets in it, but names of nodes and pods, and addresses of nodes. Nothing is changed.

"pawl plan --inventory FILE" plans from it without any cluster, so that one file shows what a plan
was made from, in a review or a bug report.`,
		Example: "  pawl inventory lab -o json > lab.json\n  pawl plan --inventory lab.json --to v1.37.2",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkCluster("inventory", args[0]); err != nil {
				return err
			}
			write, err := machineFormat(format)
			if err != nil {
				return err
			}
			return withClient(cmd, func(client *upgrades.Client) error {
				seen, err := client.Inventory(cmd.Context(), args[0], teller(cmd))
				if err != nil {
					return err
				}
				return write(cmd.OutOrStdout(), seen)
			})
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "json", "json or yaml")
	return c
}

// readInventory reads what `pawl inventory` wrote, as JSON or YAML. What it does not know is refused: it would be a plan
// from half of what there was.
func readInventory(file string) (inventory.Inventory, error) {
	var seen inventory.Inventory
	text, err := os.ReadFile(file)
	if err != nil {
		return seen, exit.Errorf(exit.BadInput, "plan: read the inventory: %v", err)
	}
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("{")) { // JSON is YAML, but read far sooner as itself
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(&seen)
	} else {
		err = yaml.UnmarshalStrict(text, &seen)
	}
	if err == nil && (seen.Cluster.Name == "" || seen.Cluster.Version.IsZero()) {
		err = errors.New("it has no cluster")
	}
	if err != nil {
		return seen, exit.Errorf(exit.BadInput, "plan: read the inventory %s: %v; wanted what `pawl inventory CLUSTER` wrote", file, err)
	}
	return seen, nil
}
