package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	from = "v1.36.3"
	to   = "v1.37.2"
)

func TestOneControlPlaneKilledTwice(t *testing.T) {
	l := newLab(t, 1, 2, from, to)
	l.testAdapters()
	nodes := []string{"cp1", "w1", "w2"}
	l.asSudoUser(nodes, "--package-manager", "apt", "--repository", l.setting("repository"))
	probes := l.probe()
	dev := l.startDev()
	l.refuseBadInput()
	l.requireFileIsMissed("w2")
	begun := time.Now().Add(time.Second) // the journal is asked by whole seconds
	l.start()

	// Once inside `kubeadm upgrade apply`: the unit runs on the node, and the API server is about to go.
	l.awaitStep(1, "cp1", upgrade.UpgradeControlPlane)
	l.awaitUnit("cp1", applyUnit, "activating")
	time.Sleep(30 * time.Second) // into the middle of it, between components
	dev = l.killAndRestart(dev, "inside kubeadm upgrade apply")

	// Once inside a drain.
	l.awaitStep(1, "w1", upgrade.DrainNode)
	dev = l.killAndRestart(dev, "inside the drain of w1")

	l.watch()
	l.requireUpgraded()
	l.requireAppliedOnce()
	l.requireNoRefusal(nodes, begun)
	l.report(probes.stop(t))
	l.record("killed-twice")
	dev.stop(t)
}

func TestThreeControlPlanes(t *testing.T) {
	l := newLab(t, 3, 3, from, to)
	probes := l.probe()
	dev := l.startDev()
	l.start()
	l.watch()
	l.requireUpgraded()
	l.requireAppliedOnce()
	l.report(probes.stop(t))
	l.record("three-control-planes")
	dev.stop(t)
}

// requireUpgraded asks the cluster itself.
func (l *lab) requireUpgraded() {
	var nodes struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ Unschedulable bool }
			Status   struct {
				NodeInfo   struct{ KubeletVersion string }
				Conditions []condition
			}
		}
	}
	l.kubectl(&nodes, "get", "nodes")
	require.Len(l.t, nodes.Items, l.controlPlanes+l.workers)
	for _, n := range nodes.Items {
		require.Equal(l.t, to, n.Status.NodeInfo.KubeletVersion, n.Metadata.Name)
		require.False(l.t, n.Spec.Unschedulable, "%s is schedulable", n.Metadata.Name)
		require.True(l.t, ready(n.Status.Conditions), "%s is Ready", n.Metadata.Name)
	}
	var pods struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Phase      string
				Conditions []condition
			}
			Spec struct {
				NodeName   string
				Containers []struct{ Image string }
			}
		}
	}
	l.kubectl(&pods, "get", "pods", "-n", "kube-system")
	for _, p := range pods.Items {
		require.True(l.t, p.Status.Phase == "Succeeded" || ready(p.Status.Conditions), "%s is Ready", p.Metadata.Name)
		for _, component := range append([]string{"kube-proxy"}, upgrade.ControlPlaneComponents...) {
			if strings.HasPrefix(p.Metadata.Name, component) {
				require.True(l.t, strings.HasSuffix(p.Spec.Containers[0].Image, ":"+to), "%s runs %s", p.Metadata.Name, p.Spec.Containers[0].Image)
			}
		}
	}
	for i := range l.controlPlanes + l.workers {
		node := nodes.Items[i].Metadata.Name
		require.Equal(l.t, "kubeadm kubectl kubelet", strings.Join(strings.Fields(l.ssh(node, "apt-mark", "showhold")), " "), "holds of %s", node)
	}
	l.t.Log("\n" + l.ssh("cp1", "kubectl", "get", "nodes"))
}

type condition struct{ Type, Status string }

func ready(conditions []condition) bool {
	for _, c := range conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

const applyUnit = "pawl-kubeadm-upgrade-apply-" + to + ".service"

// requireAppliedOnce counts in the node's own journal how often the cluster-wide upgrade was begun.
func (l *lab) requireAppliedOnce() {
	begun := map[string]bool{}
	for line := range strings.Lines(l.ssh("cp1", "journalctl", "--no-pager", "-o", "json", "-u", applyUnit)) {
		var entry struct {
			Invocation string `json:"_SYSTEMD_INVOCATION_ID"`
		}
		require.NoError(l.t, json.Unmarshal([]byte(line), &entry))
		if entry.Invocation != "" {
			begun[entry.Invocation] = true
		}
	}
	require.Len(l.t, begun, 1, "kubeadm upgrade apply ran exactly once")
}

// tolerated is the share of the service's requests that may fail. The goal is none, and most runs have none; but one
// small machine runs every node here, and a probe that waits a second can fail of that alone.
const tolerated = 0.003

// report prints the figures, and judges the service's.
func (l *lab) report(probes string) {
	out, err := l.pawl("report", "lab")
	require.NoError(l.t, err, out)
	l.t.Logf("%d control planes, %d workers, %s to %s\n%s\n%s", l.controlPlanes, l.workers, l.from, to, out, probes)
	asked, failed, err := countProbes(l.probeFile)
	require.NoError(l.t, err)
	for url, n := range asked {
		if strings.HasPrefix(url, "http://") {
			require.LessOrEqual(l.t, float64(failed[url])/float64(n), tolerated, "%d of %d requests of the service at %s failed", failed[url], n, url)
		}
	}
}
