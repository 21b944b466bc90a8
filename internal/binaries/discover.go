package binaries

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
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
	v, _ := value(c.flags, name)
	return cmp.Or(v, fallback)
}

// Observe looks at the host and changes nothing on it: which components it has, where and at what version, and what their
// units give them. Of the changes it looks whether the source has them for this host.
func (h *Host) Observe(ctx context.Context, source upgrade.BinarySource, changes []upgrade.BinaryChange) (upgrade.BinaryHost, error) {
	seen := upgrade.BinaryHost{Node: h.node, Address: h.address}
	machine, err := h.machine(ctx)
	if err != nil {
		return seen, err
	}
	seen.Machine, seen.Arch = machine, archs[machine]
	all, err := h.components(ctx)
	if err != nil {
		return seen, err
	}
	for _, c := range all {
		seen.Binaries = append(seen.Binaries, c.Binary)
	}
	if seen.Arch == "" {
		return seen, nil
	}
	for _, change := range changes {
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
		if b.Path != "" {
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

// readUnit reads the files of a component's unit.
func (h *Host) readUnit(ctx context.Context, c *component) error {
	s := c.state
	c.Unit = upgrade.BinaryUnit{Name: s.id, Active: s.active, Stale: s.stale}
	var unit unitFile
	files, err := h.unitFiles(ctx, s)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := h.on.Read(ctx, file)
		if err != nil {
			return err
		}
		unit.add(text)
		c.Unit.Files = append(c.Unit.Files, file)
	}
	hostname, err := h.on.User(ctx, "uname", "-n")
	if err != nil {
		return err
	}
	name := strings.TrimSpace(hostname.Stdout)
	fromFiles, err := h.readEnvironment(ctx, c, unit.envFiles, name)
	if err != nil {
		return err
	}
	c.env = unit.variables(s.id, name)
	maps.Copy(c.env, fromFiles)
	commands := unit.commands(s.id, name, fromFiles)
	if len(commands) == 0 {
		c.Problem = s.id + " starts nothing"
		return nil
	}
	last := commands[len(commands)-1]
	c.Path, c.argv, c.flags = last.path, last.argv, parseFlags(last.argv)
	if base := path.Base(last.path); base != c.Component {
		c.Problem = fmt.Sprintf("%s starts %s, which is not %s itself", s.id, last.path, c.Component)
		return nil
	}
	if !path.IsAbs(c.Path) { // systemd looks for it
		bare := c.Path
		c.Path = ""
		if err := h.findTool(ctx, c, nil); err != nil {
			return err
		}
		if c.Path == "" {
			c.Problem = fmt.Sprintf("%s starts %s, which is in none of %s", s.id, bare, strings.Join(h.path, ", "))
			return nil
		}
	}
	c.Flags, c.Gates = names(c.flags), gates(c.flags)
	return h.readConfig(ctx, c)
}

// unitFolders are where drop-ins lie beside the unit's own folder; earlier ones go before later ones.
var unitFolders = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}

// unitFiles are the files that make a unit, as systemd will read them when it reads them next: what it says itself is of
// the last time.
func (h *Host) unitFiles(ctx context.Context, s unitState) ([]string, error) {
	known := slices.DeleteFunc(append([]string{s.fragment}, s.dropIns...), func(file string) bool { return file == "" })
	if !s.stale {
		return known, nil
	}
	var folders []string
	for _, folder := range append([]string{path.Dir(s.fragment)}, unitFolders...) {
		folders = append(folders, folder+"/"+s.id+".d")
	}
	r, err := h.on.Root(ctx, append(append([]string{"find"}, folders...), "-maxdepth", "1", "-name", "*.conf")...) // exit code 1 when any is missing
	if err != nil {
		return nil, err
	}
	dropIns := map[string]string{} // by name
	rank := func(file string) int { return slices.Index(unitFolders, path.Dir(path.Dir(file))) }
	for _, file := range append(strings.Fields(r.Stdout), s.dropIns...) {
		if other, ok := dropIns[path.Base(file)]; !ok || rank(file) < rank(other) {
			dropIns[path.Base(file)] = file
		}
	}
	files := []string{s.fragment}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		files = append(files, dropIns[name])
	}
	return h.on.Existing(ctx, files...)
}

// readEnvironment reads the environment files of a unit, later ones over earlier ones. One whose name begins with '-' may
// be missing.
func (h *Host) readEnvironment(ctx context.Context, c *component, files []string, hostname string) (map[string]string, error) {
	env := map[string]string{}
	for _, file := range files {
		bare := strings.TrimPrefix(file, "-")
		bare = specifiers(bare, c.state.id, hostname)
		paths := []string{bare}
		if strings.ContainsAny(bare, "*?[") {
			// systemd has names with patterns in their last part sorted, as find and sort do.
			r, err := h.on.Root(ctx, "find", path.Dir(bare), "-maxdepth", "1", "-name", path.Base(bare))
			if err != nil {
				return nil, err
			}
			paths = strings.Fields(r.Stdout)
			slices.Sort(paths)
		}
		there, err := h.on.Existing(ctx, append(paths, "/")...) // find wants one that exists
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			if !slices.Contains(there, p) {
				if bare == file {
					c.Problem = fmt.Sprintf("%s wants %s, which is not there", c.state.id, p)
				}
				continue
			}
			text, err := h.on.Read(ctx, p)
			if err != nil {
				return nil, err
			}
			maps.Copy(env, parseEnvFile(text))
			c.Unit.Files = append(c.Unit.Files, p)
		}
	}
	return env, nil
}

// readConfig reads the feature gates of the file that --config names. Of etcd's and containerd's nothing is known.
func (h *Host) readConfig(ctx context.Context, c *component) error {
	for _, name := range []string{"config", "config-file"} {
		file := c.set(name, "")
		if !path.IsAbs(file) {
			continue
		}
		c.Config = append(c.Config, file)
		if c.Component == upgrade.Etcd || c.Component == upgrade.Containerd {
			continue
		}
		text, err := h.on.Read(ctx, file)
		if fault.Is(err, fault.CommandFailed) {
			c.Problem = fmt.Sprintf("%s names %s, which cannot be read", c.state.id, file)
			return nil
		}
		if err != nil {
			return err
		}
		var config struct {
			FeatureGates map[string]bool `json:"featureGates"`
		}
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			c.Problem = fmt.Sprintf("%s does not read as YAML", file) // the error may hold a part of it
			return nil
		}
		both := config.FeatureGates
		if both == nil {
			both = map[string]bool{}
		}
		maps.Copy(both, c.Gates)
		c.Gates = both
	}
	return nil
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
