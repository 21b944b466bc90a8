package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestByHand upgrades a cluster of three control planes that was installed by hand, etcd and the workers' containerd included,
// as a user who may run as root what `pawl sudoers` lists, pawl being killed inside the swap of an API server and inside a
// drain. The first kube-scheduler that the mirror has does not start: it is swapped back and held.
func TestByHand(t *testing.T) {
	l := newLabOf(t, []string{"--hard-way"}, 3, 2, from, to)
	controlPlane, workers := []string{"cp1", "cp2", "cp3"}, []string{"w1", "w2"}
	nodes := slices.Concat(controlPlane, workers)
	l.addToDefinition("etcdMirror:", "  etcdVersions: [v3.6.16, v3.7.0]")
	l.addToDefinition("etcdVersions:", "  containerd: {version: "+containerdTo+", mirror: "+containerdMirror+"}")
	l.serveContainerd()
	l.addMarks(nodes)
	l.asSudoUser(nodes, "--provider", "binaries", "--hook", markProgram,
		"--mirror", l.setting("mirror"), "--mirror", l.setting("etcdMirror"), "--mirror", containerdMirror)
	good := l.breakProgram("kube-scheduler")
	probes := l.probe()
	dev := l.startDev()
	l.requireFileIsMissed("w2")
	begun := time.Now().Add(time.Second) // the journal is asked by whole seconds
	out, err := l.pawl("plan", "lab", "--to", to)
	require.NoError(t, err, out)
	t.Log("\n" + out)
	require.Contains(t, out, containerdTo)
	out, err = l.pawl("plan", "lab", "--to", "v1.37")
	require.Equal(t, 2, exitCode(err), out)
	require.Contains(t, out, "names no release, wanted a version like v1.37.2")
	out, err = l.pawl("start", "lab", "--to", to)
	require.NoError(t, err, out)

	l.awaitStep(1, "cp2/kube-apiserver", upgrade.SwapBinaries)
	require.Equal(t, to, l.runs("cp1", "kube-apiserver"))
	dev = l.killAndRestart(dev, "inside the swap of the second API server")
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
	l.requireNoRefusal(nodes, begun)
	l.report(probes.stop(t))
	for _, cp := range controlPlane {
		for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
			require.Equal(t, to, l.runs(cp, component), cp)
		}
		require.Equal(t, "v3.7.0", l.runs(cp, "etcd"), cp)
	}
	require.Equal(t, []string{"cp2/etcd-v3.6.16 components", "cp2/etcd-v3.7.0 components", "cp2/kube-apiserver components",
		"cp2/kube-controller-manager components", "cp2/kube-scheduler components", "cp2/kubectl components"}, l.marks("cp2"), "hooks ran once")
	require.Contains(t, l.marks("cp1"), "cp1/kube-scheduler components", "a part that was held")
	for _, w := range workers {
		require.Equal(t, []string{w + " node"}, l.marks(w))
		require.Equal(t, to, l.runs(w, "kube-proxy"), w)
		require.Equal(t, containerdTo, l.runs(w, "containerd"), w)
	}
	var list struct {
		Items []struct {
			Spec   struct{ Unschedulable bool }
			Status struct {
				NodeInfo   struct{ KubeletVersion, ContainerRuntimeVersion string }
				Conditions []condition
			}
		}
	}
	l.kubectl(&list, "get", "nodes")
	require.Len(t, list.Items, 2)
	for _, n := range list.Items {
		require.Equal(t, to, n.Status.NodeInfo.KubeletVersion)
		require.Equal(t, "containerd://"+strings.TrimPrefix(containerdTo, "v"), n.Status.NodeInfo.ContainerRuntimeVersion)
		require.False(t, n.Spec.Unschedulable)
		require.True(t, ready(n.Status.Conditions))
	}
	require.Equal(t, to, l.serverVersion())
	dev.stop(t)
}

// runs is the version of a component's process on a node, not of the file that may have come since.
func (l *lab) runs(node, component string) string {
	l.t.Helper()
	says := l.ssh(node, `"/proc/$(systemctl show -P MainPID `+component+`)/exe" --version`)
	version := regexp.MustCompile(`\bv?(\d+\.\d+\.\d+)`).FindStringSubmatch(says)
	require.NotNil(l.t, version, says)
	return "v" + version[1]
}

// markProgram is a hook that keeps what it was called for.
const markProgram, marksFile = "/usr/local/bin/mark", "/var/lib/marks"

// addMarks has every part of the nodes marked before it is worked on.
func (l *lab) addMarks(nodes []string) {
	l.t.Helper()
	for _, n := range nodes {
		l.script(n, "printf '#!/bin/sh\\necho \"$PAWL_NODE $PAWL_PART\" >> "+marksFile+"\\n' > "+markProgram+" && chmod 755 "+markProgram)
	}
	l.addToDefinition("provider:", "hooks: [{name: mark, when: beforeNode, command: ["+markProgram+"]}]")
}

// marks are a node's, sorted.
func (l *lab) marks(node string) []string {
	l.t.Helper()
	all := strings.Split(strings.TrimSpace(l.ssh(node, "cat", marksFile)), "\n")
	slices.Sort(all)
	return all
}

// containerdFrom is what the nodes have, and containerdTo the version that it goes to.
const containerdFrom, containerdTo = "v2.3.7", "v2.3.8"

// containerdMirror is where the nodes find it.
const containerdMirror = "http://10.77.0.1/containerd"

// serveContainerd puts the nodes' own containerd into the mirror, which says that it is another version: to be swapped, it need
// not be different otherwise.
func (l *lab) serveContainerd() {
	l.t.Helper()
	folder := filepath.Join(labHome(l.t), "run", "repo", "containerd", containerdTo)
	require.NoError(l.t, os.MkdirAll(filepath.Join(folder, "bin"), 0o755))
	for _, name := range []string{"containerd", "ctr", "containerd-shim-runc-v2"} {
		program, err := os.ReadFile(filepath.Join(labHome(l.t), "cache", "bin", "containerd-"+containerdFrom, name))
		require.NoError(l.t, err)
		program = bytes.ReplaceAll(program, []byte(containerdFrom), []byte(containerdTo)) // of the same length
		require.NoError(l.t, os.WriteFile(filepath.Join(folder, "bin", name), program, 0o755))
	}
	archive := filepath.Join(folder, "containerd-"+strings.TrimPrefix(containerdTo, "v")+"-linux-amd64.tar.gz")
	out, err := exec.Command("tar", "--create", "--gzip", "--file="+archive, "--directory="+folder, "bin").CombinedOutput()
	require.NoError(l.t, err, string(out))
	packed, err := os.ReadFile(archive)
	require.NoError(l.t, err)
	sum := sha256.Sum256(packed)
	require.NoError(l.t, os.WriteFile(archive+".sha256sum", []byte(hex.EncodeToString(sum[:])+"  "+filepath.Base(archive)+"\n"), 0o644))
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
