package machine

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	zypperLocks    = "/etc/zypp/locks"
	zypperPackages = "/var/cache/zypp/packages"
	zypperPid      = "/run/zypp.pid"
)

// zypperSpecs are the options of zypper itself, which stand before the command, and of its commands.
var zypperSpecs = map[string]optSpec{
	"":        {exit: 2, ordered: true, long: "non-interactive,no-refresh,xmlout,gpg-auto-import-keys,reposd-dir=,cache-dir=,pkg-cache-dir="},
	"refresh": {exit: 2, long: "force,repo="},
	"search":  {exit: 2, long: "details,match-exact,type=,repo="},
	"install": {exit: 2, long: "no-recommends,download-only,oldpackage"},
	"addlock": {exit: 2},
	"locks":   {exit: 2},
}

// zypper is zypper refresh, search, install, addlock and locks, not interactive.
func zypper(p *process) int {
	global, code := p.options("zypper", zypperSpecs[""])
	if global == nil {
		return code
	}
	if len(global.args) == 0 {
		return p.fail(2, "Usage:\n\tzypper [--GLOBAL-OPTIONS] <COMMAND> [--COMMAND-OPTIONS] [ARGUMENTS]")
	}
	command := global.args[0]
	spec, known := zypperSpecs[command]
	if !known || command == "" {
		return p.fail(1, "Unknown command '%s'\nType 'zypper help' to get a list of global options and commands.", command)
	}
	whole := p.argv
	p.argv = global.args
	o, code := p.options("zypper", spec)
	p.argv = whole
	if o == nil {
		return code
	}
	seconds, _ := strconv.Atoi(p.getenv("ZYPP_LOCK_TIMEOUT"))
	if p.user != "root" && command != "search" && command != "locks" {
		return p.fail(5, "Root privileges are required to run this command.")
	}
	if !p.lock(zypperPid, time.Duration(seconds)*time.Second) || command == "install" && !p.lock(rpmLock, time.Duration(seconds)*time.Second) {
		return p.fail(7, "System management is locked by the application with pid %d (zypper).\nClose this application before trying again.", p.m.holder(rpmLock))
	}
	z := &zypperRun{process: p, global: global, options: o, folder: zypperRepos, locks: zypperLocks}
	if folder := global.value("reposd-dir"); folder != "" {
		z.folder = folder
	}
	if conf := p.getenv("ZYPP_CONF"); conf != "" {
		content, _ := p.readFile(conf)
		for line := range strings.Lines(string(content)) {
			if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "locksfile.path" {
				z.locks = strings.TrimSpace(value)
			}
		}
	}
	switch command {
	case "refresh":
		return z.refresh()
	case "search":
		return z.search()
	case "install":
		return z.install()
	case "addlock":
		content, _ := p.readFile(zypperLocks)
		if err := p.writeFile(zypperLocks, []byte(string(content)+lockText(o.args...)), 0o644); err != nil {
			return p.fail(1, "%s", reason(err))
		}
		p.printf("Specified locks have been successfully added.\n")
		return 0
	}
	for i, name := range z.locked() {
		p.printf("%d | %s | package | (any)\n", i+1, name)
	}
	return 0
}

// zypperRun is one run of zypper.
type zypperRun struct {
	*process
	global, options *opts
	folder          string // of .repo files
	locks           string // the file of locks
}

func lockText(names ...string) string {
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: %s\n", name)
	}
	return text.String()
}

// locked are the patterns of locked packages' names.
func (z *zypperRun) locked() []string {
	content, _ := z.readFile(z.locks)
	var all []string
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == "solvable_name" {
			all = append(all, strings.TrimSpace(value))
		}
	}
	return all
}

// repositories are those that are switched on and meant.
func (z *zypperRun) repositories() ([]rpmRepository, int) {
	all := slices.DeleteFunc(z.rpmRepositories(z.folder), func(r rpmRepository) bool { return !r.enabled() })
	id := z.options.value("repo")
	if id == "" {
		return all, 0
	}
	i := slices.IndexFunc(all, func(r rpmRepository) bool { return r.id == id })
	if i < 0 {
		return nil, z.fail(6, "Repository '%s' not found by its alias, number, or URI.", id)
	}
	return all[i : i+1], 0
}

func (z *zypperRun) refresh() int {
	all, code := z.repositories()
	if code != 0 {
		return code
	}
	if !z.sleep(time.Second) {
		return 1
	}
	for _, r := range all {
		if _, err := z.m.rpmOffered(r); err != nil {
			return z.fail(4, "Retrieving repository '%s' metadata [.error]\nRepository '%[1]s' is invalid.\n[%[2]s|%[3]s] Valid metadata not found at specified URL\nSkipping repository '%[1]s' because of the above error.\n"+
				"Could not refresh the repositories because of errors.", r.settings["name"], r.id, r.settings["baseurl"])
		}
		z.printf("Retrieving repository '%s' metadata [.done]\nBuilding repository '%[1]s' cache [....done]\n", r.settings["name"])
	}
	z.printf("Specified repositories have been refreshed.\n")
	return 0
}

func (z *zypperRun) search() int {
	all, code := z.repositories()
	if code != 0 {
		return code
	}
	var found strings.Builder
	for _, r := range all {
		offered, _ := z.m.rpmOffered(r)
		slices.Reverse(offered)
		for _, pkg := range z.options.args {
			for _, v := range offered {
				if slices.Contains(kubernetesPackages, pkg) {
					fmt.Fprintf(&found, "<solvable status=\"other-version\" name=\"%s\" kind=\"package\" edition=\"%s\" arch=\"x86_64\" repository=\"%s\"/>\n", pkg, rpmVersion(v), r.settings["name"])
				}
			}
		}
	}
	z.printf("<?xml version='1.0'?>\n<stream>\n<message type=\"info\">Loading repository data...</message>\n")
	if found.Len() == 0 {
		z.printf("<message type=\"info\">No matching items found.</message>\n</stream>\n")
		return 104
	}
	z.printf("<search-result version=\"0.0\">\n<solvable-list>\n%s</solvable-list>\n</search-result>\n</stream>\n", found.String())
	return 0
}

func (z *zypperRun) install() int {
	all, code := z.repositories()
	if code != 0 {
		return code
	}
	todo, ids := map[string]upgrade.Version{}, map[string]string{}
	installed := z.m.rpmRecords()
	for _, arg := range z.options.args {
		name, version, _ := strings.Cut(arg, "=")
		found := false
		for _, r := range all {
			offered, _ := z.m.rpmOffered(r)
			for _, v := range offered {
				if slices.Contains(kubernetesPackages, name) && (version == "" || version == rpmVersion(v) || version == v.Number()) {
					todo[name], ids[name], found = v, r.id, true
				}
			}
		}
		if !found {
			return z.fail(104, "No provider of '%s' found.", arg)
		}
		if slices.ContainsFunc(z.locked(), func(pattern string) bool { return glob(pattern, name) }) && installed.newest(name) != rpmVersion(todo[name]) {
			return z.fail(4, "Problem: conflicting requests\n Solution 1: Following actions will be done:\n  remove lock to allow installation of %s-%s.x86_64[%s]\n"+
				"Choose from above solutions by number or skip, retry or cancel [1/2/s/r/c/d/?] (c): c", name, rpmVersion(todo[name]), ids[name])
		}
	}
	for name, v := range todo {
		if have := installed.newest(name); have == rpmVersion(v) || compareDeb(have, rpmVersion(v)) > 0 && !z.options.has("oldpackage") {
			delete(todo, name)
		}
	}
	if len(todo) == 0 {
		z.printf("Resolving package dependencies...\nNothing to do.\n")
		return 0
	}
	for name, v := range todo {
		if code := z.fetch(ids[name], name, v); code != 0 {
			return code
		}
	}
	if z.options.has("download-only") {
		return 0
	}
	if err := z.rpmUpgrade(todo); err != nil {
		return z.fail(8, "Installation of packages failed:\nError: %s", reason(err))
	}
	for name, v := range todo {
		_ = z.remove(path.Join(z.packages(ids[name]), name+"-"+rpmVersion(v)+".x86_64.rpm")) // keeppackages is off
	}
	return 0
}

func (z *zypperRun) packages(id string) string {
	dir := z.global.value("pkg-cache-dir")
	switch {
	case dir != "":
	case z.global.value("cache-dir") != "":
		dir = z.global.value("cache-dir") + "/packages"
	default:
		dir = zypperPackages
	}
	return dir + "/" + id
}

func (z *zypperRun) fetch(id, name string, v upgrade.Version) int {
	dir := z.packages(id)
	file := dir + "/" + name + "-" + rpmVersion(v) + ".x86_64.rpm"
	if z.exists(file) {
		z.printf("In cache %s\n", path.Base(file))
		return 0
	}
	if !z.sleep(2 * time.Second) {
		return 1
	}
	if err := z.mkdirAll(dir, 0o755); err != nil {
		return z.fail(8, "%s", reason(err))
	}
	if err := z.writeFile(file, []byte("rpm\n"), 0o644); err != nil {
		return z.fail(8, "Failed to provide Package %s: %s", name, reason(err))
	}
	z.printf("Retrieving package %s-%s.x86_64\n", name, rpmVersion(v))
	return 0
}
