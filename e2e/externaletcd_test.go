package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestExternalEtcd upgrades a cluster of kubeadm's whose etcd kubeadm has not made: three members that units of systemd
// start, member by member before anything else, pawl being killed inside the swap of one.
func TestExternalEtcd(t *testing.T) {
	l := newLabOf(t, []string{"--external-etcd"}, 3, 2, from, to)
	controlPlane := []string{"cp1", "cp2", "cp3"}
	l.addToDefinition("mirror: ", "  versions: [v3.6.16, v3.7.0]")
	probes := l.probe()
	dev := l.startDev()
	l.start()

	l.awaitStep(1, "cp2/etcd-v3.7.0", upgrade.SwapBinaries)
	dev = l.killAndRestart(dev, "inside the swap of a member of etcd")
	l.awaitStep(1, "cp1", upgrade.UpgradeControlPlane)
	for _, cp := range controlPlane {
		require.Equal(t, "v3.7.0", l.runs(cp, "etcd"), "%s, before kubeadm touches a node", cp)
	}

	l.watch()
	l.requireUpgraded()
	l.requireAppliedOnce()
	require.NotContains(t, l.ssh("cp1", "ls", "/etc/kubernetes/manifests"), "etcd", "kubeadm has made no etcd")
	var kept []string
	for _, cp := range controlPlane {
		kept = append(kept, strings.Fields(l.ssh(cp, "find", "/var/lib/pawl/backups", "-name", "etcd-snapshot.db"))...)
	}
	require.Len(t, kept, 1, "one snapshot for all members")
	require.Contains(t, kept[0], "-etcd/")
	l.report(probes.stop(t))
	dev.stop(t)
}
