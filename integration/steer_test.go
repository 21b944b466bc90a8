package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestSteering: one upgrade that people approve, pause, retarget, skip a node of and abort, while server and worker are
// killed in every wait; a later one takes up what was left.
func TestSteering(t *testing.T) {
	t.Parallel()
	v1371 := upgrade.MustVersion("v1.37.1")
	s := newStageAlone(t, "steer", bed.Options{ControlPlanes: 1, Workers: 4, Version: v136, Offered: []upgrade.Version{v1371, v137}},
		"retry: {timeout: 30s}\nverify: {timeout: 15s}\ndrain: {timeout: 15s}\n")
	s.scenario(`
w1 before "apt-get install --no-remove kubeadm" block-budget shop/web
w2 after "systemctl restart kubelet"            fail-kubelet
`)
	out, code := s.pawl("start", "steer", "--to", v1371.String(), "--waive", upgrade.EtcdVersion, "--approve", "workers,canary")
	require.Equal(t, 0, code, out)

	s.held("before 4 workers are drained: an approval is wanted", "on 4 nodes with 4 drains", "pawl approve steer")
	s.refused("nothing is held here", "retry", "steer")
	s.say("paused: nothing is under way on any node", "pause", "steer", "--reason", "freeze")
	s.killed()
	s.held("before 4 workers are drained")
	s.say("approved: before 4 workers are drained", "approve", "steer", "--reason", "looked at")
	s.is(upgrade.Paused)
	s.killed()
	s.is(upgrade.Paused)
	s.say("going on", "resume", "steer")

	s.held("w1", "blocked by PodDisruptionBudget shop/web", `pawl wait steer w1 --for 2h --reason "..."`, "pawl skip-drain steer w1", "pawl abort steer")
	s.killed()
	s.refused("why? Give a reason", "delete-pods", "steer", "w1", "shop/web-1")
	s.say("draining on: Drain", "wait", "steer", "w1", "--for", "5s", "--reason", "perhaps it goes by itself")
	s.held("not empty after 5s")
	blocked := s.blocked("w1")
	require.NotEmpty(t, blocked)
	s.say("deleting the pods", append([]string{"delete-pods", "steer", "w1", "--reason", "their owner agrees"}, blocked...)...)
	s.held("after the canary w1: an approval is wanted")
	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", false))
	s.say("approved: after the canary w1", "approve", "steer")

	s.held("w2", "Verify", "healthz")
	s.refused("v1.36.3 is a downgrade", "retarget", "steer", "--to", v136.String(), "--reason", "back again")
	s.say("it will pause after w3", "pause", "steer", "--after", "w3", "--reason", "lunch")
	s.killed()
	s.say("skipped: Verify", "skip", "steer", "w2", "--reason", "its disk is broken")
	s.is(upgrade.Paused)
	s.say("retargeting to v1.37.2: nothing is under way on any node", "retarget", "steer", "--to", to, "--waive", upgrade.EtcdVersion, "--reason", "a fix came out")

	s.held("before 3 workers are drained: an approval is wanted") // w1, w3, w4: w2 is left as it is
	s.killed()
	s.say("stopping: nothing is under way", "abort", "steer", "--reason", "enough for today")
	s.watch(1)
	report := s.report()
	require.Equal(t, upgrade.Aborted, report.State)
	require.Contains(t, report.Message, ": enough for today; API servers: 1 at v1.37.2; kubelets: 1 at v1.36.3, 3 at v1.37.1, 1 at v1.37.2; cordoned: w2")
	require.Equal(t, upgrade.Skipped, nodeOf(t, report.Status, "w2").State)
	require.Equal(t, v1371.String(), s.kubelet("w3"))
	require.Equal(t, v136.String(), s.kubelet("w4"))
	s.requireCordoned("w2")
	require.Len(t, report.Actions, 10)
	s.record("steered", "", "w1", "w2")

	s.FailKubelet("w2", false)
	s.ready("w2")
	s.scenario(`w4 before "apt-get install --no-remove kubeadm" block-budget shop/web`)
	s.start()
	s.held("w4", "blocked by PodDisruptionBudget shop/web")
	s.say("trying again: Drain", "retry", "steer", "w4", "--reason", "perhaps now")
	s.held("w4", "blocked by PodDisruptionBudget shop/web")
	s.say("going on without the drain", "skip-drain", "steer", "w4", "--reason", "they may be interrupted")
	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", false))
	s.watch(0)
	s.requireUpgraded("w4 drainNode")
	s.record("taken-up", "", "w4")
}

// killed ends server and worker in an instant, and has them again.
func (s *stage) killed() {
	s.t.Helper()
	require.NoError(s.t, s.dev.killAndRestart())
	s.awaitWorker()
}

// say runs a command that is accepted, and requires what is answered.
func (s *stage) say(answer string, args ...string) {
	s.t.Helper()
	out, code := s.pawl(args...)
	require.Equal(s.t, 0, code, out)
	require.Contains(s.t, out, answer)
}

// refused runs a command that is not accepted, and requires that it is said why.
func (s *stage) refused(why string, args ...string) {
	s.t.Helper()
	out, code := s.pawl(args...)
	require.Equal(s.t, 2, code, out)
	require.Contains(s.t, out, why)
}

// status is what `pawl status -o json` says.
func (s *stage) status() (status upgrade.Status) {
	s.t.Helper()
	out, _ := s.pawl("status", s.name, "-o", "json")
	require.NoError(s.t, json.Unmarshal([]byte(out), &status), out)
	return status
}

// is waits until the upgrade is in a state.
func (s *stage) is(state upgrade.State) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.status().State == state }, 2*time.Minute, 200*time.Millisecond)
}

// blocked are the pods that the drain of a node could not evict.
func (s *stage) blocked(node string) []string {
	s.t.Helper()
	for _, step := range nodeOf(s.t, s.status(), node).Steps {
		for _, w := range step.Waits {
			if strings.Contains(w.Reason, "shop/web") {
				return w.Pods
			}
		}
	}
	return nil
}

func nodeOf(t testing.TB, s upgrade.Status, name string) upgrade.NodeStatus {
	t.Helper()
	for _, n := range s.Nodes {
		if n.Node == name {
			return n
		}
	}
	t.Fatalf("no node %s in the status", name)
	return upgrade.NodeStatus{}
}

// kubelet is the version of a node's kubelet.
func (s *stage) kubelet(node string) string {
	s.t.Helper()
	n, err := s.Client().CoreV1().Nodes().Get(s.t.Context(), node, metav1.GetOptions{})
	require.NoError(s.t, err)
	return n.Status.NodeInfo.KubeletVersion
}

// ready waits until a node is Ready.
func (s *stage) ready(node string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		n, err := s.Client().CoreV1().Nodes().Get(s.t.Context(), node, metav1.GetOptions{})
		require.NoError(s.t, err)
		for _, c := range n.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				return true
			}
		}
		return false
	}, time.Minute, 100*time.Millisecond)
}
