package integration

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestBadDay: whatever a scenario does to hosts, connections and API servers for a while, pawl gets over it by itself.
func TestBadDay(t *testing.T) {
	t.Parallel()
	s := newStage(t, "bad-day", bed.Options{ControlPlanes: 3, Workers: 9, Version: v136, Offered: []upgrade.Version{v137}}, "workers: {maxUnavailable: 3}\n")
	text, err := os.ReadFile("../docs/scenarios/bad-day.txt")
	require.NoError(t, err)
	s.scenario(string(text))
	s.start()
	s.watch(0)
	require.Empty(t, s.Waiting(), "every fault has happened")
	s.requireUpgraded()

	// What must not be done twice was not, where it went on by itself.
	require.Equal(t, 1, s.begun("cp2", "kubeadm upgrade node"), "it was found running, and awaited")
	require.Equal(t, 1, s.begun("w2", "apt-get install --yes --allow-change-held-packages --no-remove --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold kubeadm="))
	require.Equal(t, 1, s.begun("w3", "LC_ALL=C sudo -n -- systemctl restart kubelet.service"))
	// What the reboot had ended was begun again.
	require.Equal(t, 2, s.begun("w4", "kubeadm upgrade node"))
	require.Equal(t, 2, s.begun("cp1", "kubeadm upgrade apply"))
	attempts := 0
	for _, n := range s.report().Nodes {
		for _, step := range n.Steps {
			attempts = max(attempts, step.Attempts)
		}
	}
	require.Greater(t, attempts, 1, "the report tells of retries")
}

// TestWhatNeedsAPerson: a fault that lasts holds the upgrade where it is, with a message that says what and where; when
// a person has put it right and says so, it goes on from there.
func TestWhatNeedsAPerson(t *testing.T) {
	t.Parallel()
	s := newStage(t, "held", bed.Options{ControlPlanes: 3, Workers: 3, Version: v136, Offered: []upgrade.Version{v137}},
		"retry: {timeout: 30s}\nverify: {timeout: 15s}\ndrain: {timeout: 25s}\n") // long enough for a busy machine
	ctx := t.Context()
	s.scenario(`
cp1 before "install -d -m 700"                   fill-disk
cp1 after "kubeadm upgrade apply"                fail-health etcd
w1 before "apt-get install --no-remove kubeadm"  block-budget shop/web
w2 before "apt-get install --no-remove kubelet"  kill
w3 after "systemctl restart kubelet"             fail-kubelet
`)
	s.start()

	s.held("Back up cp1", "No space left on device")
	s.Machine("cp1").FillDisk(false)
	s.retry()

	s.held("cp1", "Verify control plane", "/readyz answers 500", "[-]etcd failed")
	require.Zero(t, s.begun("cp2", "kubeadm upgrade node"), "the next one has not been begun")
	s.FailHealth("cp1", "")
	s.retry("cp1")

	s.held("w1", "Drain", "blocked by PodDisruptionBudget shop/web")
	require.NoError(t, s.BlockBudget(ctx, "shop/web", false))
	s.retry("w1")

	s.held("w2", "Install kubelet and kubectl", "connect to admin@127.0.0.1", "connection refused")
	s.requireCordoned("w2")
	s.Machine("w2").Start()
	s.retry("w2")

	s.held("w3", "Verify", "healthz")
	s.requireCordoned("w3")
	s.FailKubelet("w3", false)
	s.retry("w3")

	s.watch(0)
	require.Empty(t, s.Waiting(), "every fault has happened")
	s.requireUpgraded()
	require.Len(t, s.report().Actions, 5, "the report tells who let it go on")
}

// TestHostThatIsGoneIsRefusedByPlan: a host that cannot be reached is found before anything is touched.
func TestHostThatIsGoneIsRefusedByPlan(t *testing.T) {
	t.Parallel()
	s := newStage(t, "gone", bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}}, "")
	s.scenario("w2 start kill")
	out, code := s.pawl("plan", "gone", "--to", to)
	require.Equal(t, 10, code, out)
	require.Contains(t, out, "w2: connect to admin@127.0.0.1")
	out, code = s.pawl("start", "gone", "--to", to)
	require.Equal(t, 10, code, out)
	require.Zero(t, s.begun("w1", "systemd-run"), "nothing was touched")
}
