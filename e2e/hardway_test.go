package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestByHand upgrades a cluster that was installed by hand, etcd included, pawl being killed inside the swap of the API
// server and inside a drain. The first kube-scheduler that the mirror has does not start: it is swapped back and held.
func TestByHand(t *testing.T) {
	l := newLabOf(t, []string{"--hard-way"}, 1, 2, from, to)
	l.addToDefinition("etcdMirror:", "  etcdVersions: [v3.6.16, v3.7.0]")
	good := l.breakProgram("kube-scheduler")
	probes := l.probe()
	dev := l.startDev()
	out, err := l.pawl("plan", "lab", "--to", to)
	require.NoError(t, err, out)
	t.Log("\n" + out)
	out, err = l.pawl("start", "lab", "--to", to)
	require.NoError(t, err, out)

	l.awaitStep(1, "cp1/kube-apiserver", upgrade.SwapBinaries)
	dev = l.killAndRestart(dev, "inside the swap of the API server")
	out, err = l.pawl("watch", "lab")
	require.Equal(t, 12, exitCode(err), out)
	require.Contains(t, out, "kube-scheduler")
	require.Contains(t, out, "swapped back")
	require.Contains(t, l.ssh("cp1", "/usr/local/bin/kube-scheduler", "--version"), from, "the old one runs again")
	require.Equal(t, "active", strings.TrimSpace(l.ssh("cp1", "systemctl", "is-active", "kube-scheduler")))
	good()
	l.ssh("cp1", "rm", "/usr/local/bin/kube-scheduler."+to) // so that it is fetched anew
	out, err = l.pawl("retry", "lab", "cp1/kube-scheduler", "--reason", "the mirror was put right")
	require.NoError(t, err, out)

	l.awaitStep(1, "w1", upgrade.DrainNode)
	dev = l.killAndRestart(dev, "inside the drain of w1")
	l.watch()
	l.report(probes.stop(t))
	for _, program := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		require.Contains(t, l.ssh("cp1", "/usr/local/bin/"+program, "--version"), to)
	}
	require.Contains(t, l.ssh("cp1", "/usr/local/bin/etcd", "--version"), "3.7.0")
	for _, w := range []string{"w1", "w2"} {
		require.Contains(t, l.ssh(w, "/usr/local/bin/kube-proxy", "--version"), to)
	}
	var nodes struct {
		Items []struct {
			Spec   struct{ Unschedulable bool }
			Status struct {
				NodeInfo   struct{ KubeletVersion string }
				Conditions []condition
			}
		}
	}
	l.kubectl(&nodes, "get", "nodes")
	require.Len(t, nodes.Items, 2)
	for _, n := range nodes.Items {
		require.Equal(t, to, n.Status.NodeInfo.KubeletVersion)
		require.False(t, n.Spec.Unschedulable)
		require.True(t, ready(n.Status.Conditions))
	}
	require.Equal(t, to, l.serverVersion())
	dev.stop(t)
}

// addToDefinition adds a line behind one of the lab's definition.
func (l *lab) addToDefinition(behind, line string) {
	l.t.Helper()
	text, err := os.ReadFile(l.file("lab.yaml"))
	require.NoError(l.t, err)
	var all []string
	for _, is := range strings.Split(string(text), "\n") {
		if all = append(all, is); strings.Contains(is, behind) {
			all = append(all, line)
		}
	}
	require.Contains(l.t, all, line)
	l.write("lab.yaml", strings.Join(all, "\n"))
}

// breakProgram puts a program that does not start into the mirror, with its right sum, until what it returns is called.
func (l *lab) breakProgram(name string) (putRight func()) {
	l.t.Helper()
	// The lab serves a link to its cache, which is left as it is.
	release := filepath.Join(labHome(l.t), "run", "repo", "release", to)
	cached, err := filepath.EvalSymlinks(release)
	require.NoError(l.t, err)
	require.NoError(l.t, os.Remove(release))
	out, err := exec.Command("cp", "-al", cached, release).CombinedOutput()
	require.NoError(l.t, err, string(out))
	file := filepath.Join(release, "bin", "linux", "amd64", name)
	program, err := os.ReadFile(file)
	require.NoError(l.t, err)
	put := func(content []byte) {
		sum := sha256.Sum256(content)
		require.NoError(l.t, os.Remove(file)) // and not what it links to
		require.NoError(l.t, os.WriteFile(file, content, 0o755))
		require.NoError(l.t, os.Remove(file+".sha256"))
		require.NoError(l.t, os.WriteFile(file+".sha256", []byte(hex.EncodeToString(sum[:])), 0o644))
	}
	// It says its version and its flags as the right one does, and ends when it is started.
	put([]byte("#!/bin/sh\ncase \"$1\" in --version) echo Kubernetes " + to + ";; --help) exec " + filepath.Join("/usr/local/bin", name) + " --help;; *) echo cannot start >&2; exit 1;; esac\n"))
	return func() { put(program) }
}
