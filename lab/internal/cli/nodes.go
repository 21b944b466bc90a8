package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/lab"
	"github.com/pawl-dev/pawl/lab/internal/progress"
	"github.com/pawl-dev/pawl/lab/internal/topology"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

func (a *app) addCommand() *cobra.Command {
	var version, zone, join string
	cmd := &cobra.Command{
		Use:   "add NODE --version V",
		Short: "Boot a fresh worker and join it to the cluster",
		Long: `Boots a fresh machine with kubeadm and kubelet of a version that the lab's
repositories have, joins it with kubeadm and prints the machine as JSON. That
the node becomes Ready is not waited for. Given the same again, it finds the
machine as it is and goes on from there.`,
		Example: `  pawl-lab node add w3 --version v1.36.3
  pawl-lab node add w3 --version v1.37.2 --zone b --join - < join.json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := topology.Parse(args[0])
			if err != nil {
				return err
			}
			addition := lab.Addition{Node: n, Zone: zone}
			if addition.Version, err = versions.Parse(version); err != nil {
				return err
			}
			if join != "" {
				if addition.Join, err = readJoin(join, cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return a.add(cmd, addition)
		},
	}
	f := cmd.Flags()
	f.StringVar(&version, "version", versions.Default, "Kubernetes version of its packages")
	f.StringVar(&zone, "zone", "", "value of the node's label topology.kubernetes.io/zone")
	f.StringVar(&join, "join", "", `file ("-" for stdin) with {"endpoint", "token", "caCertHash"} (default: made from the cluster)`)
	return cmd
}

// add adds a node: the machine goes to stdout, what happens to stderr.
func (a *app) add(cmd *cobra.Command, addition lab.Addition) error {
	h, err := a.asRoot()
	if err != nil {
		return err
	}
	m, err := lab.AddNode(cmd.Context(), h, addition, progress.New(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(m)
}

// readJoin reads what joins a node. No error shows it.
func readJoin(name string, stdin io.Reader) (*lab.Join, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	var j lab.Join
	if json.NewDecoder(stdin).Decode(&j) != nil {
		return nil, fmt.Errorf("--join %s: not JSON like %s", name, `{"endpoint":"10.77.0.1:6443","token":"...","caCertHash":"sha256:..."}`)
	}
	return &j, nil
}
