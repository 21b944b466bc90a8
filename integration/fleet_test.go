package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// TestFleet: a canary first, then two clusters at once, of which one is held and retried. While a cluster is upgraded its
// lock is there for everybody to see.
func TestFleet(t *testing.T) {
	t.Parallel()
	stages := map[string]*stage{}
	for _, name := range []string{"canary", "eu1", "eu2"} {
		stages[name] = newStage(t, name, bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}}, "drain: {timeout: 10s}\n")
	}
	eu1 := stages["eu1"]
	flags := []string{"prod", "--to", to, "--waive", upgrade.EtcdVersion, "--wave", "canary", "--wave", "eu1,eu2"}
	out, code := eu1.pawl(append([]string{"fleet", "plan"}, flags...)...)
	require.Equal(t, 0, code, out)
	require.Equal(t, 3, strings.Count(out, "v1.36.3  v1.37.2  1     3"), out)

	require.NoError(t, eu1.BlockBudget(t.Context(), "shop/web", true))
	out, code = eu1.pawl(append([]string{"fleet", "start", "--max-concurrent", "2", "--max-held", "1", "--soak", "3s"}, flags...)...)
	require.Equal(t, 0, code, out)
	stages["canary"].requireLocked()
	require.Empty(t, eu1.lock(), "its wave has not begun")

	out, code = eu1.pawl("fleet", "watch", "prod")
	require.Equal(t, 12, code, out)
	t.Log(out)
	for _, want := range []string{"canary done", "wave 1 soaks until", "eu2 done", "eu1 held: w1: Drain: ", "blocked by PodDisruptionBudget shop/web",
		"fleet prod held: every wave is through, but eu1 held"} {
		require.Contains(t, out, want)
	}
	eu1.requireLocked()
	for _, done := range []string{"canary", "eu2"} {
		require.Empty(t, stages[done].lock(), "%s is done", done)
	}
	out, code = eu1.pawl("plan", "eu1", "--to", to, "--waive", upgrade.EtcdVersion)
	require.Contains(t, out, "the cluster's lock is held by "+eu1.dev.namespace+"/cluster-upgrade/eu1/", code)

	require.NoError(t, eu1.BlockBudget(t.Context(), "shop/web", false))
	eu1.retry("w1")
	out, code = eu1.pawl("fleet", "watch", "prod")
	if code == 12 { // it had not heard yet
		require.Eventually(t, func() bool {
			_, code = eu1.pawl("fleet", "status", "prod")
			return code == 0
		}, 10*time.Second, 100*time.Millisecond)
		out, code = eu1.pawl("fleet", "watch", "prod")
	}
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "fleet prod done: 3 clusters at "+to)
	eu1.recordRun("fleet", workflows.FleetUpgradeID("prod"), "")
	for _, s := range stages {
		s.requireUpgraded()
		require.Empty(t, s.lock())
	}
}

// TestLockOfAnotherTool: an upgrade that meets it holds before it touches anything.
func TestLockOfAnotherTool(t *testing.T) {
	t.Parallel()
	s := newStage(t, "foreign", bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}}, "")
	out, code := s.pawl(s.wanted("plan")...)
	require.Equal(t, 0, code, out)
	require.NotContains(t, out, "lock is held")
	s.setLock("ann: migrating storage")
	s.start()
	s.held("Take the cluster's lock: lock foreign: held by ann: migrating storage, with no end; wait until its holder is done, then retry")
	require.Zero(t, s.begun("cp1", "install -d -m 700"), "nothing was touched")
	s.setLock("")
	s.retry()
	s.requireLocked()
	s.watch(0)
	s.requireUpgraded()
	require.Empty(t, s.lock())
}

// lock is who holds the cluster's lock; "" is nobody.
func (s *stage) lock() string {
	s.t.Helper()
	leases, err := s.Client().CoordinationV1().Leases(metav1.NamespaceSystem).List(s.t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=pawl"})
	require.NoError(s.t, err)
	for _, l := range leases.Items {
		return ptr.Deref(l.Spec.HolderIdentity, "")
	}
	return ""
}

// requireLocked requires that the upgrade of the cluster has the lock, or soon takes it.
func (s *stage) requireLocked() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.HasPrefix(s.lock(), s.dev.namespace+"/cluster-upgrade/"+s.name+"/") }, 30*time.Second, 50*time.Millisecond)
}

// setLock lets somebody else have the lock, or nobody.
func (s *stage) setLock(holder string) {
	s.t.Helper()
	leases := s.Client().CoordinationV1().Leases(metav1.NamespaceSystem)
	_ = leases.Delete(s.t.Context(), "pawl", metav1.DeleteOptions{})
	if holder != "" {
		_, err := leases.Create(s.t.Context(), leaseOf(holder), metav1.CreateOptions{})
		require.NoError(s.t, err)
	}
}

func leaseOf(holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "pawl"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
}
