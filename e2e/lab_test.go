package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// lab is a fresh cluster, and pawl beside it in its network.
type lab struct {
	t                      *testing.T
	bin                    string
	controlPlanes, workers int
	from                   string
	data, clusters         string // pawl dev's
	probeFile              string
}

// newLab makes a cluster of the first version; its repositories have all of them.
func newLab(t *testing.T, controlPlanes, workers int, versions ...string) *lab {
	t.Helper()
	return newLabOf(t, nil, controlPlanes, workers, versions...)
}

// newLabOf is the same with further arguments of pawl-lab up.
func newLabOf(t *testing.T, shape []string, controlPlanes, workers int, versions ...string) *lab {
	t.Helper()
	if os.Getenv("PAWL_E2E") == "" {
		t.Skip("SKIPPED: upgrades real nodes, needs root and the lab: make e2e")
	}
	bin, err := filepath.Abs("../bin")
	require.NoError(t, err)
	l := &lab{t: t, bin: bin, controlPlanes: controlPlanes, workers: workers, from: versions[0], data: t.TempDir()}
	l.probeFile = filepath.Join(l.keep(), "probe.jsonl")
	l.show("down")
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("PAWL_E2E_KEEP") != "" {
			t.Log("the lab is left up for a look")
			return
		}
		l.show("down")
	})
	defer l.define()
	l.show(append([]string{"up", "--control-planes", strconv.Itoa(controlPlanes), "--workers", strconv.Itoa(workers), "--version", l.from, "--next", strings.Join(versions[1:], ",")}, shape...)...)
	return l
}

// keep is a folder that outlives the test where PAWL_E2E_KEEP says so.
func (l *lab) keep() string {
	l.t.Helper()
	dir := os.Getenv("PAWL_E2E_KEEP")
	if dir == "" {
		return l.t.TempDir()
	}
	dir = filepath.Join(dir, l.t.Name())
	require.NoError(l.t, os.MkdirAll(dir, 0o755))
	return dir
}

// show runs pawl-lab and lets its output pass.
func (l *lab) show(args ...string) {
	l.t.Helper()
	cmd := exec.Command(filepath.Join(l.bin, "pawl-lab"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	require.NoError(l.t, cmd.Run(), "pawl-lab %s", strings.Join(args, " "))
}

// keygen makes an SSH key pair in the folder of definitions.
func (l *lab) keygen(name string) {
	l.t.Helper()
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", l.file(name)).CombinedOutput()
	require.NoError(l.t, err, string(out))
}

// inLab is a command inside the lab's network.
func (l *lab) inLab(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(l.bin, "pawl-lab"), append([]string{"exec"}, args...)...)
}

// ssh runs a command on a node, which must succeed.
func (l *lab) ssh(node string, args ...string) string {
	l.t.Helper()
	out, err := exec.Command(filepath.Join(l.bin, "pawl-lab"), append([]string{"ssh", node}, args...)...).Output()
	require.NoError(l.t, err, "ssh %s %v: %s", node, args, stderr(err))
	return string(out)
}

func (l *lab) kubectl(into any, args ...string) {
	l.t.Helper()
	out := l.ssh("cp1", append(append([]string{"kubectl"}, args...), "-o", "json")...)
	require.NoError(l.t, json.Unmarshal([]byte(out), into))
}

// pawl runs the CLI; both its outputs come back.
func (l *lab) pawl(args ...string) (string, error) {
	out, err := l.inLab(append([]string{filepath.Join(l.bin, "pawl")}, args...)...).CombinedOutput()
	return string(out), err
}

// start starts the upgrade, once pawl answers.
func (l *lab) start() {
	l.t.Helper()
	// kubeadm v1.36.3 brings an etcd that is older than etcd wants before v1.37.2.
	wanted := []string{"lab", "--to", to, "--waive", upgrade.EtcdVersion}
	out, err := l.pawl(append([]string{"plan"}, wanted...)...)
	require.NoError(l.t, err, out)
	l.t.Log("\n" + out)
	l.requireNoFalseAlarm(wanted)
	out, err = l.pawl(append([]string{"start"}, wanted...)...)
	require.NoError(l.t, err, out)
	out, err = l.pawl(append([]string{"start"}, wanted...)...)
	require.Equal(l.t, 11, exitCode(err), "a second start is refused: %s", out)
}

// requireNoFalseAlarm requires that the plan of a cluster with nothing wrong finds nothing but what the lab is known for:
// kubeadm's etcd, a mirror without TLS, and version 1 control groups where this machine has them.
func (l *lab) requireNoFalseAlarm(wanted []string) {
	l.t.Helper()
	out, err := l.inLab(append([]string{filepath.Join(l.bin, "pawl"), "plan", "-o", "json"}, wanted...)...).Output()
	require.NoError(l.t, err, stderr(err))
	var plan upgrade.Plan
	require.NoError(l.t, json.Unmarshal(out, &plan))
	for _, f := range plan.Findings {
		known := f.ID == upgrade.EtcdVersion && f.Waived || f.ID == upgrade.CgroupVersion && f.Severity == upgrade.SeverityInfo ||
			f.ID == upgrade.Download && f.Severity == upgrade.SeverityWarning && strings.HasPrefix(f.Target, "http://10.77.0.1/")
		require.True(l.t, known, "%s %s: %s", f.Severity, f.ID, f)
	}
}

// watch follows the upgrade to its end, which must be a good one.
func (l *lab) watch() {
	l.t.Helper()
	cmd := l.inLab(filepath.Join(l.bin, "pawl"), "watch", "lab")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	require.NoError(l.t, cmd.Run())
}

// status is nil when nobody answers just now.
func (l *lab) status() *upgrade.Status {
	out, err := l.inLab(filepath.Join(l.bin, "pawl"), "status", "lab", "-o", "json").Output()
	var s upgrade.Status
	if err != nil || json.Unmarshal(out, &s) != nil {
		return nil
	}
	return &s
}

// awaitStep waits until a node's step of a hop is under way.
func (l *lab) awaitStep(hop int, node string, step upgrade.Step) {
	l.t.Helper()
	l.await(fmt.Sprintf("%s of %s in hop %d", step, node, hop), func() bool {
		s := l.status()
		if s == nil {
			return false
		}
		for _, n := range s.Nodes {
			for _, st := range n.Steps {
				if n.Hop == hop && n.Node == node && st.Step == step {
					require.NotEqual(l.t, upgrade.Done, st.State, "%s of %s is over already", step, node)
					return st.State == upgrade.Running
				}
			}
		}
		return false
	})
}

// awaitUnit waits until a unit on a node is in a state.
func (l *lab) awaitUnit(node, unit, state string) {
	l.t.Helper()
	l.await(unit, func() bool {
		return strings.TrimSpace(l.ssh(node, "systemctl", "show", "-P", "ActiveState", unit)) == state
	})
}

func (l *lab) await(what string, done func() bool) {
	l.t.Helper()
	deadline := time.Now().Add(15 * time.Minute)
	for !done() {
		require.True(l.t, time.Now().Before(deadline), "waited too long for %s", what)
		time.Sleep(100 * time.Millisecond)
	}
}

// process is a program of ours that runs beside the test.
type process struct {
	cmd *exec.Cmd
	out *bytes.Buffer
}

func (l *lab) background(args ...string) *process {
	l.t.Helper()
	p := &process{cmd: l.inLab(args...), out: &bytes.Buffer{}}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	// Not ended with the test's own terminal, and ended with the test.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(l.t, p.cmd.Start())
	l.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// stop ends the program in order and returns what it said.
func (p *process) stop(t *testing.T) string {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	err := p.cmd.Wait()
	require.Contains(t, []int{0, 130}, exitCode(err), p.out.String())
	return p.out.String()
}

// startDev starts server and worker and waits until the worker works.
func (l *lab) startDev() *process {
	l.t.Helper()
	p := l.background(filepath.Join(l.bin, "pawl"), "dev", "--data", l.data, "--clusters", l.clusters)
	l.await("pawl dev", func() bool {
		_, err := l.pawl("plan", "lab", "--to", to, "-o", "json")
		code := exitCode(err)
		return code != 13
	})
	return p
}

// killAndRestart ends server, worker and their keeper in an instant, and starts them anew.
func (l *lab) killAndRestart(p *process, when string) *process {
	l.t.Helper()
	family := append([]int{p.cmd.Process.Pid}, descendants(p.cmd.Process.Pid)...)
	require.GreaterOrEqual(l.t, len(family), 3, "pawl dev, server and worker")
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = p.cmd.Wait()
	fmt.Printf("=== kill -9 of %d processes %s\n", len(family), when)
	time.Sleep(3 * time.Second) // away long enough for hosts to notice
	return l.startDev()
}

// descendants lists a process's children and theirs.
func descendants(pid int) []int {
	var all []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		children, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

// probe asks the service on every worker's port, and the API, all the time.
func (l *lab) probe() *process {
	l.t.Helper()
	args := []string{filepath.Join(l.bin, "pawl-lab"), "probe", "--out", l.probeFile, "https://10.77.0.1:6443/readyz"}
	for i := range l.workers {
		args = append(args, fmt.Sprintf("http://10.77.0.%d:30080/", 21+i))
	}
	return l.background(args...)
}

// countProbes counts requests and failures by URL.
func countProbes(file string) (asked, failed map[string]int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	asked, failed = map[string]int{}, map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var p struct {
			URL string
			OK  bool
		}
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, nil, err
		}
		asked[p.URL]++
		if !p.OK {
			failed[p.URL]++
		}
	}
	return asked, failed, nil
}

func labHome(t *testing.T) string {
	t.Helper()
	if home := os.Getenv("PAWL_LAB_HOME"); home != "" {
		return home
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(cache, "pawl-lab")
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

func stderr(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return fmt.Sprint(err)
}
