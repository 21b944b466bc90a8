// Package cgroup makes the lab's control groups on machines with version 1,
// with version 2 and with both. Rule: the lab only ever makes, enters and
// removes groups below its own name.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Root is where every Linux distribution mounts control groups.
const Root = "/sys/fs/cgroup"

// Hierarchy is one mounted tree of control groups.
type Hierarchy struct {
	Mount   string // where the machine has it
	Version int    // 1 or 2
	Options string // version 1: what selects it, such as "cpu,cpuacct" or "name=systemd"
}

// Name is the last part of the mount point.
func (h Hierarchy) Name() string { return filepath.Base(h.Mount) }

// V1 reports whether the machine's controllers are on version 1: then the
// root of the control groups is not itself a version 2 tree.
func V1() bool {
	var st unix.Statfs_t
	if err := unix.Statfs(Root, &st); err != nil {
		return true
	}
	return st.Type != unix.CGROUP2_SUPER_MAGIC
}

// Discover lists the machine's hierarchies.
func Discover() ([]Hierarchy, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list control groups: %w", err)
	}
	hs := parseMountinfo(string(b))
	if len(hs) == 0 {
		return nil, fmt.Errorf("list control groups: none mounted below %s", Root)
	}
	return hs, nil
}

// parseMountinfo picks the control group mounts below Root.
func parseMountinfo(text string) []Hierarchy {
	var hs []Hierarchy
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		if !ok {
			continue
		}
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 3 || (l[4] != Root && !strings.HasPrefix(l[4], Root+"/")) {
			continue
		}
		switch r[0] {
		case "cgroup2":
			hs = append(hs, Hierarchy{Mount: l[4], Version: 2})
		case "cgroup":
			var keep []string
			for _, o := range strings.Split(r[2], ",") {
				if isController(o) {
					keep = append(keep, o)
				}
			}
			hs = append(hs, Hierarchy{Mount: l[4], Version: 1, Options: strings.Join(keep, ",")})
		}
	}
	return hs
}

// isController tells what selects a version 1 hierarchy from mere flags.
func isController(option string) bool {
	switch option {
	case "rw", "ro", "xattr", "clone_children", "cpuset_v2_mode", "noprefix", "seclabel", "none":
		return false
	}
	return !strings.HasPrefix(option, "release_agent=")
}

// Create makes the group below every hierarchy, ready to take processes and
// groups of its own.
func Create(group string) error {
	hs, err := Discover()
	if err != nil {
		return err
	}
	for _, h := range hs {
		dir := h.Mount
		for _, part := range strings.Split(group, "/") {
			if h.Version == 2 && h.carriesControllers() {
				enableControllers(dir)
			}
			dir = filepath.Join(dir, part)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("make control group: %w", err)
			}
			if h.Version == 1 && strings.Contains(","+h.Options+",", ",cpuset,") {
				if err := inheritCPUs(dir); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// carriesControllers reports whether a version 2 tree is the machine's only
// one; beside version 1 it is empty.
func (h Hierarchy) carriesControllers() bool { return h.Mount == Root }

// enableControllers lets the groups below dir use what dir itself may use.
// One by one: a controller that is refused does not hold back the others.
func enableControllers(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(b)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

// inheritCPUs copies processors and memory nodes from the parent: a new
// version 1 cpuset has none and takes no process.
func inheritCPUs(dir string) error {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f))
		if err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
	}
	return nil
}

// Enter moves a process into the group in every hierarchy; pid 0 is the caller.
func Enter(group string, pid int) error {
	hs, err := Discover()
	if err != nil {
		return err
	}
	for _, h := range hs {
		p := filepath.Join(h.Mount, group, "cgroup.procs")
		if err := os.WriteFile(p, []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("enter control group: %w", err)
		}
	}
	return nil
}

// Procs lists the processes in the group and below it.
func Procs(group string) []int {
	hs, err := Discover()
	if err != nil {
		return nil
	}
	seen := map[int]bool{}
	for _, h := range hs {
		_ = filepath.WalkDir(filepath.Join(h.Mount, group), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			b, _ := os.ReadFile(filepath.Join(p, "cgroup.procs"))
			for _, f := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
					seen[pid] = true
				}
			}
			return nil
		})
	}
	var pids []int
	for p := range seen {
		pids = append(pids, p)
	}
	sort.Ints(pids)
	return pids
}

// Remove removes the group and all below it, in every hierarchy. Groups that
// still drain get a moment.
func Remove(group string) error {
	hs, err := Discover()
	if err != nil {
		return err
	}
	for _, h := range hs {
		dir := filepath.Join(h.Mount, group)
		var last error
		for range 50 {
			if last = removeTree(dir); last == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if last != nil {
			return fmt.Errorf("remove control group: %w", last)
		}
	}
	return nil
}

// removeTree removes a group's tree, deepest first.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := unix.Rmdir(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Left lists the group's directories that are still there.
func Left(group string) []string {
	hs, _ := Discover()
	var left []string
	for _, h := range hs {
		if d := filepath.Join(h.Mount, group); exists(d) {
			left = append(left, d)
		}
	}
	return left
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
