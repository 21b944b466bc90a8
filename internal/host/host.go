// Package host works on a node's machine: its packages, its kubeadm, its kubelet and its backups.
//
// Rules: every method may be called again after any interruption: of pawl, of the connection, of the machine. So each
// looks first, acts only if needed, and verifies what it did. Commands that must not be cut off run as jobs of the
// machine's own systemd (job.go), which outlive the connection. A command is an argument vector without shell syntax,
// so that a sudoers file can list what pawl may run. Nothing here decides the order of an upgrade.
package host

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
)

// Runner runs commands on the machine. It returns an error only when the outcome is not known or the command was never
// started, classified as a fault; a command that ends with another exit code than 0 is not an error.
type Runner interface {
	Run(ctx context.Context, cmd Command) (Result, error)
}

// Command is what a Runner is given. It is an alias, like Result, so that a Runner need not import this package.
type Command = struct {
	Argv  []string
	Stdin []byte
	Root  bool // as root, whoever the Runner's user is
}

// Result is what a Runner gives back.
type Result = struct {
	Stdout   string
	Stderr   string
	ExitCode int
	Cut      bool // the output was longer than the Runner keeps
}

// Host is one machine. Its methods may be used concurrently.
type Host struct {
	node string // the node's name, for errors and for the names of its mirror pods
	run  Runner
	poll time.Duration // between two looks at something that is awaited
}

// New makes the host behind a node. Nothing is run.
func New(node string, r Runner) *Host {
	return &Host{node: node, run: r, poll: 300 * time.Millisecond}
}

// user runs a command that needs no privileges.
func (h *Host) user(ctx context.Context, argv ...string) (Result, error) {
	return h.run.Run(ctx, Command{Argv: argv})
}

// root runs a command as root.
func (h *Host) root(ctx context.Context, argv ...string) (Result, error) {
	return h.run.Run(ctx, Command{Argv: argv, Root: true})
}

// must is root for commands whose failure is a failure of op.
func (h *Host) must(ctx context.Context, op string, argv ...string) (string, error) {
	r, err := h.root(ctx, argv...)
	if err != nil {
		return "", err
	}
	if r.ExitCode != 0 {
		return "", h.failed(op, argv, r)
	}
	return r.Stdout, nil
}

// failed is the fault of a command that said no.
func (h *Host) failed(op string, argv []string, r Result) error {
	return fault.New(fault.CommandFailed, op+" on", h.node,
		fmt.Sprintf("%s exited with %d: %s", argv[0], r.ExitCode, tail(r.Stdout+"\n"+r.Stderr)), "")
}

// exists reports whether there is something at path.
func (h *Host) exists(ctx context.Context, path string) (bool, error) {
	r, err := h.root(ctx, "test", "-e", path)
	return r.ExitCode == 0, err
}

// read returns the content of a file.
func (h *Host) read(ctx context.Context, path string) (string, error) {
	return h.must(ctx, "read "+path, "cat", path)
}

// write puts content at path in one rename, so that a reader (apt, the kubelet) and an interrupted run see the old
// file or the new one and never a part. The temporary file has a leading dot, which apt and the kubelet pass over.
func (h *Host) write(ctx context.Context, path, mode string, content []byte) error {
	op := "write " + path
	temporary := hidden(path)
	if _, err := h.must(ctx, op, "install", "-m", mode, "/dev/null", temporary); err != nil {
		return err
	}
	dd := []string{"dd", "of=" + temporary, "conv=fsync", "status=none"}
	r, err := h.run.Run(ctx, Command{Argv: dd, Stdin: content, Root: true})
	if err != nil {
		return err
	}
	if r.ExitCode != 0 {
		return h.failed(op, dd, r)
	}
	_, err = h.must(ctx, op, "mv", "-T", temporary, path)
	return err
}

// hidden is the name that path has while it is being written.
func hidden(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1] + "." + path[i+1:] + ".pawl"
}

// wait sleeps for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tail is the end of a command's output, short enough for one line of an error.
func tail(output string) string {
	const most = 600
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "(Reading database") { // dpkg's progress, some twenty lines
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "no output"
	}
	s := strings.Join(lines[max(0, len(lines)-8):], " | ")
	if len(s) > most {
		s = "..." + strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}

// fields splits "KEY=value" lines.
func fields(output string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(output) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok {
			m[key] = value
		}
	}
	return m
}

// firstInt reads the number that output begins with (a heading line before it is passed over).
func firstInt(output string) (int64, bool) {
	for _, word := range strings.Fields(output) {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			return n, true
		}
	}
	return 0, false
}
