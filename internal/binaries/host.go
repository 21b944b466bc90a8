// Package binaries works on a host whose Kubernetes was installed by hand: binaries that units of systemd start, without
// kubeadm and without packages.
//
// Rules: every method may be called again after any interruption: of pawl, of the connection, of the machine. So each
// looks first, acts only if needed, and verifies what it did. A binary is replaced by one rename, its old one stays beside
// it, and one that does not pass its gate is put back. A new binary is asked for its version and its help before that, and
// nothing else: it never runs against the cluster before it is the unit's. Values of flags leave this package only as
// arguments of commands on the host itself. Nothing here decides the order of an upgrade.
package binaries

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Host is one machine. Its methods may be used concurrently.
type Host struct {
	node    string
	address string // where its API server is reached, unless its flags say otherwise
	on      *remote.Machine

	folder   string        // where pawl keeps what it has to
	backups  string        // where backups are kept
	patience time.Duration // how long a component may take to pass its gate
	path     []string      // where tools are looked for, and programs without a path
}

// New makes the host behind a node; address is the node's own. Nothing is run.
func New(node, address string, r remote.Runner) *Host {
	return &Host{
		node: node, address: address, on: &remote.Machine{Name: node, On: r, Poll: 500 * time.Millisecond},
		folder: "/var/lib/pawl/binaries", backups: remote.BackupFolder, patience: 3 * time.Minute,
		path: []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"},
	}
}

// saysVersion asks a program for its version. Without one, problem says why.
func (h *Host) saysVersion(ctx context.Context, k kind, program string, root bool) (v upgrade.Version, problem string, err error) {
	argv := append([]string{"timeout", "20", program}, k.version...)
	r, err := h.on.On.Run(ctx, remote.Command{Argv: argv, Root: root})
	if err != nil {
		return upgrade.Version{}, "", err
	}
	if !root && (r.ExitCode == 126 || r.ExitCode == 127) { // not for everybody
		return h.saysVersion(ctx, k, program, true)
	}
	v, ok := parseVersion(cmp.Or(strings.TrimSpace(r.Stdout), r.Stderr))
	if r.ExitCode == 0 && ok {
		return v, "", nil
	}
	if r.ExitCode == 0 {
		return upgrade.Version{}, fmt.Sprintf("%s says no version: %s", strings.Join(argv[2:], " "), remote.Tail(r.Stdout+"\n"+r.Stderr)), nil
	}
	return upgrade.Version{}, fmt.Sprintf("%s exited with %d: %s", strings.Join(argv[2:], " "), r.ExitCode, remote.Tail(r.Stdout+"\n"+r.Stderr)), nil
}

// unitState is what systemd says of a unit.
type unitState struct {
	id, load, active, invocation string
	pid                          string // "0" when it does not run
	restarts                     int    // by systemd, since it was last started by hand
	stale                        bool   // its files changed since systemd read them
	fragment                     string
	dropIns                      []string
	program                      string // of ExecStart
}

const unitProperties = "--property=Id,LoadState,ActiveState,MainPID,NRestarts,NeedDaemonReload,InvocationID,FragmentPath,DropInPaths,ExecStart"

// unitStates asks systemd for units by name or by pattern.
func (h *Host) unitStates(ctx context.Context, units ...string) ([]unitState, error) {
	argv := append([]string{"systemctl", "show", "--no-pager", unitProperties, "--"}, units...)
	r, err := h.on.User(ctx, argv...)
	if err != nil {
		return nil, err
	}
	if r.ExitCode != 0 || r.Cut {
		return nil, h.on.Failed("look at the units", argv, r)
	}
	return parseUnitStates(r.Stdout), nil
}

func (h *Host) unitState(ctx context.Context, unit string) (unitState, error) {
	all, err := h.unitStates(ctx, unit)
	if err != nil {
		return unitState{}, err
	}
	if len(all) != 1 {
		return unitState{}, fault.New(fault.VerificationFailed, "look at "+unit+" on", h.node, fmt.Sprintf("systemd told of %d units", len(all)), "")
	}
	return all[0], nil
}

func parseUnitStates(output string) []unitState {
	var all []unitState
	for block := range strings.SplitSeq(output, "\n\n") {
		f := remote.Fields(block)
		if f["Id"] == "" {
			continue
		}
		s := unitState{id: f["Id"], load: f["LoadState"], active: f["ActiveState"], invocation: f["InvocationID"], pid: f["MainPID"],
			stale: f["NeedDaemonReload"] == "yes", fragment: f["FragmentPath"], dropIns: strings.Fields(f["DropInPaths"])}
		s.restarts, _ = strconv.Atoi(f["NRestarts"])
		_, rest, _ := strings.Cut(f["ExecStart"], "path=")
		s.program, _, _ = strings.Cut(rest, " ;")
		all = append(all, s)
	}
	return all
}
