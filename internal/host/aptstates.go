package host

import (
	"context"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// states are packages that are not there, not whole, or on hold. While some apt or dpkg is at work they are on their way
// to something else, and nothing is said of them.
func (a apt) states(ctx context.Context) ([]upgrade.Package, upgrade.Version, error) {
	all, err := a.dpkgPackages(ctx)
	if err != nil {
		return nil, upgrade.Version{}, err
	}
	if slices.ContainsFunc(all, dpkgPackage.broken) {
		r, err := a.root(ctx, "pgrep", "-x", "apt|apt-get|aptitude|dpkg|unattended-upgr")
		if err != nil {
			return nil, upgrade.Version{}, err
		}
		if r.ExitCode == 0 {
			all = slices.DeleteFunc(all, dpkgPackage.broken)
			return statesOf(all, nil), kubeletOf(all), nil
		}
		if all, err = a.dpkgPackages(ctx); err != nil { // it may have ended in between
			return nil, upgrade.Version{}, err
		}
	}
	return statesOf(all, kubernetesPackages), kubeletOf(all), nil
}

// dpkgPackage is what dpkg knows of a package.
type dpkgPackage struct{ abbreviation, name, version string }

// dpkgPackages asks dpkg for all packages.
func (a apt) dpkgPackages(ctx context.Context) ([]dpkgPackage, error) {
	argv := []string{"dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n"}
	r, err := a.user(ctx, argv...)
	if err != nil {
		return nil, err
	}
	if r.ExitCode != 0 || r.Cut {
		return nil, fault.New(fault.CommandFailed, "list packages on", a.node, "dpkg-query: "+remote.Tail(r.Stderr), "")
	}
	return parseDpkg(r.Stdout), nil
}

// parseDpkg reads "ii \tkubelet\t1.37.2-1.1": what is wanted, what is, and whether it must be reinstalled (dpkg-query(1),
// db:Status-Abbrev).
func parseDpkg(output string) []dpkgPackage {
	var all []dpkgPackage
	for line := range strings.Lines(output) {
		columns := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(columns) == 3 && len(columns[0]) >= 2 && columns[1] != "" {
			all = append(all, dpkgPackage{columns[0], columns[1], columns[2]})
		}
	}
	return all
}

// state is dpkg's word for it; empty when the package is whole, or not there on purpose. Triggers that are to run are none
// of our business.
func (p dpkgPackage) state() upgrade.PackageState {
	if len(p.abbreviation) > 2 && p.abbreviation[2] == 'R' {
		return upgrade.PackageReinstall
	}
	switch p.abbreviation[1] {
	case 'U':
		return "unpacked"
	case 'F':
		return "half-configured"
	case 'H':
		return "half-installed"
	}
	return ""
}

func (p dpkgPackage) broken() bool { return p.state() != "" }

// there reports whether the package is installed, if not wholly.
func (p dpkgPackage) there() bool { return !strings.ContainsRune("nc", rune(p.abbreviation[1])) }

// statesOf are the packages that are worth a word, in dpkg's order, then those of the wanted ones that are not there.
func statesOf(all []dpkgPackage, wanted []string) []upgrade.Package {
	var found []upgrade.Package
	for _, p := range all {
		switch {
		case p.broken():
			found = append(found, upgrade.Package{Name: p.name, State: p.state(), Version: p.version})
		case p.abbreviation[0] == 'h' && p.there() && slices.Contains(dependencies, p.name):
			found = append(found, upgrade.Package{Name: p.name, State: upgrade.PackageHeld, Version: p.version})
		}
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(p dpkgPackage) bool { return p.name == name && p.there() }) {
			found = append(found, upgrade.Package{Name: name, State: upgrade.PackageAbsent})
		}
	}
	return found
}

// kubeletOf is the version of the kubelet's package, zero when it is not installed.
func kubeletOf(all []dpkgPackage) upgrade.Version {
	i := slices.IndexFunc(all, func(p dpkgPackage) bool { return p.name == upgrade.Kubelet && p.there() && !p.broken() })
	if i < 0 {
		return upgrade.Version{}
	}
	v, _ := upstreamVersion(all[i].version)
	return v
}
