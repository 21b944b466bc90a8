package host

import (
	"context"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// etcdData is kubeadm's default for etcd's data directory.
const etcdData = "/var/lib/etcd"

// Observe looks at the machine and changes nothing on it. What the repositories offer is looked up apart from the
// machine's own package lists; when that fails, Unread says so and the rest of the observation stands.
func (h *Host) Observe(ctx context.Context, repository string, minors []upgrade.Version) (upgrade.Host, error) {
	var seen upgrade.Host
	system, err := h.system(ctx)
	if err != nil {
		return seen, err
	}
	seen.OS = system.id
	packages, unknown := h.packagesOf(ctx, system)
	if fault.Is(unknown, fault.Unreachable, fault.Unauthorized, fault.OutcomeUnknown) {
		return seen, unknown
	}
	if unknown == nil {
		if err := h.on.MayWork(ctx, sudoers.Probe(sudoers.Kind(packages.name()))); err != nil {
			return seen, err
		}
	}
	if seen.FreeBytes, err = h.freeBytes(ctx, "/var/lib"); err != nil {
		return seen, err
	}
	if seen.EtcdBytes, err = h.sizeOf(ctx, etcdData); err != nil {
		return seen, err
	}
	if seen.Kubeadm, err = h.kubeadmVersion(ctx); err != nil {
		return seen, err
	}
	if unknown != nil {
		seen.Problem = unknown.Error()
		return seen, nil
	}
	seen.PackageManager = packages.name()
	if err := h.observeMachine(ctx, packages, &seen); err != nil {
		return seen, err
	}
	for _, v := range minors {
		offered, err := h.available(ctx, packages, repository, v)
		if fault.Is(err, fault.Unreachable, fault.Unauthorized, fault.OutcomeUnknown) {
			return seen, err // of the host, not of the repository
		}
		if err != nil {
			seen.Unread = upgrade.Unread{Minor: v, Problem: err.Error()}
		}
		if len(offered) == 0 {
			break // no way leads past it, so what the next ones have helps nobody
		}
		seen.Available = append(seen.Available, offered...)
	}
	return seen, nil
}

// system reads what the machine runs.
func (h *Host) system(ctx context.Context) (osRelease, error) {
	text, err := h.ask(ctx, "look at", "cat", "/etc/os-release")
	return parseOSRelease(text), err
}

// osRelease is the part of os-release(5) that pawl reads.
type osRelease struct {
	id   string
	like []string // ID_LIKE: what the system is derived from
}

func parseOSRelease(text string) osRelease {
	f := remote.Fields(text)
	return osRelease{id: unquote(f["ID"]), like: strings.Fields(unquote(f["ID_LIKE"]))}
}

// is reports whether the system is, or is derived from, the named one.
func (o osRelease) is(id string) bool { return o.id == id || slices.Contains(o.like, id) }

func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
