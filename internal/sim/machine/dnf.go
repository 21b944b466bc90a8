package machine

import (
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	dnfCache    = "/var/cache/dnf"
	versionlock = "/etc/dnf/plugins/versionlock.list" // the plugin is installed when this is there
)

// dnf is dnf install, list --showduplicates, repoquery and makecache.
func dnf(p *process) int {
	o, code := p.options("dnf", optSpec{short: "yq", exit: 2, long: "version,disableexcludes=,setopt=,showduplicates,assumeyes,quiet,refresh,downloadonly," +
		"repo=,enablerepo=,disableplugin=,queryformat="})
	if o == nil {
		return code
	}
	if o.has("version") {
		p.printf("4.14.0\n")
		return 0
	}
	if len(o.args) == 0 {
		return p.fail(1, "usage: dnf [options] COMMAND")
	}
	d := &dnfRun{process: p, options: o, main: map[string]string{"cachedir": dnfCache}}
	if code := d.configure(); code != 0 {
		return code
	}
	switch o.args[0] {
	case "list", "repoquery", "makecache", "install":
	default:
		return p.fail(1, "No such command: %s. Please use /usr/bin/dnf --help", o.args[0])
	}
	if o.args[0] == "install" && p.user != "root" {
		return p.fail(1, "Error: This command has to be run with superuser privileges (under the root user on most systems).")
	}
	if code := d.load(o.args[0] == "install"); code != 0 {
		return code
	}
	switch o.args[0] {
	case "makecache":
		p.printf("Metadata cache created.\n")
		return 0
	case "install":
		return d.install(o.args[1:])
	}
	return d.list(o.args[1:])
}

// dnfRun is one run of dnf.
type dnfRun struct {
	*process
	options *opts
	main    map[string]string // of --setopt
	repos   []rpmRepository   // that are switched on
	offered []upgrade.Version // by one of them
	hidden  []string          // packages that are excluded from it
}

// configure reads the repositories and what options say about them.
func (d *dnfRun) configure() int {
	folder := dnfRepos
	for _, option := range d.options.set["setopt"] {
		if dir, ok := strings.CutPrefix(option, "reposdir="); ok {
			folder = dir
		}
	}
	all, only := d.rpmRepositories(folder), d.options.set["repo"]
	for _, id := range slices.Concat(only, d.options.set["enablerepo"]) {
		i := slices.IndexFunc(all, func(r rpmRepository) bool { return r.id == id })
		if i < 0 {
			return d.fail(1, "Error: Unknown repo: '%s'", id)
		}
		all[i].settings["enabled"] = "1"
	}
	for _, option := range d.options.set["setopt"] {
		key, value, ok := strings.Cut(option, "=")
		id, setting, ofRepo := strings.Cut(key, ".")
		if !ok {
			return d.fail(2, "dnf: error: argument --setopt: setopt argument has no value: '%s'", option)
		}
		if !ofRepo {
			d.main[key] = value
		}
		for _, r := range all {
			if ofRepo && glob(id, r.id) {
				r.settings[setting] = value
			}
		}
	}
	d.repos = slices.DeleteFunc(all, func(r rpmRepository) bool { return !r.enabled() || len(only) > 0 && !slices.Contains(only, r.id) })
	return 0
}

// load reads the repositories. locked says whether locks on versions count, as they do where something is installed.
func (d *dnfRun) load(locked bool) int {
	if !d.sleep(time.Second) {
		return 1
	}
	shown := strings.Split(d.main["disable_excludes"]+","+strings.Join(d.options.set["disableexcludes"], ","), ",")
	for _, r := range d.repos {
		offered, err := d.m.rpmOffered(r)
		if err != nil && strings.EqualFold(r.settings["skip_if_unavailable"], "true") {
			d.printf("Error: Failed to download metadata for repo '%s': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried\nIgnoring repositories: %[1]s\n", r.id)
			continue
		}
		if err != nil {
			return d.fail(1, "Errors during downloading metadata for repository '%s':\n  - %v\nError: Failed to download metadata for repo '%[1]s': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried", r.id, err)
		}
		d.offered = append(d.offered, offered...)
		if !slices.ContainsFunc(shown, func(s string) bool { return s == r.id || s == "all" || s == "*" }) {
			d.hidden = append(d.hidden, r.excluded()...)
		}
	}
	if locked && d.exists(versionlock) && !slices.Contains(d.options.set["disableplugin"], "versionlock") {
		content, _ := d.readFile(versionlock)
		for _, pkg := range kubernetesPackages {
			if strings.Contains("\n"+string(content), "\n"+pkg+"-") { // all that is offered is another version
				d.hidden = append(d.hidden, pkg)
			}
		}
	}
	return 0
}

func (d *dnfRun) list(names []string) int {
	for _, v := range d.offered {
		for _, pkg := range kubernetesPackages {
			if slices.Contains(d.hidden, pkg) || len(names) > 0 && !slices.Contains(names, pkg) {
				continue
			}
			if format := d.options.value("queryformat"); format != "" {
				number, release, _ := strings.Cut(rpmVersion(v), "-")
				// dnf 4 ends each line by itself, too
				d.printf("%s\n", strings.NewReplacer("%{name}", pkg, "%{version}", number, "%{release}", release, `\n`, "\n").Replace(format))
			} else {
				d.printf("%s.x86_64 %s kubernetes\n", pkg, rpmVersion(v))
			}
		}
	}
	return 0
}

func (d *dnfRun) install(args []string) int {
	todo := map[string]upgrade.Version{}
	for _, arg := range args {
		name, version, _ := strings.Cut(arg, "-")
		found := false
		for _, v := range d.offered {
			if slices.Contains(kubernetesPackages, name) && (version == "" || glob(version, rpmVersion(v)) || version == v.Number()) {
				todo[name], found = v, true
			}
		}
		if found && slices.Contains(d.hidden, name) {
			return d.fail(1, "All matches were filtered out by exclude filtering for argument: %s\nError: Unable to find a match: %[1]s", arg)
		}
		if !found {
			return d.fail(1, "No match for argument: %s\nError: Unable to find a match: %[1]s", arg)
		}
	}
	installed := d.m.rpmRecords()
	for name, v := range todo {
		if installed.newest(name) == rpmVersion(v) {
			delete(todo, name)
		}
	}
	if len(todo) == 0 {
		d.printf("Dependencies resolved.\nNothing to do.\nComplete!\n")
		return 0
	}
	if code := d.fetch(todo); code != 0 || d.options.has("downloadonly") {
		return code
	}
	for !d.lock(rpmLock, time.Minute) { // dnf waits for ever
		if d.ctx.Err() != nil {
			return 1
		}
	}
	if err := d.rpmUpgrade(todo); err != nil {
		return d.fail(1, "Error: Transaction failed: %s", reason(err))
	}
	for name, v := range todo {
		d.printf("Upgraded:\n  %s-%s.x86_64\n", name, rpmVersion(v))
	}
	if !strings.EqualFold(d.main["keepcache"], "true") {
		_ = d.removeAll(d.main["cachedir"] + "/kubernetes/packages")
	}
	d.printf("Complete!\n")
	return 0
}

// fetch puts the packages that are not in the cache there.
func (d *dnfRun) fetch(todo map[string]upgrade.Version) int {
	dir := d.main["cachedir"] + "/kubernetes/packages"
	if err := d.mkdirAll(dir, 0o755); err != nil {
		return d.fail(1, "Error: %s", reason(err))
	}
	for name, v := range todo {
		file := dir + "/" + name + "-" + rpmVersion(v) + ".x86_64.rpm"
		if d.exists(file) {
			continue
		}
		if !d.sleep(2 * time.Second) {
			return 1
		}
		if err := d.writeFile(file, []byte("rpm\n"), 0o644); err != nil {
			return d.fail(1, "Error: Error downloading packages:\n  Curl error (23): %s", reason(err))
		}
	}
	return 0
}
