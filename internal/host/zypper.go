package host

import (
	"context"
	"encoding/xml"
	"path"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// zypper is the package manager of SUSE's systems.
type zypper struct{ rpm }

const (
	zypperRepositories = "/etc/zypp/repos.d"
	zypperLocks        = "/etc/zypp/locks"
	zypperPackages     = "/var/cache/zypp/packages"
	// zypperFolder holds the configuration that an installation works with.
	zypperFolder = "/run/pawl/zypper"
	// zypperWaits makes zypper wait for another one, or for PackageKit, instead of failing.
	zypperWaits = "ZYPP_LOCK_TIMEOUT=300"
	// zypperLocked are its words when it has waited for too long.
	zypperLocked = "System management is locked"
	// zypperNothing is its exit code when it finds no package of that name (zypper(8), ZYPPER_EXIT_INF_CAP_NOT_FOUND).
	zypperNothing = 104
)

func (zypper) name() string { return "zypper" }

func (zypper) files() []string { return []string{"/etc/zypp", "/etc/pki/rpm-gpg"} }

func (z zypper) listing(ctx context.Context) (string, error) { return z.list(ctx, zypperLocks) }

// source passes over a repository that is switched off: zypper installs nothing from it.
func (z zypper) source(ctx context.Context, repository string) (packageSource, error) {
	all, err := z.sourcesIn(ctx, "rpm", parseRepo, []string{"*.repo"}, zypperRepositories)
	if err != nil {
		return packageSource{}, err
	}
	all = slices.DeleteFunc(all, func(s packageSource) bool { return !s.enabled() })
	return z.chooseSource(all, repository, "package repository", "rpm", zypperRepositories+"/kubernetes.repo")
}

// isolate makes zypper use repositories and caches in dir, but for the packages themselves, which are in the ordinary cache
// under the machine's name of the repository.
func (z zypper) isolate(ctx context.Context, dir string, s packageSource, v upgrade.Version) (view, error) {
	minor := v.MinorString()
	repositories, err := z.repositoryIn(ctx, dir, s, minor)
	if err != nil {
		return view{}, err
	}
	env, err := z.unlock(ctx, dir)
	if err != nil {
		return view{}, err
	}
	w := view{source: s, dir: dir, env: env, options: []string{"--reposd-dir", repositories, "--cache-dir", dir + "/cache", "--pkg-cache-dir", zypperPackages}}
	return w, z.refresh(ctx, "read the package repository", s.base+"/"+minor, w)
}

// switchTo takes in the signing key that the repository has now, as keys expire.
func (z zypper) switchTo(ctx context.Context, s packageSource, v upgrade.Version) (view, error) {
	if minor := v.MinorString(); s.minor != minor {
		if err := z.rewriteSource(ctx, s, minor); err != nil {
			return view{}, err
		}
	}
	if _, err := z.must(ctx, "make a folder", "install", "-d", "-m", "755", "/run/pawl", zypperFolder); err != nil {
		return view{}, err
	}
	env, err := z.unlock(ctx, zypperFolder)
	if err != nil {
		return view{}, err
	}
	// Only this repository is read: another one that is down must not stop the upgrade.
	w := view{source: s, env: env}
	return w, z.refresh(ctx, "read the package repository for", z.node, w, "--gpg-auto-import-keys")
}

func (z zypper) refresh(ctx context.Context, op, target string, w view, options ...string) error {
	argv := slices.Concat(z.command(w), options, w.options, []string{"refresh", "--force", "--repo", w.source.id})
	r, err := z.root(ctx, argv...)
	if err != nil || r.ExitCode == 0 {
		return err
	}
	return z.repositoryFault(op, target, []string{"zypper", "refresh"}, r, zypperLocked)
}

// command begins a command line. Options for all of zypper stand before the command's name.
func (z zypper) command(w view) []string {
	return slices.Concat([]string{"env", zypperWaits}, w.env, []string{"zypper", "--non-interactive"})
}

// searchResult is what `zypper --xmlout search` prints.
type searchResult struct {
	Found []struct {
		Name    string `xml:"name,attr"`
		Edition string `xml:"edition,attr"`
	} `xml:"search-result>solvable-list>solvable"`
}

func (z zypper) offered(ctx context.Context, w view, packages []string) ([]candidate, error) {
	argv := slices.Concat(z.command(w), []string{"--no-refresh", "--xmlout"}, w.options,
		[]string{"search", "--details", "--match-exact", "--type", "package", "--repo", w.source.id}, packages)
	r, err := z.root(ctx, argv...)
	if err != nil {
		return nil, err
	}
	var result searchResult
	switch parseErr := xml.Unmarshal([]byte(r.Stdout), &result); {
	case r.ExitCode == zypperNothing:
		return nil, nil
	case r.ExitCode != 0 || r.Cut:
		return nil, z.failed("list available packages", []string{"zypper search"}, r)
	case parseErr != nil:
		return nil, fault.Wrap(fault.CommandFailed, "list available packages on", z.node, parseErr, "")
	}
	var found []candidate
	for _, f := range result.Found {
		if v, ok := upstreamVersion(f.Edition); ok {
			found = append(found, candidate{pkg: f.Name, full: f.Edition, upstream: v})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return compareRPM(b.full, a.full) })
	return found, nil
}

func (z zypper) fetch(w view, chosen []candidate) remote.Job {
	return z.job(w, chosen, "--download-only")
}

// install goes without reading the other repositories again, as some may be down.
func (z zypper) install(w view, chosen []candidate) remote.Job { return z.job(w, chosen) }

func (z zypper) job(w view, chosen []candidate, options ...string) remote.Job {
	argv := slices.Concat([]string{"zypper", "--non-interactive", "--no-refresh"}, w.options, []string{"install", "--no-recommends"}, options)
	return remote.Job{Argv: append(argv, withVersion(chosen, "=")...), Env: append([]string{zypperWaits}, w.env...)}
}

// zypperSucceeded are exit codes with news: a reboot is suggested, zypper itself was renewed, another repository was passed
// over as it could not be read (zypper(8), exit codes).
var zypperSucceeded = []string{"102", "103", "106"}

func (z zypper) outcome(op string, end remote.Ending) error {
	if status, ok := strings.CutPrefix(end.Failure, "exit-code, status "); ok && slices.Contains(zypperSucceeded, status) {
		return nil
	}
	return z.jobFailed("zypper", op, end, zypperLocked, rpmLocked)
}

// unlock makes, in dir, a copy of zypper's configuration that names other locks: the machine's, without those on the
// packages that are to be installed, as zypper has no option to pass over them (seen with 1.14). The machine's own stay as
// they are. It returns the environment in which zypper uses it.
func (z zypper) unlock(ctx context.Context, dir string) ([]string, error) {
	const op = "pass over locks on"
	there, err := z.existing(ctx, zypperLocks, "/etc/zypp/zypp.conf", "/usr/etc/zypp/zypp.conf")
	if err != nil || !slices.Contains(there, zypperLocks) {
		return nil, err
	}
	locks, err := z.read(ctx, zypperLocks)
	if err != nil {
		return nil, err
	}
	kept := withoutLocks(locks, kubernetesPackages)
	if kept == locks {
		return nil, nil
	}
	if err := z.write(ctx, dir+"/locks", "644", []byte(kept)); err != nil {
		return nil, err
	}
	// By commands that can write nothing else into it, as it also says whose packages are trusted. A key that stands twice
	// counts as it stands last. Where there is none, one is made of a file that there is: of its first line.
	from, edits := there[0], []string{"$alocksfile.path=" + dir + "/locks", "1!d", "s|.*|[main]|g"}
	if i := slices.IndexFunc(there, func(file string) bool { return file != zypperLocks }); i >= 0 {
		from, edits = there[i], []string{"$a[main]", "$alocksfile.path=" + dir + "/locks"}
	}
	conf := dir + "/zypp.conf"
	return []string{"ZYPP_CONF=" + conf}, z.edit(ctx, op, from, conf, "--no-preserve=all", edits...)
}

// recordHolds has nothing to record: the machine's locks are not touched.
func (zypper) recordHolds(context.Context) error { return nil }

// restoreHolds removes the configuration without locks.
func (z zypper) restoreHolds(ctx context.Context) error {
	there, err := z.exists(ctx, zypperFolder)
	if err == nil && there {
		z.remove(ctx, zypperFolder)
	}
	return err
}

// states adds locks on what the packages depend on, which stay in force.
func (z zypper) states(ctx context.Context) ([]upgrade.Package, upgrade.Version, error) {
	found, kubelet, err := z.rpm.states(ctx)
	if err != nil {
		return found, kubelet, err
	}
	there, err := z.existing(ctx, zypperLocks)
	if err != nil || len(there) == 0 {
		return found, kubelet, err
	}
	locks, err := z.read(ctx, zypperLocks)
	if err != nil {
		return found, kubelet, err
	}
	have, err := z.installed(ctx, dependencies)
	if err != nil {
		return found, kubelet, err
	}
	left := withoutLocks(locks, kubernetesPackages)
	for _, pkg := range dependencies {
		if records := have[pkg]; len(records) == 1 && withoutLocks(left, []string{pkg}) != left {
			found = append(found, upgrade.Package{Name: pkg, State: upgrade.PackageHeld, Version: records[0]})
		}
	}
	return found, kubelet, nil
}

// withoutLocks takes the locks on any of the packages out of zypper's file of them: paragraphs of "key: value".
func withoutLocks(locks string, packages []string) string {
	paragraphs := stanzaEnds.Split(locks, -1)
	kept := slices.DeleteFunc(slices.Clone(paragraphs), func(paragraph string) bool {
		return slices.ContainsFunc(packages, func(pkg string) bool { return lockNames(paragraph, pkg) })
	})
	if len(kept) == len(paragraphs) {
		return locks
	}
	return strings.Join(kept, "\n\n")
}

// lockNames reports whether the lock's pattern is one of names and fits pkg.
func lockNames(paragraph, pkg string) bool {
	for line := range strings.Lines(paragraph) {
		key, pattern, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.TrimSpace(key) != "solvable_name" {
			continue
		}
		if fits, err := path.Match(strings.TrimSpace(pattern), pkg); err == nil && fits {
			return true
		}
	}
	return false
}
