package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
)

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "image",
		Short:         "Make and push pawl's container image, without a container engine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(packCommand(), pushCommand())
	return cmd
}

func packCommand() *cobra.Command {
	var r Release
	var seconds int64
	var out string
	var architectures []string
	cmd := &cobra.Command{
		Use:   "pack PROGRAMS",
		Short: "Make the image of the programs in PROGRAMS/<architecture>/",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Created = time.Unix(seconds, 0).UTC()
			packed, err := Pack(args[0], architectures, r)
			if err != nil {
				return err
			}
			if err := packed.Write(out); err != nil {
				return err
			}
			digest, err := packed.Index.Digest()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "image: pawl %s for linux/%v in %s\n%s\n", r.Version, architectures, out, digest)
			return nil
		},
	}
	cmd.Flags().StringVar(&r.Version, "version", "dev", "what `pawl --version` says")
	cmd.Flags().StringVar(&r.Revision, "revision", "", "commit that the programs were built from")
	cmd.Flags().Int64Var(&seconds, "created", 0, "date of everything in the image, in seconds since 1970: the commit's, so that it is the same again")
	cmd.Flags().StringSliceVar(&architectures, "architectures", []string{"amd64", "arm64"}, "what to make it for, under Linux")
	cmd.Flags().StringVar(&out, "out", "bin/image", "folder for the OCI layout, the archive and the lists of contents")
	return cmd
}

func pushCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "push FOLDER IMAGE",
		Short: "Push what pack has made to a registry, with its lists of contents as referrers",
		Long: `Push what pack has made to a registry, with its lists of contents (SPDX) as referrers of the images.
Credentials are those of docker login ($DOCKER_CONFIG, ~/.docker/config.json) or podman login.`,
		Example: "  image push bin/image registry.example.com/ops/pawl:v1.2.3",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := name.NewTag(args[1], name.StrictValidation)
			if err != nil {
				return fmt.Errorf("push %s: wanted registry/repository:tag: %w", args[1], err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			digest, err := Push(ctx, args[0], ref)
			if err != nil {
				return fmt.Errorf("push %s: %w", ref, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s@%s\n", ref.Context(), digest)
			return nil
		},
	}
}
