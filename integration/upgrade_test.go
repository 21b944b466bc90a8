package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var v135, v136, v137 = upgrade.MustVersion("v1.35.4"), upgrade.MustVersion("v1.36.3"), upgrade.MustVersion(to)

func TestTwoHopsKeepBudgets(t *testing.T) {
	t.Parallel()
	s := newStage(t, "two-hops", bed.Options{ControlPlanes: 3, Workers: 4, Version: v135, Offered: []upgrade.Version{v136, v137}}, "")
	s.requirePlanFromInventory()
	stop := s.guardBudgets()
	s.start()
	s.watch(0)
	stop()
	s.requireUpgraded()
	for hop, v := range []string{"v1.36.3", "v1.37.2"} {
		require.Equal(t, 1, s.begun("cp1", "kubeadm upgrade apply "+v), "hop %d is applied once", hop+1)
	}
	require.Equal(t, 2, s.begun("cp2", "kubeadm upgrade node"))
	for _, w := range []string{"w1", "w2", "w3", "w4"} {
		require.Equal(t, 2, s.begun(w, "kubeadm upgrade node"), "each minor's kubeadm manages %s", w)
		require.Equal(t, 1, s.begun(w, "LC_ALL=C sudo -n -- systemctl restart kubelet.service"), "its kubelet goes straight to the target")
	}
	drains := map[string]int{}
	for _, n := range s.report().Nodes {
		for _, step := range n.Steps {
			if step.Step == upgrade.DrainNode {
				drains[n.Node]++
			}
		}
	}
	require.Equal(t, map[string]int{"cp1": 2, "cp2": 2, "cp3": 2, "w1": 1, "w2": 1, "w3": 1, "w4": 1}, drains)
	out := s.run("cp1", "ls /var/lib/pawl/backups")
	require.Contains(t, out, "two-hops-v1.35.4-to-v1.36.3-")
	require.Contains(t, out, "two-hops-v1.36.3-to-v1.37.2-")
	require.Contains(t, s.run("cp1", "find /var/lib/pawl/backups -name etcd-snapshot.db"), "etcd-snapshot.db")
	s.requireMeasured(upgrade.DrainNode, 4)
}

func TestHundredNodes(t *testing.T) {
	t.Parallel()
	s := newStage(t, "hundred", bed.Options{ControlPlanes: 1, Workers: 99, Version: v136, Offered: []upgrade.Version{v137}}, "workers: {maxUnavailable: 10}\n")
	s.start()
	s.watch(0)
	s.requireUpgraded()
	require.Len(t, s.report().Nodes, 100)
}

// TestRPMHosts: a worker with dnf and one with zypper go over two minors beside one with apt, and are cut off on the way.
func TestRPMHosts(t *testing.T) {
	t.Parallel()
	s := newStage(t, "rpm", bed.Options{ControlPlanes: 1, Workers: 3, RPM: 2, Version: v135, Offered: []upgrade.Version{v136, v137}}, "")
	s.scenario(`w2 at "rpm: kubelet installed" reboot
w3 at "rpm: installing kubelet" cut`)
	out, code := s.pawl("plan", "rpm", "--to", to)
	require.Equal(t, 10, code, out) // etcd's version, which start waives
	require.NotContains(t, out, "package", "nothing is the matter with packages")
	s.start()
	s.watch(0)
	require.Empty(t, s.Waiting())
	s.requireUpgraded()
}

// TestChangesBetweenHopsHold: while the first hop is under way somebody cordons a worker. Before the next hop pawl says
// so and asks; then the worker is upgraded and stays cordoned.
func TestChangesBetweenHopsHold(t *testing.T) {
	t.Parallel()
	s := newStage(t, "changes", bed.Options{ControlPlanes: 1, Workers: 3, Version: v135, Offered: []upgrade.Version{v136, v137}}, "")
	s.start()
	require.Eventually(t, func() bool { return s.begun("cp1", "kubeadm upgrade apply v1.36.3") == 1 }, time.Minute, 50*time.Millisecond)
	cordoned, err := s.Client().CoreV1().Nodes().Patch(t.Context(), "w2", types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NotContains(t, cordoned.Annotations, "pawl.dev/cordoned-by", "no worker is drained in the first hop")
	s.held("the cluster has changed since: w2: somebody has cordoned it; retry, and the rest is done as it is planned now")
	require.Zero(t, s.begun("cp1", "kubeadm upgrade apply "+to), "the next hop has not begun")
	s.retry()
	s.watch(0)
	s.requireCordoned("w2")
	require.Equal(t, to+"\n", s.run("w2", "kubeadm version -o short"))
	require.Equal(t, 1, s.begun("cp1", "kubeadm upgrade apply "+to))
}
