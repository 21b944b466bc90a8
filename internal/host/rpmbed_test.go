//go:build linux

package host_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/host"
)

// lack skips a test that needs real programs, or fails it where nothing may be skipped.
func lack(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1" {
		t.Fatal(what)
	}
	t.Skip("SKIPPED, NOT TESTED WITH THE REAL PROGRAMS: " + what)
}

// rootfs is a machine of its own for the real dnf, zypper and rpm: this machine's files under a layer that is in memory,
// with mounts and processes of its own. Nothing that is done there reaches this machine, and all of it is gone at the end.
// It is a host.Runner. What it has not is systemd: jobs are run by the test itself, and systemctl, systemd-run and
// journalctl are answered from that, in systemd's words.
type rootfs struct {
	t    *testing.T
	dir  string
	init int // its first process, which only keeps it

	mu   sync.Mutex
	ran  []string // command lines
	jobs map[string]*realJob
	last int
}

type realJob struct {
	id     int
	cmd    *exec.Cmd
	output bytes.Buffer
	done   chan struct{}
	err    error
}

const layRootfs = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
echo ready
while :; do sleep 1000; done # a shell takes in the ends of processes that have lost their parents`

func newRootfs(t *testing.T) *rootfs {
	t.Helper()
	if os.Getuid() != 0 {
		lack(t, "root is needed")
	}
	dir := t.TempDir()
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", layRootfs, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	word := make([]byte, len("ready\n"))
	if _, err := out.Read(word); err != nil || string(word) != "ready\n" {
		lack(t, "no overlay can be mounted here")
	}
	children := childrenOf(cmd.Process.Pid)
	if len(children) != 1 {
		t.Fatalf("children of unshare: %v", children)
	}
	return &rootfs{t: t, dir: filepath.Join(dir, "root"), init: children[0], jobs: map[string]*realJob{}}
}

func childrenOf(pid int) []int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	var all []int
	for _, word := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(word); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// command is one in the machine.
func (r *rootfs) command(argv, env []string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(r.init), "--mount", "--pid", "chroot", r.dir, "env", "-i",
		"HOME=/root", "LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return exec.Command("nsenter", slices.Concat(enter, env, argv)...)
}

// Run is host.Runner.
func (r *rootfs) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if err := ctx.Err(); err != nil {
		return host.Result{}, err
	}
	r.mu.Lock()
	r.ran = append(r.ran, strings.Join(c.Argv, " "))
	r.mu.Unlock()
	switch c.Argv[0] {
	case "systemd-run":
		return r.startJob(c.Argv), nil
	case "systemctl":
		return r.systemctl(c.Argv), nil
	case "journalctl":
		return r.journal(c.Argv), nil
	}
	cmd := r.command(c.Argv, nil)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return host.Result{}, err
	}
	return host.Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}, nil
}

func (r *rootfs) startJob(argv []string) host.Result {
	var unit string
	var env []string
	at := slices.Index(argv, "--")
	for _, arg := range argv[:at] {
		if name, ok := strings.CutPrefix(arg, "--unit="); ok {
			unit = name
		}
		if value, ok := strings.CutPrefix(arg, "--setenv="); ok {
			env = append(env, value)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	j := &realJob{id: r.last, done: make(chan struct{})}
	var args []string
	for _, arg := range argv[at+1:] {
		args = append(args, strings.ReplaceAll(arg, "$$", "$"))
	}
	j.cmd = r.command(args, env)
	j.cmd.Stdout, j.cmd.Stderr = &j.output, &j.output
	if err := j.cmd.Start(); err != nil {
		return host.Result{Stderr: err.Error(), ExitCode: 1}
	}
	r.jobs[unit] = j
	go func() {
		j.err = j.cmd.Wait()
		close(j.done)
	}()
	return host.Result{}
}

func (r *rootfs) systemctl(argv []string) host.Result {
	unit := strings.TrimSuffix(argv[len(argv)-1], ".service")
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.jobs[unit]
	if argv[1] != "show" {
		delete(r.jobs, unit)
		return host.Result{}
	}
	said := "LoadState=loaded\nInvocationID=" + hex.EncodeToString([]byte(unit)) + "\nJob=\n"
	if j == nil {
		return host.Result{Stdout: "LoadState=not-found\nActiveState=inactive\nJob=\nResult=success\nExecMainStatus=0\nInvocationID=\n"}
	}
	select {
	case <-j.done:
	default:
		return host.Result{Stdout: said + "ActiveState=activating\nResult=success\nExecMainStatus=0\n"}
	}
	if j.err != nil {
		return host.Result{Stdout: said + fmt.Sprintf("ActiveState=failed\nResult=exit-code\nExecMainStatus=%d\n", j.cmd.ProcessState.ExitCode())}
	}
	return host.Result{Stdout: said + "ActiveState=active\nResult=success\nExecMainStatus=0\n"}
}

func (r *rootfs) journal(argv []string) host.Result {
	invocation := strings.TrimPrefix(argv[len(argv)-1], "_SYSTEMD_INVOCATION_ID=")
	unit, err := hex.DecodeString(invocation)
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.jobs[string(unit)]; err == nil && j != nil {
		return host.Result{Stdout: j.output.String()}
	}
	return host.Result{}
}

// killJob kills all processes of a job, as systemd does, and nothing else.
func (r *rootfs) killJob(unit string) {
	r.mu.Lock()
	j := r.jobs[unit]
	r.mu.Unlock()
	if j == nil {
		r.t.Fatalf("there is no job %s", unit)
	}
	var all []int
	for pids := childrenOf(j.cmd.Process.Pid); len(pids) > 0; pids = pids[1:] { // nsenter itself ends with its child
		all = append(all, pids[0])
		pids = append(pids, childrenOf(pids[0])...)
	}
	for _, pid := range all { // from the top: a parent must not see its child's end
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-j.done
}

// sh runs a line of shell in the machine.
func (r *rootfs) sh(line string) string {
	r.t.Helper()
	out, err := r.command([]string{"sh", "-c", line}, nil).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// await waits until there is a file in the machine.
func (r *rootfs) await(file string) {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for r.command([]string{"test", "-e", file}, nil).Run() != nil {
		if time.Now().After(deadline) {
			r.t.Fatalf("there is no %s", file)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// begun are the command lines since the last call that hold the text.
func (r *rootfs) begun(text string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(r.ran), func(line string) bool { return !strings.Contains(line, text) })
	r.ran = nil
	return found
}
