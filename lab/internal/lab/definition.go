package lab

import (
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/aptrepo"
	"github.com/pawl-dev/pawl/lab/internal/topology"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// Definition is the cluster definition that pawl reads. Its paths are relative
// to itself.
func Definition(cgroupV1 bool) string {
	var b strings.Builder
	b.WriteString("# Written by pawl-lab up.\n")
	b.WriteString("name: lab\nprovider: kubeadm\nkubeconfig: ./admin.conf\n")
	b.WriteString("ssh:\n  user: root\n  keyFile: ./id_ed25519\n  knownHostsFile: ./known_hosts\n")
	fmt.Fprintf(&b, "packages:\n  repository: http://%s/%s\n", topology.Gateway, aptrepo.Base)
	if cgroupV1 {
		b.WriteString("# This machine has version 1 control groups, which kubeadm's check refuses.\n")
		b.WriteString("kubeadm: {ignorePreflightErrors: [SystemVerification]}\n")
	}
	b.WriteString("workers: {strategy: rolling, maxUnavailable: 1}\n")
	return b.String()
}

func repositoryURL(version string) string {
	return fmt.Sprintf("http://%s/%s", topology.Gateway, aptrepo.Path(versions.Minor(version)))
}

func debianVersion(version string) string { return versions.Debian(version) }
