package host

import (
	"context"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// rpm is what dnf and zypper have in common: the database of installed packages, and files of repositories.
type rpm struct{ *Host }

// installed are the records of the packages, oldest version first: a package has two while it is being upgraded,
// and for good when that was cut off.
func (r rpm) installed(ctx context.Context, packages []string) (map[string][]string, error) {
	argv := append([]string{"rpm", "--query", "--queryformat", `%{NAME} %{EVR}\n`}, packages...)
	out, err := r.user(ctx, argv...) // the exit code counts those that are not installed
	if err != nil {
		return nil, err
	}
	have := map[string][]string{}
	for line := range strings.Lines(out.Stdout) {
		if f := strings.Fields(line); len(f) == 2 {
			have[f[0]] = append(have[f[0]], f[1])
		}
	}
	if len(have) == 0 && !strings.Contains(out.Stdout, "not installed") {
		return nil, r.failed("list packages", argv, out)
	}
	for _, records := range have {
		slices.SortFunc(records, compareRPM)
	}
	return have, nil
}

// notAt counts a package with two records as not whole.
func (r rpm) notAt(ctx context.Context, v upgrade.Version, packages []string) ([]string, error) {
	have, err := r.installed(ctx, packages)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, pkg := range packages {
		records := have[pkg]
		if len(records) == 1 {
			if installed, ok := upstreamVersion(records[0]); ok && installed == v {
				continue
			}
		}
		if records == nil {
			records = []string{"not installed"}
		}
		missing = append(missing, pkg+" "+strings.Join(records, " and "))
	}
	return missing, nil
}

// repair takes back the newer record of a package that has two: its installation was cut off after its files were put in
// place, perhaps before its scripts ran, and the old one's removal is still to come. A new dnf or zypper sees the newer one
// and does nothing more (seen with dnf 4.14). With the record of the old one alone the installation is done again, whole.
func (r rpm) repair(ctx context.Context, packages []string) error {
	have, err := r.installed(ctx, packages)
	if err != nil {
		return err
	}
	for _, pkg := range packages {
		for _, newer := range have[pkg][min(1, len(have[pkg])):] {
			if _, err := r.must(ctx, "repair packages", "rpm", "--erase", "--justdb", "--noscripts", "--nodeps", pkg+"-"+newer); err != nil {
				return err
			}
		}
	}
	return nil
}

// list are all installed packages, then the files of locks.
func (r rpm) list(ctx context.Context, locks ...string) (string, error) {
	all, err := r.ask(ctx, "list packages", "rpm", "--query", "--all", "--queryformat", `%{NAME} %{EVR} %{ARCH}\n`)
	if err != nil {
		return "", err
	}
	there, err := r.existing(ctx, locks...)
	if err != nil {
		return "", err
	}
	for _, file := range there {
		text, err := r.read(ctx, file)
		if err != nil {
			return "", err
		}
		all += "\n# " + file + "\n" + text
	}
	return all, nil
}

// states are packages that are not there, or that an interrupted installation left behind. While a package manager is at
// work they are on their way to something else, and nothing is said of them.
func (r rpm) states(ctx context.Context) ([]upgrade.Package, upgrade.Version, error) {
	found, kubelet, err := r.look(ctx)
	if err != nil || len(found) == 0 {
		return nil, kubelet, err
	}
	busy, err := r.root(ctx, "pgrep", "-x", "dnf|dnf5|yum|rpm|zypper|packagekitd")
	if err != nil || busy.ExitCode == 0 {
		return nil, kubelet, err
	}
	return r.look(ctx) // it may have ended in between
}

func (r rpm) look(ctx context.Context) ([]upgrade.Package, upgrade.Version, error) {
	have, err := r.installed(ctx, kubernetesPackages)
	if err != nil {
		return nil, upgrade.Version{}, err
	}
	// Digests only: times, modes and owners may be changed on purpose. The exit code counts what differs.
	argv := append([]string{"rpm", "--verify", "--nodeps", "--noscripts", "--nomtime", "--nomode", "--nouser", "--nogroup"}, kubernetesPackages...)
	verified, err := r.root(ctx, argv...)
	if err != nil {
		return nil, upgrade.Version{}, err
	}
	altered := parseVerify(verified.Stdout)
	var found []upgrade.Package
	for _, pkg := range kubernetesPackages {
		records := have[pkg]
		p := upgrade.Package{Name: pkg, Version: strings.Join(records, " and ")}
		switch {
		case len(records) == 0:
			p.State = upgrade.PackageAbsent
		case len(records) > 1:
			p.State = upgrade.PackageTwice
		case slices.Contains(altered, "/usr/bin/"+pkg):
			p.State = upgrade.PackageAltered
		default:
			continue
		}
		found = append(found, p)
	}
	var kubelet upgrade.Version
	if records := have[upgrade.Kubelet]; len(records) == 1 {
		kubelet, _ = upstreamVersion(records[0])
	}
	return found, kubelet, nil
}

// parseVerify finds the files that have another content than their package's, or are missing: "S.5......    /usr/bin/kubelet"
// (rpm(8), verify options). c and other letters before the name mark files that people are meant to edit.
func parseVerify(output string) []string {
	var altered []string
	for line := range strings.Lines(output) {
		f := strings.Fields(line)
		if len(f) == 2 && (f[0] == "missing" || len(f[0]) >= 8 && f[0][2] == '5') {
			altered = append(altered, f[1])
		}
	}
	return altered
}

// rpmLocked are rpm's words when another one is at work.
const rpmLocked = "can't create transaction lock"

// sourceIn finds the machine's entry in the .repo files of a folder.
func (r rpm) sourceIn(ctx context.Context, folder, repository string) (packageSource, error) {
	all, err := r.sourcesIn(ctx, "rpm", parseRepo, []string{"*.repo"}, folder)
	if err != nil {
		return packageSource{}, err
	}
	return r.chooseSource(all, repository, "package repository", "rpm", folder+"/kubernetes.repo")
}

// repositoryIn makes a folder of repositories in dir: the machine's entry with another minor, alone. Nothing is installed
// from there, so no signature is verified either, and no key taken in: that is done when the machine's own entry is used.
func (r rpm) repositoryIn(ctx context.Context, dir string, s packageSource, minor string) (string, error) {
	folder := dir + "/repos.d"
	if _, err := r.must(ctx, "look into the package repository from", "install", "-d", "-m", "755", dir, folder); err != nil {
		return "", err
	}
	text := s.with(s.at(minor), map[string]string{"enabled": "1", "gpgcheck": "0", "repo_gpgcheck": "0", "pkg_gpgcheck": "0", "skip_if_unavailable": "0"})
	return folder, r.write(ctx, folder+"/kubernetes.repo", "600", []byte(text)) // it may have a password
}

// repositoryFault is the fault of a repository that could not be read.
func (r rpm) repositoryFault(op, target string, argv []string, out Result, locked ...string) error {
	said := out.Stdout + "\n" + out.Stderr
	if slices.ContainsFunc(locked, func(words string) bool { return strings.Contains(said, words) }) {
		return fault.New(fault.Conflict, op, target, "another package manager is running: "+remote.Tail(said), "")
	}
	return fault.New(fault.CommandFailed, op, target, strings.Join(argv, " ")+" failed: "+remote.Tail(said),
		"look whether the repository has that minor and can be reached")
}
