package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestTwoHopsDrainWorkersOnce walks two minors. The workers keep their kubelet through the first: it must survive a
// restart with the configuration that the next minor's kubeadm wrote, while the control plane moves on and when it is
// two minors ahead.
func TestTwoHopsDrainWorkersOnce(t *testing.T) {
	const old = "v1.35.4"
	l := newLab(t, 1, 2, old, from, to)
	probes := l.probe()
	dev := l.startDev()
	l.provokeFindings()
	l.start()

	l.awaitStep(2, "cp1", upgrade.UpgradeControlPlane)
	for _, w := range []string{"w1", "w2"} {
		require.Equal(t, from, strings.TrimSpace(l.ssh(w, "kubeadm", "version", "-o", "short")), "each minor's kubeadm manages %s", w)
	}
	l.restartKubelet("w1", old)
	l.awaitStep(2, "w1", upgrade.DrainNode)
	require.Equal(t, to, l.serverVersion())
	l.restartKubelet("w2", old)

	l.watch()
	l.requireUpgraded()
	l.requireAppliedOnce()
	require.Equal(t, map[string]int{"cp1": 2, "w1": 1, "w2": 1}, l.drains())
	l.report(probes.stop(t))
	l.record("two-hops")
	dev.stop(t)
}

// restartKubelet restarts a node's kubelet, which is at v, and waits until it has told the API that it is well.
func (l *lab) restartKubelet(node, v string) {
	l.t.Helper()
	restarted, err := time.Parse(time.RFC3339, strings.TrimSpace(l.ssh(node, "systemctl", "restart", "kubelet", "&&", "date", "-u", "+%FT%TZ")))
	require.NoError(l.t, err)
	l.await("kubelet of "+node, func() bool {
		var n struct {
			Status struct {
				NodeInfo   struct{ KubeletVersion string }
				Conditions []struct {
					Type, Status      string
					LastHeartbeatTime time.Time
				}
			}
		}
		if !l.tryKubectl(&n, "get", "node", node) {
			return false // its API server is away just now
		}
		for _, c := range n.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" && !c.LastHeartbeatTime.Before(restarted) {
				require.Equal(l.t, v, n.Status.NodeInfo.KubeletVersion)
				return true
			}
		}
		return false
	})
	require.ElementsMatch(l.t, []string{"ActiveState=active", "NRestarts=0"}, strings.Fields(l.ssh(node, "systemctl", "show", "--property", "ActiveState,NRestarts", "kubelet")))
	l.t.Logf("kubelet %s of %s is well %s after its restart", v, node, time.Since(restarted).Round(time.Second))
}

// serverVersion is what the API server says it is.
func (l *lab) serverVersion() string {
	l.t.Helper()
	var v struct{ ServerVersion struct{ GitVersion string } }
	l.await("API server", func() bool { return l.tryKubectl(&v, "version") })
	return v.ServerVersion.GitVersion
}

// tryKubectl is false when the API does not answer.
func (l *lab) tryKubectl(into any, args ...string) bool {
	args = append(append([]string{"ssh", "cp1", "kubectl"}, args...), "-o", "json")
	out, err := exec.Command(filepath.Join(l.bin, "pawl-lab"), args...).Output()
	return err == nil && json.Unmarshal(out, into) == nil
}

// drains counts how often each node was drained.
func (l *lab) drains() map[string]int {
	l.t.Helper()
	s := l.status()
	require.NotNil(l.t, s)
	drains := map[string]int{}
	for _, n := range s.Nodes {
		for _, step := range n.Steps {
			if step.Step == upgrade.DrainNode && step.State == upgrade.Done {
				drains[n.Node]++
			}
		}
	}
	return drains
}
