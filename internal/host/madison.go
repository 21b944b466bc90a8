package host

import (
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// candidate is one version of a package that a repository offers.
type candidate struct {
	pkg      string
	full     string // 1.37.2-1.1, as apt-get install wants it
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

// upstreamVersion is the Kubernetes version of a Debian package version (deb-version(7)): without epoch and Debian
// revision, and with '-' instead of '~' before a pre-release.
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

// pick is the first, that is the newest, package of version v; empty when there is none.
func pick(offered []candidate, pkg string, v upgrade.Version) string {
	for _, c := range offered {
		if c.pkg == pkg && c.upstream == v {
			return c.full
		}
	}
	return ""
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
