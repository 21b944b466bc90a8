package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/needs"
	"github.com/pawl-dev/pawl/lab/internal/progress"
	"github.com/pawl-dev/pawl/lab/internal/rootfs"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// checkTools looks for programs, and for those that make the root filesystem
// if it is yet to be made.
func checkTools(h home.Home, lists ...[]needs.Tool) error {
	if _, err := os.Stat(rootfs.BaseDir(h)); err != nil {
		lists = append(lists, needs.ForRoot)
	}
	return needs.Check(slices.Concat(lists...)...)
}

func (a *app) buildCommand() *cobra.Command {
	list, hardWay := []string{versions.Default, versions.Next(versions.Default)}, false
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build what a lab is made of",
		Long: `Builds Kubernetes, etcd, CoreDNS, containerd and the network plugins from the Go
module proxy, the nodes' root filesystem from Debian, and from these the images
and packages. What is there already is kept. The versions of etcd, CoreDNS and
pause are those that each Kubernetes version's own kubeadm names.

Known versions: ` + strings.Join(versions.Known(), " ") + `; any other release since
v1.33 works if the module proxy serves it.`,
		Example: `  pawl-lab build
  pawl-lab build --versions v1.35.4,v1.36.3,v1.37.2`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			vs, err := versions.ParseList(list)
			if err != nil {
				return err
			}
			if err := checkTools(h, needs.ForBuild); err != nil {
				return err
			}
			out := progress.New(cmd.OutOrStdout())
			if err := artefacts.Build(cmd.Context(), h, vs, out); err != nil || !hardWay {
				return err
			}
			return artefacts.BuildMirror(cmd.Context(), h, vs, out)
		},
	}
	cmd.Flags().StringSliceVar(&list, "versions", list, "Kubernetes versions to build")
	cmd.Flags().BoolVar(&hardWay, "hard-way", false, "also what a cluster installed by hand is upgraded with")
	return cmd
}
