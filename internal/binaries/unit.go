package binaries

import (
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
