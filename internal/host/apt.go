package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// apt is the package manager of Debian and its relatives.
type apt struct{ *Host }

func (apt) name() string { return "apt" }

func (apt) files() []string {
	return []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/preferences.d"}
}

func (a apt) listing(ctx context.Context) (string, error) {
	versions, err := a.must(ctx, "list packages", "dpkg-query", "-W", "-f", "${binary:Package} ${Version} ${db:Status-Abbrev}\n")
	if err != nil {
		return "", err
	}
	held, err := a.must(ctx, "list holds", "apt-mark", "showhold")
	if err != nil {
		return "", err
	}
	return versions + "\n# on hold\n" + held, nil
}

// available looks into the repository of v's minor with package lists of its own.
func (a apt) available(ctx context.Context, repository string, v upgrade.Version) ([]upgrade.Version, error) {
	s, err := a.source(ctx, repository)
	if err != nil {
		return nil, err
	}
	if _, err := a.must(ctx, "make a folder", "install", "-d", "-m", "755", "/run/pawl"); err != nil {
		return nil, err
	}
	made, err := a.must(ctx, "make a folder", "mktemp", "-d", "/run/pawl/look.XXXXXXXX")
	if err != nil {
		return nil, err
	}
	dir := strings.TrimSpace(made)
	defer a.remove(ctx, dir)
	options, err := a.isolate(ctx, dir, s, v)
	if err != nil {
		return nil, err
	}
	offered, err := a.offered(ctx, options, []string{"kubeadm"})
	if err != nil {
		return nil, err
	}
	versions := versionsOf(offered, "kubeadm")
	return slices.DeleteFunc(versions, func(w upgrade.Version) bool { return !w.SameMinor(v) }), nil
}

// download fetches the packages into apt's ordinary cache, so that install finds them there, with package lists of
// its own, so that the machine goes on seeing its present repository until its turn comes.
func (a apt) download(ctx context.Context, repository string, v upgrade.Version, packages []string) error {
	unit := "pawl-apt-download-" + v.String()
	dir := "/run/pawl/" + unit
	const op = "download packages"
	end, found, err := a.on.AwaitJob(ctx, remote.Job{Unit: unit})
	if err != nil {
		return err
	}
	if !found {
		argv, err := a.prepareDownload(ctx, dir, repository, v, packages)
		if err != nil {
			a.remove(ctx, dir)
			return err
		}
		if end, err = a.on.RunJob(ctx, remote.Job{Unit: unit, Argv: argv}); err != nil {
			return err // perhaps it runs, and needs the folder
		}
	}
	a.remove(ctx, dir)
	return a.aptFault(op, end)
}

// prepareDownload makes the package lists in dir and returns the command that fetches the packages.
func (a apt) prepareDownload(ctx context.Context, dir, repository string, v upgrade.Version, packages []string) ([]string, error) {
	s, err := a.source(ctx, repository)
	if err != nil {
		return nil, err
	}
	if _, err := a.must(ctx, "make a folder", "install", "-d", "-m", "755", "/run/pawl", dir); err != nil {
		return nil, err
	}
	options, err := a.isolate(ctx, dir, s, v)
	if err != nil {
		return nil, err
	}
	wanted, err := a.wanted(ctx, options, v, packages)
	if err != nil {
		return nil, err
	}
	argv := []string{"apt-get", "install", "--yes", "--download-only", "--allow-change-held-packages", "-o", lockTimeout}
	return append(append(argv, options...), wanted...), nil
}

// lockTimeout makes apt wait for another apt, such as unattended-upgrades, instead of failing (apt 1.9.11 and later).
const lockTimeout = "DPkg::Lock::Timeout=300"

// install brings the packages to v.
func (a apt) install(ctx context.Context, repository string, v upgrade.Version, packages []string) error {
	op := "install " + strings.Join(packages, ", ") + " " + v.String()
	unit := "pawl-apt-install-" + strings.Join(packages, "-") + "-" + v.String()
	// Before all else: an apt that an earlier run started must be left alone until it ends.
	end, found, err := a.on.AwaitJob(ctx, remote.Job{Unit: unit})
	if err != nil {
		return err
	}
	if err := a.restoreHolds(ctx); err != nil {
		return err
	}
	if found && end.Failure != "" {
		return a.aptFault(op, end)
	}
	if missing, err := a.notAt(ctx, v, packages); err != nil || len(missing) == 0 {
		return err
	}
	if err := a.repair(ctx); err != nil {
		return err
	}
	if err := a.switchRepository(ctx, repository, v); err != nil {
		return err
	}
	wanted, err := a.wanted(ctx, nil, v, packages)
	if err != nil {
		return err
	}
	if err := a.recordHolds(ctx); err != nil {
		return err
	}
	argv := []string{"apt-get", "install", "--yes", "--allow-change-held-packages", "--no-remove", "--no-install-recommends",
		"-o", lockTimeout, "-o", "Dpkg::Options::=--force-confold"}
	if end, err = a.on.RunJob(ctx, remote.Job{Unit: unit, Argv: append(argv, wanted...)}); err != nil {
		return err
	}
	restored := a.restoreHolds(ctx) // also when apt has failed
	if err := firstError(a.aptFault(op, end), restored); err != nil {
		return err
	}
	missing, err := a.notAt(ctx, v, packages)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fault.New(fault.VerificationFailed, op+" on", a.node, "apt succeeded, but there is "+strings.Join(missing, ", "), "")
	}
	return nil
}

// notAt describes those of the packages that are not installed, whole and configured, at v.
func (a apt) notAt(ctx context.Context, v upgrade.Version, packages []string) ([]string, error) {
	argv := append([]string{"dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\n"}, packages...)
	r, err := a.user(ctx, argv...) // exit code 1 when one of them is not known at all
	if err != nil {
		return nil, err
	}
	have := map[string][]string{}
	for line := range strings.Lines(r.Stdout) {
		if f := strings.Fields(line); len(f) >= 2 {
			have[f[0]] = f[1:]
		}
	}
	var missing []string
	for _, pkg := range packages {
		state := have[pkg]
		if len(state) == 2 && state[0] == "installed" {
			if installed, ok := upstreamVersion(state[1]); ok && installed == v {
				continue
			}
		}
		if state == nil {
			state = []string{"not installed"}
		}
		missing = append(missing, pkg+" "+strings.Join(state, " "))
	}
	return missing, nil
}

// repair completes what an interrupted dpkg left behind: packages that are unpacked but not configured, or a journal
// in /var/lib/dpkg/updates (dpkg(1), --configure; apt refuses to work until then).
func (a apt) repair(ctx context.Context) error {
	const op, unit = "repair packages", "pawl-dpkg-configure"
	if end, found, err := a.on.AwaitJob(ctx, remote.Job{Unit: unit}); err != nil || found && end.Failure != "" {
		return firstError(err, a.aptFault(op, end))
	}
	states, err := a.must(ctx, op, "dpkg-query", "-W", "-f", "${db:Status-Status}\n")
	if err != nil {
		return err
	}
	journal, err := a.must(ctx, op, "find", "/var/lib/dpkg/updates", "-type", "f", "-name", "[0-9]*")
	if err != nil {
		return err
	}
	broken := strings.TrimSpace(journal) != ""
	for _, state := range strings.Fields(states) {
		switch state {
		case "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
			broken = true
		}
	}
	if !broken {
		return nil
	}
	end, err := a.on.RunJob(ctx, remote.Job{Unit: unit, Argv: []string{"dpkg", "--force-confold", "--configure", "-a"}})
	return firstError(err, a.aptFault(op, end))
}

// wanted are the packages as "name=version" with the Debian revision that the repository has.
func (a apt) wanted(ctx context.Context, options []string, v upgrade.Version, packages []string) ([]string, error) {
	offered, err := a.offered(ctx, options, packages)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, pkg := range packages {
		full := pick(offered, pkg, v)
		if full == "" {
			return nil, fault.New(fault.PreflightFailed, "find "+pkg+" "+v.String()+" for", a.node,
				"the package repository has "+listVersions(versionsOf(offered, pkg)),
				"name one of these as the target, or wait until the mirror has it")
		}
		wanted = append(wanted, pkg+"="+full)
	}
	return wanted, nil
}

func (a apt) offered(ctx context.Context, options, packages []string) ([]candidate, error) {
	argv := append(append([]string{"apt-cache", "madison"}, options...), packages...)
	out, err := a.must(ctx, "list available packages", argv...)
	return parseMadison(out), err
}

// aptFault is the fault of a job of apt or dpkg that failed, nil when it did not.
func (a apt) aptFault(op string, end remote.Ending) error {
	if end.Failure == "" {
		return nil
	}
	// apt gave up waiting, or dpkg, which never waits, was called: somebody else is busy with it.
	if strings.Contains(end.Output, "Could not get lock") || strings.Contains(end.Output, "lock was locked by another process") {
		return fault.New(fault.Conflict, op+" on", a.node, "another package manager is running: "+remote.Tail(end.Output), "")
	}
	return fault.New(fault.CommandFailed, op+" on", a.node, "apt failed ("+end.Failure+"): "+remote.Tail(end.Output), "")
}

// remove removes a temporary folder, also when ctx has ended.
func (h *Host) remove(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = h.root(ctx, "rm", "-rf", dir) // under /run: gone at the next boot at the latest
}

func listVersions(versions []upgrade.Version) string {
	if len(versions) == 0 {
		return "no version of it"
	}
	var names []string
	for _, v := range versions {
		names = append(names, v.String())
	}
	const most = 12
	if n := len(names); n > most {
		return fmt.Sprintf("%d versions, the newest of them %s", n, strings.Join(names[n-most:], ", "))
	}
	return strings.Join(names, ", ")
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
