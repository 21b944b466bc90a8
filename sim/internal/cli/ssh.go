package cli

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

func sshCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "ssh NODE COMMAND...",
		Short:   "Run a command on a machine, with the ssh program",
		Long:    `Run a command on one of the machines, with the ssh program of this computer. There are no interactive shells.`,
		Example: "  pawl-sim ssh w1 kubeadm version -o short\n  pawl-sim ssh cp1 sudo ls /etc/kubernetes/manifests",
		Args:    arguments(2, math.MaxInt),
		RunE: func(_ *cobra.Command, args []string) error {
			ssh, err := exec.LookPath("ssh")
			if err != nil {
				return fmt.Errorf("ssh: %w", err)
			}
			argv, err := sshArgs(dir, args[0])
			if err != nil {
				return err
			}
			argv = append(append([]string{"ssh"}, argv...), args[1:]...)
			return syscall.Exec(ssh, argv, os.Environ())
		},
	}
	c.Flags().SetInterspersed(false) // what follows the node is the command's
	dirFlag(c, &dir)
	return c
}

// sshArgs reads from the cluster's definition how a machine is reached.
func sshArgs(dir, node string) ([]string, error) {
	files, _ := filepath.Glob(filepath.Join(dir, "clusters", "*.yaml"))
	if len(files) == 0 {
		return nil, fmt.Errorf("no simulated cluster runs in %s; start one with \"pawl-sim up\", or name its folder with --dir", dir)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	var c struct {
		SSH struct {
			User  string
			Hosts map[string]struct {
				Address string
				Port    int
			}
		}
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	host, ok := c.SSH.Hosts[node]
	if !ok {
		return nil, fmt.Errorf("%s has no machine %q", files[0], node)
	}
	base := strings.TrimSuffix(files[0], ".yaml")
	return []string{
		"-q", "-p", fmt.Sprint(host.Port), "-i", base + ".key", "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + base + ".known_hosts",
		c.SSH.User + "@" + host.Address,
	}, nil
}
