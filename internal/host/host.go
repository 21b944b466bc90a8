// Package host works on a node's machine: its packages, its kubeadm, its kubelet and its backups.
//
// Rules: every method may be called again after any interruption: of pawl, of the connection, of the machine. So each
// looks first, acts only if needed, and verifies what it did. Commands that must not be cut off run as jobs of the
// machine's own systemd (remote.Job), which outlive the connection. A command is an argument vector without shell syntax,
// so that a sudoers file can list what pawl may run. Nothing here decides the order of an upgrade.
package host

import (
	"context"
	"time"

	"github.com/pawl-dev/pawl/internal/remote"
)

// Runner runs commands on the machine; see remote.Runner.
type Runner = remote.Runner

// Command is what a Runner is given.
type Command = remote.Command

// Result is what a Runner gives back.
type Result = remote.Result

// Host is one machine. Its methods may be used concurrently.
type Host struct {
	node string // the node's name, for errors and for the names of its mirror pods
	on   *remote.Machine
}

// New makes the host behind a node. Nothing is run.
func New(node string, r Runner) *Host {
	return &Host{node: node, on: &remote.Machine{Name: node, On: r, Poll: 300 * time.Millisecond}}
}

// user runs a command that needs no privileges.
func (h *Host) user(ctx context.Context, argv ...string) (Result, error) {
	return h.on.User(ctx, argv...)
}

// root runs a command as root.
func (h *Host) root(ctx context.Context, argv ...string) (Result, error) {
	return h.on.Root(ctx, argv...)
}

// must is root for commands whose failure is a failure of op.
func (h *Host) must(ctx context.Context, op string, argv ...string) (string, error) {
	return h.on.Must(ctx, op, argv...)
}

// ask is must for commands that need no privileges.
func (h *Host) ask(ctx context.Context, op string, argv ...string) (string, error) {
	return h.on.Ask(ctx, op, argv...)
}

// failed is the fault of a command that said no.
func (h *Host) failed(op string, argv []string, r Result) error { return h.on.Failed(op, argv, r) }

// exists reports whether there is something at path.
func (h *Host) exists(ctx context.Context, path string) (bool, error) { return h.on.Exists(ctx, path) }

// existing are those of the paths that exist, in the given order.
func (h *Host) existing(ctx context.Context, paths ...string) ([]string, error) {
	return h.on.Existing(ctx, paths...)
}

// read returns the content of a file.
func (h *Host) read(ctx context.Context, path string) (string, error) { return h.on.Read(ctx, path) }

// write puts content at path in one rename.
func (h *Host) write(ctx context.Context, path, mode string, content []byte) error {
	return h.on.Write(ctx, path, mode, content)
}

// freeBytes is the room for files of root under path.
func (h *Host) freeBytes(ctx context.Context, path string) (int64, error) {
	return h.on.Free(ctx, path)
}

// sizeOf is the size of everything under the paths that exist.
func (h *Host) sizeOf(ctx context.Context, paths ...string) (int64, error) {
	return h.on.Size(ctx, paths...)
}
