package upgrade

import (
	"fmt"
	"strconv"
	"strings"
)

// Policy names the version that a cluster is to have by a rule, where no person names one. It is applied to what the
// package repositories offer to all nodes. The zero value is no policy.
type Policy struct {
	rule string // newestPatchRule or newestMinorRule; "" is no policy
	less int    // how many minors behind the newest
}

const (
	newestPatchRule = "newest-patch"
	newestMinorRule = "newest-minor"
	lessInfix       = "-less-"
)

// Policies are how policies are written, for help texts.
const Policies = "newest-patch, newest-minor or newest-minor-less-1"

// ParsePolicy reads a policy:
//
//	newest-patch         the newest patch of the minor that the cluster has
//	newest-minor         the newest patch of the newest minor
//	newest-minor-less-1  the newest patch of the minor before the newest; so too with other numbers
func ParsePolicy(s string) (Policy, error) {
	switch s {
	case newestPatchRule, newestMinorRule:
		return Policy{rule: s}, nil
	}
	if number, ok := strings.CutPrefix(s, newestMinorRule+lessInfix); ok {
		if less, err := strconv.Atoi(number); err == nil && less > 0 && less <= mostMinors && strconv.Itoa(less) == number {
			return Policy{rule: newestMinorRule, less: less}, nil
		}
	}
	return Policy{}, fmt.Errorf("%q is not a policy, wanted %s", s, Policies)
}

// IsZero reports whether it is no policy.
func (p Policy) IsZero() bool { return p == Policy{} }

// FollowsMinors reports whether the policy may lead to another minor than the cluster has.
func (p Policy) FollowsMinors() bool { return p.rule == newestMinorRule }

// String writes the policy as ParsePolicy reads it, and "" for none.
func (p Policy) String() string {
	if p.less == 0 {
		return p.rule
	}
	return p.rule + lessInfix + strconv.Itoa(p.less)
}

// MarshalText implements encoding.TextMarshaler.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. An empty text is no policy.
func (p *Policy) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Policy{}
		return nil
	}
	parsed, err := ParsePolicy(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// LookUpTo is the version up to whose minor the package repositories have to be looked into.
func (w Wanted) LookUpTo(c Cluster) Version {
	switch {
	case w.Policy.IsZero():
		return w.Target
	case w.Policy.FollowsMinors():
		return Farthest(c)
	}
	return newestControlPlane(c)
}

// choose is the version that the policy wants of the cluster, and a finding that says why, or findings that say what is
// in the way of an answer. It never goes back: a cluster that is ahead of the policy stays on its minor. An upgrade to a
// newer minor that was begun is finished first.
func (p Policy) choose(c Cluster) (Version, []Finding) {
	from := newestControlPlane(c)
	wanted, why := from, ""
	switch {
	case !from.SameMinor(Oldest(c)):
		why = fmt.Sprintf("an upgrade to %s was begun and is finished first; ", from.MinorString())
	case p.FollowsMinors():
		newest, lacking := newestMinor(c.Nodes, from)
		why = fmt.Sprintf("the newest minor that all nodes are offered is %s", newest.MinorString())
		if len(lacking) > 0 {
			why += fmt.Sprintf(" (%s is not offered to %s)", newest.nextMinor().MinorString(), strings.Join(lacking, ", "))
		}
		why += "; "
		if int(newest.minor)-p.less > int(from.minor) {
			wanted = Version{major: newest.major, minor: newest.minor - uint64(p.less)}
		}
	}
	if found := unoffered(c.Nodes, wanted); len(found) > 0 {
		return from, found
	}
	target := newestPatch(c.Nodes, wanted)
	for _, n := range c.Nodes {
		if lacks(n, target) {
			return target, nil // the plan says which packages are missing where
		}
	}
	message := fmt.Sprintf("%s: %s%s is the newest release of %s that all nodes are offered", p, why, target, target.MinorString())
	if newer, lacking := newerThan(c.Nodes, target); len(lacking) > 0 {
		message += fmt.Sprintf("; %s is not offered to %s", newer, strings.Join(lacking, ", "))
	}
	return target, []Finding{{ID: ChosenByPolicy, Severity: SeverityInfo, Message: message}}
}

// newestControlPlane is the newest version that a control plane of mixed versions has: where an upgrade was begun.
// Kubelets and packages do not count: somebody may have installed one by mistake.
func newestControlPlane(c Cluster) Version {
	var newest Version
	for _, n := range c.Nodes {
		for _, component := range ControlPlaneComponents {
			if v := n.Components[component]; newest.Less(v) {
				newest = v
			}
		}
	}
	if newest.IsZero() {
		return c.Version
	}
	return newest
}

// newestMinor is the newest minor that can be reached from a version with a release for all nodes at every minor on the
// way, by such a release; and the nodes which lack the next one, where others are offered it.
func newestMinor(nodes []Node, from Version) (newest Version, lacking []string) {
	for newest = from; ; {
		next := newestPatch(nodes, newest.nextMinor())
		offered := false
		for _, n := range nodes {
			switch {
			case lacks(n, next):
				lacking = append(lacking, n.Name)
			case len(n.Host.offered(next)) > 0:
				offered = true
			}
		}
		switch {
		case !offered:
			return newest, nil // nobody has it
		case len(lacking) > 0:
			return newest, lacking
		}
		newest = next
	}
}

// newerThan is the newest release of a version's minor that any node is offered, and who is not offered it, where it is
// newer than that version.
func newerThan(nodes []Node, v Version) (newest Version, lacking []string) {
	newest = v
	for _, n := range nodes {
		for _, w := range n.Host.offered(v) {
			if w.pre == "" && newest.Less(w) {
				newest = w
			}
		}
	}
	for _, n := range nodes {
		if newest != v && lacks(n, newest) {
			lacking = append(lacking, n.Name)
		}
	}
	return newest, lacking
}

// unoffered finds nodes that are offered nothing of a version's minor. That a cluster has its newest patch cannot be said
// then, even where all nodes are at one version.
func unoffered(nodes []Node, v Version) []Finding {
	var found []Finding
	for _, n := range nodes {
		switch {
		case n.Host.Problem != "" || n.Host.PackageManager == "" || len(n.Host.offered(v)) > 0:
		case n.Host.Unread.Minor.SameMinor(v) && n.Host.Unread.Problem != "":
			found = append(found, failure(Repository, n.Name, n.Host.Unread.Problem, ""))
		default:
			found = append(found, failure(PackageMissing, n.Name, fmt.Sprintf("its package repository has no release of %s", v.MinorString()),
				"update the mirror, or name a version"))
		}
	}
	return found
}
