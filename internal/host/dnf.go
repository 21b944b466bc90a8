package host

import (
	"context"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// dnf is the package manager of Red Hat's, Fedora and their relatives: dnf 4, or its successor.
type dnf struct {
	rpm
	five bool // dnf5
}

const dnfRepositories = "/etc/yum.repos.d"

func (dnf) name() string { return "dnf" }

func (dnf) files() []string {
	return []string{"/etc/dnf", dnfRepositories, "/etc/yum.conf", "/etc/pki/rpm-gpg"}
}

func (d dnf) listing(ctx context.Context) (string, error) { return d.list(ctx, d.lockFile()) }

func (d dnf) source(ctx context.Context, repository string) (packageSource, error) {
	return d.sourceIn(ctx, dnfRepositories, repository)
}

// isolate makes dnf use the repository in dir, under the machine's name of it, so that packages come into the ordinary cache
// where they will be looked for.
func (d dnf) isolate(ctx context.Context, dir string, s packageSource, v upgrade.Version) (view, error) {
	minor := v.MinorString()
	folder, err := d.repositoryIn(ctx, dir, s, minor)
	if err != nil {
		return view{}, err
	}
	w := view{source: s, dir: dir, options: []string{"--setopt=reposdir=" + folder, "--repo=" + s.id}}
	argv := slices.Concat([]string{"dnf", "makecache", "--refresh"}, w.options, d.cacheIn(dir))
	return w, d.refresh(ctx, "read the package repository", s.base+"/"+minor, argv)
}

// cacheIn keeps a look into a repository out of the machine's cache.
func (d dnf) cacheIn(dir string) []string {
	if d.five {
		return []string{"--setopt=cachedir=" + dir + "/cache", "--setopt=system_cachedir=" + dir + "/cache"}
	}
	return []string{"--setopt=cachedir=" + dir + "/cache"}
}

func (d dnf) switchTo(ctx context.Context, s packageSource, v upgrade.Version) (view, error) {
	if minor := v.MinorString(); s.minor != minor {
		if err := d.rewriteSource(ctx, s, minor); err != nil {
			return view{}, err
		}
	}
	// Only this repository is read, and of the others only those that can be: one that is down must not stop the upgrade.
	argv := []string{"dnf", "makecache", "--refresh", "--assumeyes", "--repo=" + s.id, "--setopt=" + s.id + ".skip_if_unavailable=False"}
	w := view{source: s, options: []string{"--enablerepo=" + s.id, "--setopt=*.skip_if_unavailable=True"}}
	return w, d.refresh(ctx, "read the package repository for", d.node, argv)
}

func (d dnf) refresh(ctx context.Context, op, target string, argv []string) error {
	r, err := d.root(ctx, argv...)
	if err != nil || r.ExitCode == 0 {
		return err
	}
	return d.repositoryFault(op, target, argv[:2], r, rpmLocked)
}

func (d dnf) offered(ctx context.Context, w view, packages []string) ([]candidate, error) {
	argv := slices.Concat([]string{"dnf", "repoquery", "--quiet", "--queryformat=%{name} %{version}-%{release}\\n"}, d.unlocked(w))
	if w.dir != "" {
		argv = append(argv, d.cacheIn(w.dir)...)
	} else {
		argv = append(argv, "--repo="+w.source.id)
	}
	out, err := d.must(ctx, "list available packages", append(argv, packages...)...)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 2 || !slices.Contains(packages, f[0]) {
			continue
		}
		if v, ok := upstreamVersion(f[1]); ok {
			found = append(found, candidate{pkg: f[0], full: f[1], upstream: v})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return compareRPM(b.full, a.full) })
	return found, nil
}

// unlocked are the view's options with those that make dnf see packages that are kept back: by exclude= of the repository or
// of the machine, or by the plugin versionlock. A dnf5 has the latter built in, and lets go of it with all excludes only
// (load_config_excludes_includes of libdnf5). A plugin that is not there is none of dnf's business.
func (d dnf) unlocked(w view) []string {
	if d.five {
		return append(slices.Clone(w.options), "--setopt=disable_excludes=*")
	}
	return append(slices.Clone(w.options), "--setopt=disable_excludes=main,"+w.source.id, "--disableplugin=versionlock")
}

func (d dnf) fetch(w view, chosen []candidate) remote.Job {
	argv := []string{"dnf", "install", "--assumeyes", "--downloadonly", dnfKeeps, "--setopt=install_weak_deps=False"}
	return remote.Job{Argv: slices.Concat(argv, d.unlocked(w), withVersion(chosen, "-"))}
}

// dnfKeeps keeps the other packages in the cache when one has been installed: dnf empties it after each transaction.
const dnfKeeps = "--setopt=keepcache=True"

func (d dnf) install(w view, chosen []candidate) remote.Job {
	argv := []string{"dnf", "install", "--assumeyes", dnfKeeps, "--setopt=install_weak_deps=False"}
	return remote.Job{Argv: slices.Concat(argv, d.unlocked(w), withVersion(chosen, "-"))}
}

func (d dnf) outcome(op string, end remote.Ending) error {
	return d.jobFailed("dnf", op, end, rpmLocked)
}
