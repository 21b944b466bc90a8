package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// sudoersFlags are what a person says of the hosts.
type sudoersFlags struct {
	user, provider, manager string
	site                    sudoers.Site
	hooks                   []string
	anyArguments            bool
}

func sudoersCommand() *cobra.Command {
	var f sudoersFlags
	c := &cobra.Command{
		Use:   "sudoers --package-manager MANAGER | --provider binaries",
		Short: "Write the sudoers file that lets pawl work as another user than root",
		Long: `Write a file for /etc/sudoers.d of the hosts, which lets a user run the commands that pawl runs as
root, each with its arguments, and no others. It takes sudo 1.9.10 or later. docs/sudo.md says what it
protects from, and what to do with an older sudo.

Write it anew when pawl has a new version: a plan says so if hosts have a file of another one.`,
		Example: `  pawl sudoers --package-manager apt > pawl.sudoers
  visudo -c -f pawl.sudoers
  pawl sudoers --package-manager dnf --user upgrades --repository https://mirror.example.com/kubernetes
  pawl sudoers --package-manager apt --hook "/usr/local/bin/silence --for 30m"
  pawl sudoers --provider binaries --mirror https://mirror.example.com/release --mirror https://mirror.example.com/etcd`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			kind, err := f.kind()
			if err == nil {
				err = refuseForeign(cmd, kind)
			}
			if err != nil {
				return err
			}
			return f.write(cmd.OutOrStdout(), kind)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.user, "user", "pawl", "ssh.user of the cluster's definition")
	flags.StringVar(&f.provider, "provider", "kubeadm", "kubeadm or binaries, as in the cluster's definition")
	flags.StringVar(&f.manager, "package-manager", "", "of hosts of kubeadm: apt, dnf or zypper")
	flags.StringVar(&f.site.Repository, "repository", "", "packages.repository of the cluster's definition (default https://pkgs.k8s.io/core:/stable:)")
	flags.StringVar(&f.site.SourceFile, "source-file", "", "file that names the repository, if it does not begin with \"kubernetes\" in the usual folder")
	flags.StringVar(&f.site.Keyring, "keyring", "", "apt's keyring of the repository, if it does not begin with \"kubernetes\" in the usual folders")
	flags.StringArrayVar(&f.site.Folders, "folder", nil, "binaries: where programs are (default /usr/local/bin and /opt/cni/bin); may be given again")
	flags.StringArrayVar(&f.site.Mirrors, "mirror", nil, "binaries: where new programs are from (default upstream's places); may be given again")
	flags.StringArrayVar(&f.site.Files, "file", nil, "binaries: configuration or environment file that a unit names, if it is in an unusual place; may be given again")
	flags.StringArrayVar(&f.hooks, "hook", nil, "command of a hook of the definition; may be given again")
	flags.BoolVar(&f.anyArguments, "any-arguments", false, "for a sudo before 1.9.10: the programs with any arguments, which is as good as root")
	return c
}

func (f sudoersFlags) write(out io.Writer, kind sudoers.Kind) error {
	for _, hook := range f.hooks {
		f.site.Hooks = append(f.site.Hooks, strings.Fields(hook))
	}
	table, err := sudoers.New(kind, f.site)
	if err != nil {
		return exit.Errorf(exit.BadInput, "sudoers: %v", err)
	}
	write, what := table.File, []string{"What pawl runs as root on this host. Written by `pawl sudoers`; write it anew for a new version of pawl.",
		"Install it as /etc/sudoers.d/pawl, owned by root, mode 440. It takes sudo 1.9.10 or later."}
	if f.anyArguments {
		write, what = table.ProgramsFile, []string{"What pawl runs as root on this host, with any arguments: THIS IS AS GOOD AS ROOT. Written by `pawl sudoers --any-arguments`,",
			"for a sudo without regular expressions. Install it as /etc/sudoers.d/pawl, owned by root, mode 440."}
	}
	text, err := write(f.user, what...)
	if err != nil {
		return exit.Errorf(exit.BadInput, "sudoers: %v", err)
	}
	_, err = fmt.Fprint(out, text)
	return err
}

// aboutKinds are flags that say something of some hosts only.
var aboutKinds = map[string][]sudoers.Kind{
	"repository":  {sudoers.APT, sudoers.DNF, sudoers.Zypper},
	"source-file": {sudoers.APT, sudoers.DNF, sudoers.Zypper},
	"keyring":     {sudoers.APT},
	"folder":      {sudoers.Binaries},
	"mirror":      {sudoers.Binaries},
	"file":        {sudoers.Binaries},
}

// refuseForeign refuses flags that would be ignored.
func refuseForeign(cmd *cobra.Command, kind sudoers.Kind) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if kinds := aboutKinds[flag.Name]; kinds != nil && !slices.Contains(kinds, kind) {
			err = exit.Errorf(exit.BadInput, "sudoers: --%s is for hosts of %s, not of %s: leave it out", flag.Name, strings.Trim(fmt.Sprint(kinds), "[]"), kind)
		}
	})
	return err
}

func (f sudoersFlags) kind() (sudoers.Kind, error) {
	switch f.provider {
	case "binaries":
		if f.manager != "" {
			return "", exit.Errorf(exit.BadInput, "sudoers: --package-manager is for hosts of kubeadm; those of --provider binaries have their programs from no package")
		}
		return sudoers.Binaries, nil
	case "kubeadm":
		switch k := sudoers.Kind(f.manager); k {
		case sudoers.APT, sudoers.DNF, sudoers.Zypper:
			return k, nil
		}
		return "", exit.Errorf(exit.BadInput, "sudoers: --package-manager is %q, wanted apt, dnf or zypper, as the hosts have", f.manager)
	}
	return "", exit.Errorf(exit.BadInput, "sudoers: --provider is %q, wanted kubeadm or binaries; pawl logs in to no host of others", f.provider)
}
