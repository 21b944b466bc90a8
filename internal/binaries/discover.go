package binaries

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// component is one of the host's, with what must not leave this package.
type component struct {
	upgrade.Binary
	kind  kind
	state unitState
	argv  []string // after the program, as the unit has it
	flags []flag
	env   map[string]string // of the unit: etcd reads its settings from there, too
}

// set is the value of a flag, or fallback where it is not given.
func (c component) set(name, fallback string) string {
	v := value(c.flags, name)
	return cmp.Or(v, fallback)
}

// Observe looks at the host and changes nothing on it: which components it has, where and at what version, and what their
// units give them. Of the changes that are to be made on it, it looks whether a package is in the way, and whether the
// source has them for this host.
func (h *Host) Observe(ctx context.Context, source upgrade.BinarySource, changes []upgrade.BinaryChange) (upgrade.BinaryHost, error) {
	seen := upgrade.BinaryHost{Node: h.node, Address: h.address}
	if err := h.on.MayWork(ctx, sudoers.Probe(sudoers.Binaries)); err != nil {
		return seen, err
	}
	machine, err := h.machine(ctx)
	if err != nil {
		return seen, err
	}
	seen.Machine, seen.Arch = machine, archs[machine]
	units, err := h.units(ctx)
	if err != nil {
		return seen, err
	}
	for _, u := range units {
		if u.load == "loaded" && strings.HasSuffix(path.Base(u.program), upgrade.CloudControllerManager) {
			seen.CloudControllers = append(seen.CloudControllers, u.id)
		}
	}
	all, err := h.componentsOf(ctx, units)
	if err != nil {
		return seen, err
	}
	for _, c := range all {
		if needs(c, changes) && c.Problem == "" {
			if c.Problem, err = h.packaged(ctx, c); err != nil {
				return seen, err
			}
		}
		seen.Binaries = append(seen.Binaries, c.Binary)
	}
	if seen.Arch == "" {
		return seen, nil
	}
	for _, change := range changes {
		if !slices.ContainsFunc(all, func(c component) bool { return needs(c, []upgrade.BinaryChange{change}) }) {
			continue
		}
		_, err := h.wantedSum(ctx, source, change, seen.Arch)
		switch {
		case fault.Is(err, fault.PreflightFailed, fault.VerificationFailed, fault.InvalidInput):
			seen.Missing = append(seen.Missing, upgrade.MissingBinary{Component: change.Component, Version: change.To, Problem: err.Error()})
		case err != nil:
			return seen, err
		}
	}
	return seen, nil
}

// needs reports whether one of the changes brings a newer binary of the component.
func needs(c component, changes []upgrade.BinaryChange) bool {
	return slices.ContainsFunc(changes, func(change upgrade.BinaryChange) bool {
		return change.Component == c.Component && c.OnDisk.Less(change.To)
	})
}

func (h *Host) machine(ctx context.Context) (string, error) {
	argv := []string{"uname", "-m"}
	r, err := h.on.User(ctx, argv...)
	if err == nil && r.ExitCode != 0 {
		err = h.on.Failed("ask for the architecture", argv, r)
	}
	return strings.TrimSpace(r.Stdout), err
}

// components are all that the host has, in the order of kinds.
func (h *Host) components(ctx context.Context) ([]component, error) {
	units, err := h.units(ctx)
	if err != nil {
		return nil, err
	}
	return h.componentsOf(ctx, units)
}

func (h *Host) componentsOf(ctx context.Context, units []unitState) ([]component, error) {
	var all []component
	for _, k := range kinds {
		c, found, err := h.component(ctx, k, units, all)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, c)
		}
	}
	return all, nil
}

// one is a component that the host must have, and whose binary is in order.
func (h *Host) one(ctx context.Context, op, name string) (component, error) {
	c, err := h.find(ctx, op, name)
	if err == nil && c.Problem != "" {
		err = fault.New(fault.PreflightFailed, op+" on", h.node, c.Problem, "")
	}
	return c, err
}

// find is a component that the host must have.
func (h *Host) find(ctx context.Context, op, name string) (component, error) {
	k, known := kindOf(name)
	if !known {
		return component{}, fault.New(fault.InvalidInput, op+" on", h.node, fmt.Sprintf("%q is no component that pawl replaces", name), "")
	}
	units, err := h.units(ctx)
	if err != nil {
		return component{}, err
	}
	c, found, err := h.component(ctx, k, units, nil)
	switch {
	case err != nil:
		return component{}, err
	case !found:
		return component{}, fault.New(fault.NotFound, op+" on", h.node, "the host has no "+name, "")
	}
	return c, nil
}

// units are those that systemd has loaded, and those that bear a component's name.
func (h *Host) units(ctx context.Context) ([]unitState, error) {
	asked := []string{"*.service"}
	for _, k := range kinds {
		if k.unit {
			asked = append(asked, k.name+".service")
		}
	}
	all, err := h.unitStates(ctx, asked...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b unitState) int { return cmp.Compare(a.id, b.id) })
	return slices.CompactFunc(all, func(a, b unitState) bool { return a.id == b.id }), nil
}

// component looks for one of the host's. A tool is looked for beside the components found before, and in the usual folders.
func (h *Host) component(ctx context.Context, k kind, units []unitState, before []component) (component, bool, error) {
	c := component{kind: k, Binary: upgrade.Binary{Component: k.name}}
	if k.unit {
		i := unitOf(k.name, units)
		if i < 0 {
			return h.withoutUnit(ctx, c)
		}
		c.state = units[i]
		if err := h.readUnit(ctx, &c); err != nil {
			return c, false, err
		}
	} else if err := h.findTool(ctx, &c, before); err != nil || c.Path == "" {
		return c, false, err
	}
	if c.Problem == "" {
		if err := h.lookAtBinary(ctx, &c); err != nil {
			return c, false, err
		}
	}
	return c, true, nil
}

// unitOf finds the unit that starts a component: the one whose program it is, which runs if there are several; else the
// one that bears its name.
func unitOf(name string, units []unitState) int {
	best := -1
	for i, u := range units {
		if u.load != "loaded" || path.Base(u.program) != name {
			continue
		}
		if best < 0 || u.active == "active" && units[best].active != "active" {
			best = i
		}
	}
	if best >= 0 {
		return best
	}
	return slices.IndexFunc(units, func(u unitState) bool { return u.load == "loaded" && u.id == name+".service" })
}

// withoutUnit is for a component that no unit starts: whether its binary lies there all the same. What containerd and etcd
// are packages of is no matter of ours.
func (h *Host) withoutUnit(ctx context.Context, c component) (component, bool, error) {
	if err := h.findTool(ctx, &c, nil); err != nil || c.Path == "" {
		return c, false, err
	}
	return c, true, h.lookAtBinary(ctx, &c)
}

// findTool fills in where a tool is: beside one of the components, or in one of the usual folders.
func (h *Host) findTool(ctx context.Context, c *component, before []component) error {
	var paths []string
	for _, b := range before {
		if path.IsAbs(b.Path) {
			paths = append(paths, path.Dir(b.Path)+"/"+c.kind.program())
		}
	}
	for _, folder := range slices.Concat(c.kind.folders, h.path) {
		paths = append(paths, folder+"/"+c.kind.program())
	}
	there, err := h.on.Existing(ctx, paths...)
	if err == nil && len(there) > 0 {
		c.Path = there[0]
	}
	return err
}

// lookAtBinary asks the binary on disk, and the process where there is one, for their versions.
func (h *Host) lookAtBinary(ctx context.Context, c *component) error {
	r, err := h.on.Root(ctx, "readlink", "-f", c.Path)
	if err != nil {
		return err
	}
	if real := strings.TrimSpace(r.Stdout); real != c.Path {
		c.LinksTo = real
	}
	there, err := h.on.Exists(ctx, c.Path)
	if err != nil {
		return err
	}
	if !there {
		c.Problem = fmt.Sprintf("%s is not there", c.Path)
	} else if c.OnDisk, c.Problem, err = h.saysVersion(ctx, c.kind, c.Path, false); err != nil {
		return err
	}
	if c.state.pid == "" || c.state.pid == "0" {
		return nil
	}
	c.Unit.Running, err = h.runningVersion(ctx, *c)
	return err
}

// runningVersion asks the file that the process was started from, which may have lost its name since. It is zero when the
// process is not the component, or has ended.
func (h *Host) runningVersion(ctx context.Context, c component) (upgrade.Version, error) {
	same, program, err := h.runsWhatIsThere(ctx, c)
	if err != nil {
		return upgrade.Version{}, err
	}
	if same && !c.OnDisk.IsZero() {
		return c.OnDisk, nil
	}
	if base := path.Base(strings.TrimSuffix(program, " (deleted)")); !strings.HasPrefix(base, c.Component) {
		return upgrade.Version{}, nil
	}
	v, _, err := h.saysVersion(ctx, c.kind, "/proc/"+c.state.pid+"/exe", true)
	if fault.Is(err, fault.Unauthorized) { // the sudoers file of pawl does not allow it: anybody can have a process of that name
		return upgrade.Version{}, nil
	}
	return v, err
}

// runsWhatIsThere reports whether the process was started from the very file that is at the component's path now, and
// from what name.
func (h *Host) runsWhatIsThere(ctx context.Context, c component) (same bool, program string, err error) {
	exe := "/proc/" + c.state.pid + "/exe"
	link, err := h.on.Root(ctx, "readlink", exe)
	if err != nil || link.ExitCode != 0 {
		return false, "", err
	}
	r, err := h.on.Root(ctx, "stat", "-L", "-c", "%d:%i", exe, c.Path)
	files := strings.Fields(r.Stdout)
	return len(files) == 2 && files[0] == files[1], strings.TrimSpace(link.Stdout), err
}
