package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// candidate is one version of a package that a repository offers.
type candidate struct {
	pkg      string
	full     string // 1.37.2-1.1, as an installation wants it
	upstream upgrade.Version
}

// parseMadison reads what `apt-cache madison` prints: "kubeadm | 1.37.2-1.1 | https://... Packages", newest first.
// Packages with versions that are not Kubernetes versions are passed over.
func parseMadison(output string) []candidate {
	var found []candidate
	for line := range strings.Lines(output) {
		columns := strings.Split(line, "|")
		if len(columns) < 3 {
			continue
		}
		full := strings.TrimSpace(columns[1])
		if v, ok := upstreamVersion(full); ok {
			found = append(found, candidate{pkg: strings.TrimSpace(columns[0]), full: full, upstream: v})
		}
	}
	return found
}

// upstreamVersion is the Kubernetes version of a package's (deb-version(7), rpm-version(7)): without epoch and revision,
// and with '-' instead of '~' before a pre-release.
func upstreamVersion(full string) (upgrade.Version, bool) {
	if _, rest, ok := strings.Cut(full, ":"); ok {
		full = rest
	}
	if i := strings.LastIndexByte(full, '-'); i >= 0 {
		full = full[:i]
	}
	v, err := upgrade.ParseVersion(strings.Replace(full, "~", "-", 1))
	return v, err == nil
}

// pick is the first, that is the newest, package of version v.
func pick(offered []candidate, pkg string, v upgrade.Version) (candidate, bool) {
	i := slices.IndexFunc(offered, func(c candidate) bool { return c.pkg == pkg && c.upstream == v })
	if i < 0 {
		return candidate{}, false
	}
	return offered[i], true
}

// withVersion are packages as arguments of a package manager.
func withVersion(chosen []candidate, between string) []string {
	var all []string
	for _, c := range chosen {
		all = append(all, c.pkg+between+c.full)
	}
	return all
}

// versionsOf are the versions of pkg, oldest first, each once.
func versionsOf(offered []candidate, pkg string) []upgrade.Version {
	var versions []upgrade.Version
	for _, c := range offered {
		if c.pkg == pkg && !slices.Contains(versions, c.upstream) {
			versions = append(versions, c.upstream)
		}
	}
	slices.SortFunc(versions, upgrade.Version.Compare)
	return versions
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
