package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/lab"
	"github.com/pawl-dev/pawl/lab/internal/needs"
	"github.com/pawl-dev/pawl/lab/internal/progress"
	"github.com/pawl-dev/pawl/lab/internal/topology"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

func (a *app) upCommand() *cobra.Command {
	var (
		cps, workers = 1, 2
		version      = versions.Default
		next         []string
		hardWay      bool
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a fresh cluster",
		Long: `Makes a fresh kubeadm cluster, building what is missing first, and starts a
service in it: six replicas of "web" on every node's port 30080, of which a
PodDisruptionBudget wants four. The repositories serve the packages of the
cluster's version and of those to upgrade to.

With --hard-way the cluster is one installed by hand: programs under systemd,
no kubeadm, no kubelet on the control planes. In place of the repositories a
mirror laid out like dl.k8s.io serves the programs.`,
		Example: `  pawl-lab up
  pawl-lab up --control-planes 3 --workers 2
  pawl-lab up --version v1.35.4 --next v1.36.3,v1.37.2
  pawl-lab up --hard-way --control-planes 3`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			opts, err := upOptions(hardWay, cps, workers, version, next)
			if err != nil {
				return err
			}
			if err := checkTools(h, needs.ForUp, needs.ForBuild); err != nil {
				return err
			}
			if err := needs.Kernel(); err != nil {
				return err
			}
			out := progress.New(cmd.OutOrStdout())
			if err := lab.Up(cmd.Context(), h, opts, out); err != nil {
				return err
			}
			out.Note("%s", afterUp(h, progress.Duration(out.Elapsed())))
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&cps, "control-planes", cps, "number of control planes: 1 or 3")
	f.IntVar(&workers, "workers", workers, fmt.Sprintf("number of workers: 0 to %d", topology.MaxWorkers))
	f.StringVar(&version, "version", version, "Kubernetes version to begin with")
	f.StringSliceVar(&next, "next", nil, "further versions that are served (default the next minor known)")
	f.BoolVar(&hardWay, "hard-way", false, "install by hand: programs under systemd, no kubeadm")
	return cmd
}

// upOptions checks what was asked for.
func upOptions(hardWay bool, cps, workers int, version string, next []string) (lab.Options, error) {
	if cps != 1 && cps != topology.MaxControlPlanes {
		return lab.Options{}, fmt.Errorf("--control-planes %d: a lab has 1 or %d", cps, topology.MaxControlPlanes)
	}
	shape := lab.Kubeadm
	if hardWay {
		shape = lab.HardWay
	}
	if hardWay && workers == 0 {
		return lab.Options{}, fmt.Errorf("--workers 0: with --hard-way only workers run pods, so a lab has at least 1")
	}
	if workers < 0 || workers > topology.MaxWorkers {
		return lab.Options{}, fmt.Errorf("--workers %d: a lab has 0 to %d", workers, topology.MaxWorkers)
	}
	v, err := versions.Parse(version)
	if err != nil {
		return lab.Options{}, err
	}
	if len(next) == 0 && versions.Next(v) != "" {
		next = []string{versions.Next(v)}
	}
	served, err := versions.ParseList(append([]string{v}, next...))
	return lab.Options{Shape: shape, ControlPlanes: cps, Workers: workers, Version: v, Served: served}, err
}

func afterUp(h home.Home, took string) string {
	return fmt.Sprintf(`
The lab is up after %s.
  pawl-lab status                     what runs
  pawl-lab ssh cp1 kubectl get nodes  the cluster from inside
  pawl-lab exec COMMAND...            a program inside the lab's network, such as pawl
  pawl-lab down                       removes it
Cluster definition: %s`, took, h.Cluster("lab.yaml"))
}
