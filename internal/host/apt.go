package host

import (
	"context"
	"slices"
	"strings"

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
	versions, err := a.ask(ctx, "list packages", "dpkg-query", "-W", "-f", "${binary:Package} ${Version} ${db:Status-Abbrev}\n")
	if err != nil {
		return "", err
	}
	held, err := a.ask(ctx, "list holds", "apt-mark", "showhold")
	if err != nil {
		return "", err
	}
	return versions + "\n# on hold\n" + held, nil
}

// lockTimeout makes apt wait for another apt, such as unattended-upgrades, instead of failing (apt 1.9.11 and later).
const lockTimeout = "DPkg::Lock::Timeout=300"

// fetch leaves the machine's own lists alone. Holds are of no interest to an apt that only downloads.
func (apt) fetch(w view, chosen []candidate) remote.Job {
	argv := []string{"apt-get", "install", "--yes", "--download-only", "--allow-change-held-packages", "-o", lockTimeout}
	return remote.Job{Argv: slices.Concat(argv, w.options, withVersion(chosen, "="))}
}

func (apt) install(w view, chosen []candidate) remote.Job {
	argv := []string{"apt-get", "install", "--yes", "--allow-change-held-packages", "--no-remove", "--no-install-recommends",
		"-o", lockTimeout, "-o", "Dpkg::Options::=--force-confold"}
	return remote.Job{Argv: slices.Concat(argv, w.options, withVersion(chosen, "="))}
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
func (a apt) repair(ctx context.Context, _ []string) error {
	const op, unit = "repair packages", "pawl-dpkg-configure"
	if end, found, err := a.on.AwaitJob(ctx, remote.Job{Unit: unit}); err != nil || found && end.Failure != "" {
		return firstError(err, a.outcome(op, end))
	}
	states, err := a.ask(ctx, op, "dpkg-query", "-W", "-f", "${db:Status-Status}\n")
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
	return firstError(err, a.outcome(op, end))
}

func (a apt) offered(ctx context.Context, w view, packages []string) ([]candidate, error) {
	out, err := a.must(ctx, "list available packages", slices.Concat([]string{"apt-cache", "madison"}, w.options, packages)...)
	return parseMadison(out), err
}

// outcome also knows the words of apt that gave up waiting, and of dpkg, which never waits.
func (a apt) outcome(op string, end remote.Ending) error {
	return a.jobFailed("apt", op, end, "Could not get lock", "lock was locked by another process")
}
