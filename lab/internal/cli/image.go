package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/image"
)

func (a *app) imageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Images that the nodes can pull"}
	cmd.AddCommand(&cobra.Command{
		Use:   "load FOLDER NAME",
		Short: "Serve the image of an OCI layout",
		Long: `Copies an OCI layout with one image into the lab's registry, in place of what has
the same name there. Nodes reach that registry as registry.k8s.io. It stays in
the cache when the lab is taken down.`,
		Example: "  pawl-lab image load bin/image/oci registry.k8s.io/lab/pawl:dev",
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.asRoot()
			if err != nil {
				return err
			}
			ref, err := image.ParseName(args[1])
			if err != nil {
				return err
			}
			if err := artefacts.Images(h).Load(ref, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s can be pulled\n", ref)
			return nil
		},
	})
	return cmd
}
