// Package remote runs commands and jobs on a machine, for the adapters that work on one.
//
// Rules: a command is an argument vector without shell syntax, so that a sudoers file can list what pawl may run. What
// must not be cut off runs as a job of the machine's own systemd (job.go), which outlives the connection. Files change by
// one rename. Nothing here knows what the commands are for.
package remote

import (
	"context"
	"fmt"
	"slices"
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

// Machine is one machine. Its methods may be used concurrently.
type Machine struct {
	Name string // for errors
	On   Runner
	Poll time.Duration // between two looks at something that is awaited
}

// User runs a command that needs no privileges.
func (m *Machine) User(ctx context.Context, argv ...string) (Result, error) {
	return m.On.Run(ctx, Command{Argv: argv})
}

// Root runs a command as root.
func (m *Machine) Root(ctx context.Context, argv ...string) (Result, error) {
	return m.On.Run(ctx, Command{Argv: argv, Root: true})
}

// Must is Root for commands whose failure is a failure of op.
func (m *Machine) Must(ctx context.Context, op string, argv ...string) (string, error) {
	r, err := m.Root(ctx, argv...)
	if err != nil {
		return "", err
	}
	if r.ExitCode != 0 {
		return "", m.Failed(op, argv, r)
	}
	return r.Stdout, nil
}

// Ask is Must for commands that need no privileges.
func (m *Machine) Ask(ctx context.Context, op string, argv ...string) (string, error) {
	r, err := m.User(ctx, argv...)
	if err != nil {
		return "", err
	}
	if r.ExitCode != 0 {
		return "", m.Failed(op, argv, r)
	}
	return r.Stdout, nil
}

// Failed is the fault of a command that said no.
func (m *Machine) Failed(op string, argv []string, r Result) error {
	return fault.New(fault.CommandFailed, op+" on", m.Name,
		fmt.Sprintf("%s exited with %d: %s", argv[0], r.ExitCode, Tail(r.Stdout+"\n"+r.Stderr)), "")
}

// MayWork returns nil when the Runner's user may run the probe as root: a command without effect that is allowed together
// with all others. It fails before anything is touched where one of them would fail half-way.
func (m *Machine) MayWork(ctx context.Context, probe []string) error {
	r, err := m.Root(ctx, probe...)
	if fault.Is(err, fault.Unauthorized) {
		return fault.New(fault.Unauthorized, "work as root on", m.Name, "sudo refuses what this pawl runs there: it has no sudoers file, or that of another pawl",
			"install the one that `pawl sudoers` writes; docs/sudo.md")
	}
	if err == nil && r.ExitCode != 0 {
		err = m.Failed("work as root", probe, r)
	}
	return err
}

// Exists reports whether there is something at path.
func (m *Machine) Exists(ctx context.Context, path string) (bool, error) {
	r, err := m.Root(ctx, "test", "-e", path)
	return r.ExitCode == 0, err
}

// Existing are those of the paths that exist, in the given order.
func (m *Machine) Existing(ctx context.Context, paths ...string) ([]string, error) {
	argv := append(append([]string{"find"}, paths...), "-maxdepth", "0")
	r, err := m.Root(ctx, argv...) // exit code 1 when any of them is missing
	if err != nil {
		return nil, err
	}
	found := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	var there []string
	for _, path := range paths {
		if slices.Contains(found, path) {
			there = append(there, path)
		}
	}
	return there, nil
}

// Read returns the content of a file.
func (m *Machine) Read(ctx context.Context, path string) (string, error) {
	return m.Must(ctx, "read "+path, "cat", path)
}

// Write puts content at path in one rename, so that a reader (apt, the kubelet) and an interrupted run see the old
// file or the new one and never a part. The temporary file has a leading dot, which apt and the kubelet pass over.
func (m *Machine) Write(ctx context.Context, path, mode string, content []byte) error {
	op := "write " + path
	temporary := Hidden(path)
	if _, err := m.Must(ctx, op, "install", "-m", mode, "/dev/null", temporary); err != nil {
		return err
	}
	dd := []string{"dd", "of=" + temporary, "conv=fsync", "status=none"}
	r, err := m.On.Run(ctx, Command{Argv: dd, Stdin: content, Root: true})
	if err != nil {
		return err
	}
	if r.ExitCode != 0 {
		return m.Failed(op, dd, r)
	}
	_, err = m.Must(ctx, op, "mv", "-T", temporary, path)
	return err
}

// Free is the room for files of root under path, in bytes.
func (m *Machine) Free(ctx context.Context, path string) (int64, error) {
	argv := []string{"df", "--block-size=1", "--output=avail", path}
	r, err := m.Root(ctx, argv...)
	if err != nil {
		return 0, err
	}
	n, ok := FirstInt(r.Stdout)
	if r.ExitCode != 0 || !ok {
		return 0, m.Failed("look for room in "+path, argv, r)
	}
	return n, nil
}

// Size is the size in bytes of everything under the paths that exist. Files that vanish meanwhile make du complain and
// are none of our business.
func (m *Machine) Size(ctx context.Context, paths ...string) (int64, error) {
	there, err := m.Existing(ctx, paths...)
	if err != nil || len(there) == 0 {
		return 0, err
	}
	r, err := m.Root(ctx, append([]string{"du", "--bytes", "--summarize", "--total"}, there...)...)
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	n, ok := FirstInt(lines[len(lines)-1])
	if !ok {
		return 0, m.Failed("measure "+strings.Join(there, " "), []string{"du"}, r)
	}
	return n, nil
}

// Hidden is the name that path has while it is being written.
func Hidden(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1] + "." + path[i+1:] + ".pawl"
}

// Wait sleeps for d, or until ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Tail is the end of a command's output, short enough for one line of an error.
func Tail(output string) string {
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

// Fields splits "KEY=value" lines.
func Fields(output string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(output) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok {
			m[key] = value
		}
	}
	return m
}

// FirstInt reads the number that output begins with (a heading line before it is passed over).
func FirstInt(output string) (int64, bool) {
	for _, word := range strings.Fields(output) {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			return n, true
		}
	}
	return 0, false
}
