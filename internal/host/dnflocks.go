package host

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// versionlock names the one version of a package that dnf may see. pawl passes over the locks and leaves the file alone,
// until the package has moved: then a lock on the version before follows it, as the package is to stay where it is now.
// Whatever else is locked, by a pattern or to be excluded, stays as it is.

func (d dnf) lockFile() string {
	if d.five {
		return "/etc/dnf/versionlock.toml"
	}
	return "/etc/dnf/plugins/versionlock.list"
}

// recordHolds has nothing to record: where a lock has to go is to be seen from what is installed.
func (dnf) recordHolds(context.Context) error { return nil }

// restoreHolds lets the locks follow the packages.
func (d dnf) restoreHolds(ctx context.Context) error {
	there, err := d.existing(ctx, d.lockFile())
	if err != nil || len(there) == 0 {
		return err
	}
	text, err := d.read(ctx, d.lockFile())
	if err != nil {
		return err
	}
	packages := slices.Concat(kubernetesPackages, dependencies)
	if !slices.ContainsFunc(packages, func(pkg string) bool { return strings.Contains(text, pkg) }) {
		return nil
	}
	have, err := d.installed(ctx, packages)
	if err != nil {
		return err
	}
	moved := text
	for pkg, records := range have {
		if len(records) != 1 {
			continue // cut off: it is not known yet where it will be
		}
		if d.five {
			moved = followTOML(moved, pkg, records[0])
		} else {
			moved = followList(moved, pkg, records[0])
		}
	}
	if moved == text {
		return nil
	}
	return d.write(ctx, d.lockFile(), "644", []byte(moved))
}

// followList moves the lock on one version of a package to evr, in lines like "kubelet-0:1.37.2-150500.1.1.*", as `dnf
// versionlock add` writes them. A package with several is locked to a choice, which is left alone.
func followList(text, pkg, evr string) string {
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(pkg) + `-(?:(\d+:)?)(\d[\w.~+^]*-\w[\w.~+^]*?)(\.\*|\.x86_64|\.aarch64|\.ppc64le|\.s390x|\.noarch)?[ \t]*$`)
	found := line.FindAllStringSubmatchIndex(text, -1)
	if len(found) != 1 {
		return text
	}
	return follow(text, found[0][4], found[0][5], evr)
}

// follow puts evr, without its epoch, in the place of an older version in text[start:end]. A newer one is left alone: it was
// not left behind.
func follow(text string, start, end int, evr string) string {
	if _, after, ok := strings.Cut(evr, ":"); ok {
		evr = after
	}
	if compareRPM(text[start:end], evr) >= 0 {
		return text
	}
	return text[:start] + evr + text[end:]
}

var (
	byEVR     = regexp.MustCompile(`(?m)^\s*key\s*=\s*"evr"`)
	exactly   = regexp.MustCompile(`(?m)^\s*comparator\s*=\s*"="`)
	lockedEVR = regexp.MustCompile(`(?m)^\s*value\s*=\s*"(?:\d+:)?([^"]*)"`)
)

// followTOML does the same in dnf5's file, where a lock on one version is a table [[packages]] with one condition
// (dnf5-versionlock(8)).
func followTOML(text, pkg, evr string) string {
	const table = "[[packages]]"
	parts := strings.SplitAfter(text, table)
	var mine []int
	for i, part := range parts[1:] {
		if regexp.MustCompile(`(?m)^\s*name\s*=\s*"` + regexp.QuoteMeta(pkg) + `"`).MatchString(part) {
			mine = append(mine, i+1)
		}
	}
	if len(mine) != 1 {
		return text
	}
	part := parts[mine[0]]
	if strings.Count(part, "[[packages.conditions]]") != 1 || !byEVR.MatchString(part) || !exactly.MatchString(part) {
		return text
	}
	at := lockedEVR.FindStringSubmatchIndex(part)
	if at == nil {
		return text
	}
	parts[mine[0]] = follow(part, at[2], at[3], evr)
	return strings.Join(parts, "")
}
