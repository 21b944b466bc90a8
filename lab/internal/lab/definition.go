package lab

import (
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/aptrepo"
	"github.com/pawl-dev/pawl/lab/internal/mirror"
	"github.com/pawl-dev/pawl/lab/internal/topology"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// Definition is the cluster definition that pawl reads. Its paths are relative
// to itself.
func Definition(s State) string {
	var b strings.Builder
	b.WriteString("# Written by pawl-lab up.\n")
	fmt.Fprintf(&b, "name: lab\nprovider: %s\nkubeconfig: ./admin.conf\n", s.Shape)
	b.WriteString("ssh:\n  user: root\n  keyFile: ./id_ed25519\n  knownHostsFile: ./known_hosts\n")
	if s.Shape == HardWay || s.ExternalEtcd {
		b.WriteString("  hosts: # of what is not a node, or not only\n")
		for _, n := range s.controlPlanes() {
			fmt.Fprintf(&b, "    %s: {address: %s}\n", n, n.Address())
		}
	}
	hosts := strings.ReplaceAll(names(s.controlPlanes()), " ", ", ")
	if s.Shape == HardWay {
		fmt.Fprintf(&b, "binaries:\n  controlPlane: [%s]\n", hosts)
		fmt.Fprintf(&b, "  mirror: %s\n  etcdMirror: %s\n", served(mirror.Kubernetes), served(mirror.Etcd))
	} else {
		fmt.Fprintf(&b, "packages:\n  repository: %s\n", served(aptrepo.Base))
		if s.ExternalEtcd {
			fmt.Fprintf(&b, "etcd:\n  hosts: [%s]\n  mirror: %s\n", hosts, served(mirror.Etcd))
		}
		if s.CgroupV1 {
			b.WriteString("# This machine has version 1 control groups, which kubeadm's check refuses.\n")
			b.WriteString("kubeadm: {ignorePreflightErrors: [SystemVerification]}\n")
		}
	}
	b.WriteString("workers: {strategy: rolling, maxUnavailable: 1}\n")
	return b.String()
}

// served is the address of what the lab serves below a path.
func served(path string) string { return fmt.Sprintf("http://%s/%s", topology.Gateway, path) }

func repositoryURL(version string) string { return served(aptrepo.Path(versions.Minor(version))) }

func debianVersion(version string) string { return versions.Debian(version) }
