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
	asked := upFlags{controlPlanes: 1, workers: 2, version: versions.Default}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a fresh cluster",
		Long: `Makes a fresh kubeadm cluster, building what is missing first, and starts a
service in it: six replicas of "web" on every node's port 30080, of which a
PodDisruptionBudget wants four. The repositories serve the packages of the
cluster's version and of those to upgrade to.

With --hard-way the cluster is one installed by hand: programs under systemd,
no kubeadm, no kubelet on the control planes. In place of the repositories a
mirror laid out like dl.k8s.io serves the programs.

With --external-etcd kubeadm's etcd is left out: a unit of systemd runs a member
beside each control plane, and the mirror serves its next versions.`,
		Example: `  pawl-lab up
  pawl-lab up --control-planes 3 --workers 2
  pawl-lab up --version v1.35.4 --next v1.36.3,v1.37.2
  pawl-lab up --hard-way --control-planes 3
  pawl-lab up --external-etcd --control-planes 3`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			opts, err := asked.options()
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
	f.IntVar(&asked.controlPlanes, "control-planes", asked.controlPlanes, "number of control planes: 1 or 3")
	f.IntVar(&asked.workers, "workers", asked.workers, fmt.Sprintf("number of workers: 0 to %d", topology.MaxWorkers))
	f.StringVar(&asked.version, "version", asked.version, "Kubernetes version to begin with")
	f.StringSliceVar(&asked.next, "next", nil, "further versions that are served (default the next minor known)")
	f.BoolVar(&asked.hardWay, "hard-way", false, "install by hand: programs under systemd, no kubeadm")
	f.BoolVar(&asked.externalEtcd, "external-etcd", false, "with kubeadm, but etcd by a unit of systemd beside each control plane")
	cmd.MarkFlagsMutuallyExclusive("hard-way", "external-etcd")
	return cmd
}

// upFlags are what a lab was asked to be like.
type upFlags struct {
	hardWay, externalEtcd  bool
	controlPlanes, workers int
	version                string
	next                   []string
}

// options checks what was asked for.
func (f upFlags) options() (lab.Options, error) {
	if f.controlPlanes != 1 && f.controlPlanes != topology.MaxControlPlanes {
		return lab.Options{}, fmt.Errorf("--control-planes %d: a lab has 1 or %d", f.controlPlanes, topology.MaxControlPlanes)
	}
	shape := lab.Kubeadm
	if f.hardWay {
		shape = lab.HardWay
	}
	if f.hardWay && f.workers == 0 {
		return lab.Options{}, fmt.Errorf("--workers 0: with --hard-way only workers run pods, so a lab has at least 1")
	}
	if f.workers < 0 || f.workers > topology.MaxWorkers {
		return lab.Options{}, fmt.Errorf("--workers %d: a lab has 0 to %d", f.workers, topology.MaxWorkers)
	}
	v, err := versions.Parse(f.version)
	if err != nil {
		return lab.Options{}, err
	}
	next := f.next
	if len(next) == 0 && versions.Next(v) != "" {
		next = []string{versions.Next(v)}
	}
	served, err := versions.ParseList(append([]string{v}, next...))
	return lab.Options{Shape: shape, ExternalEtcd: f.externalEtcd, ControlPlanes: f.controlPlanes, Workers: f.workers, Version: v, Served: served}, err
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
