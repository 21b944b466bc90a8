package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// addonOrder is in which order add-ons are updated: what pods need to find each other first, then their network, then
// their storage. The others follow by name.
var addonOrder = []string{"coredns", "vpc-cni", "aws-ebs-csi-driver", "aws-efs-csi-driver", "aws-fsx-csi-driver", "aws-mountpoint-s3-csi-driver", "snapshot-controller"}

// AddonMove is an add-on that goes to another version.
type AddonMove struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// rank is an add-on's place in the order.
func rank(name string) int {
	if i := slices.Index(addonOrder, name); i >= 0 {
		return i
	}
	return len(addonOrder)
}

func sortedAddons(addons []ManagedAddon) []ManagedAddon {
	return slices.SortedFunc(slices.Values(addons), func(a, b ManagedAddon) int {
		return cmp.Or(cmp.Compare(rank(a.Name), rank(b.Name)), strings.Compare(a.Name, b.Name))
	})
}

func sortedGroups(groups []NodeGroup) []NodeGroup {
	return slices.SortedFunc(slices.Values(groups), func(a, b NodeGroup) int { return strings.Compare(a.Name, b.Name) })
}

// compareAddon compares two versions of an add-on. ok is false where one of them is no semantic version.
func compareAddon(a, b string) (order int, ok bool) {
	v, err := semver.NewVersion(a)
	if err != nil {
		return 0, false
	}
	w, err := semver.NewVersion(b)
	if err != nil {
		return 0, false
	}
	return v.Compare(w), true
}

// good reports whether the version is for all these minors.
func (v ManagedAddonVersion) good(minors ...Version) bool {
	for _, m := range minors {
		if !slices.ContainsFunc(v.For, m.SameMinor) {
			return false
		}
	}
	return true
}

// installed is the version that runs, with the minors that it is good for.
func (a ManagedAddon) installed() ManagedAddonVersion {
	for _, v := range a.Versions {
		if v.Version == a.Version {
			return v
		}
	}
	return ManagedAddonVersion{Version: a.Version}
}

// choose is the version that is good for all the minors: the recommended one for the last of them, else the newest. An add-on
// never goes back, nor to a version that cannot be compared with its own, unless that is recommended.
func (a ManagedAddon) choose(minors ...Version) (string, bool) {
	last, newest := minors[len(minors)-1], ""
	for _, v := range a.Versions {
		order, known := compareAddon(v.Version, a.Version)
		if !v.good(minors...) || known && order < 0 {
			continue
		}
		if slices.ContainsFunc(v.DefaultFor, last.SameMinor) {
			return v.Version, true
		}
		if !known {
			continue
		}
		if order, _ := compareAddon(v.Version, cmp.Or(newest, a.Version)); newest == "" || order > 0 {
			newest = v.Version
		}
	}
	return newest, newest != ""
}

// Choices are the versions among which a plan chooses, newest first: the installed one, those that the provider recommends, and
// of those that are for the same minors the newest.
func (a ManagedAddon) Choices() []ManagedAddonVersion {
	sorted := slices.SortedStableFunc(slices.Values(a.Versions), func(v, w ManagedAddonVersion) int {
		order, _ := compareAddon(w.Version, v.Version)
		return order
	})
	var kept []ManagedAddonVersion
	for _, v := range sorted {
		order, known := compareAddon(v.Version, a.Version)
		same := slices.ContainsFunc(kept, func(k ManagedAddonVersion) bool { return slices.Equal(k.For, v.For) })
		if v.Version == a.Version || (!known || order >= 0) && (len(v.DefaultFor) > 0 || !same) {
			kept = append(kept, v)
		}
	}
	return kept
}

// AddonsBefore are the add-ons to update before the control plane goes to the next minor, in order: those whose version is
// not good for it go to one that is good for both, so that either control plane finds what it works with. kube-proxy is
// not among them: it may be older than the API server, never newer.
// Source: https://kubernetes.io/releases/version-skew-policy/#kube-proxy
func (m Managed) AddonsBefore(next Version) ([]AddonMove, []Finding) {
	var moves []AddonMove
	var found []Finding
	for _, a := range sortedAddons(m.Addons) {
		if a.Name == KubeProxy || len(a.Versions) == 0 || a.installed().good(next) {
			continue
		}
		to, ok := a.choose(m.Version, next)
		if !ok {
			found = append(found, Finding{ID: AddonIncompatible, Severity: SeverityError, Target: a.Name,
				Message: fmt.Sprintf("%s is not for %s, and no later version is for %s and %s", a.Version, next.MinorString(), m.Version.MinorString(), next.MinorString()),
				Remedy:  "ask its publisher, or remove the add-on", Source: addonPolicy})
			continue
		}
		moves = append(moves, AddonMove{a.Name, a.Version, to})
	}
	return moves, found
}

// KubeProxyAfter is kube-proxy's move once the control plane is at a minor, and before the nodes follow.
func (m Managed) KubeProxyAfter(to Version) []AddonMove {
	for _, a := range m.Addons {
		if a.Name != KubeProxy {
			continue
		}
		if v, err := ParseVersion(a.Version); err == nil && v.MinorsBehind(to) <= 0 {
			return nil
		}
		if next, ok := a.choose(to); ok && next != a.Version {
			return []AddonMove{{a.Name, a.Version, next}}
		}
	}
	return nil
}

// AddonsAfter are the other add-ons to update when the nodes are at the last minor, in order: to the versions that the
// provider recommends for it, where these are later.
func (m Managed) AddonsAfter(to Version) []AddonMove {
	var moves []AddonMove
	for _, a := range sortedAddons(m.Addons) {
		if a.Name == KubeProxy {
			continue
		}
		for _, v := range a.Versions {
			order, known := compareAddon(v.Version, a.Version)
			if v.good(to) && slices.ContainsFunc(v.DefaultFor, to.SameMinor) && known && order > 0 {
				moves = append(moves, AddonMove{a.Name, a.Version, v.Version})
				break
			}
		}
	}
	return moves
}

// WithAddons is m after the moves.
func (m Managed) WithAddons(moves []AddonMove) Managed {
	m.Addons = slices.Clone(m.Addons)
	for i := range m.Addons {
		for _, move := range moves {
			if m.Addons[i].Name == move.Name {
				m.Addons[i].Version = move.To
			}
		}
	}
	return m
}
