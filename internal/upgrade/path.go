package upgrade

import "fmt"

// path is one version of each minor that a control plane goes through, for it never skips one; the last is to itself.
// Source: https://kubernetes.io/releases/version-skew-policy/#kube-apiserver-1
func path(from, to Version) []Version {
	var versions []Version
	for v := from.nextMinor(); v.minor < to.minor; v = v.nextMinor() {
		versions = append(versions, v)
	}
	return append(versions, to)
}

// firstHop is what a control plane goes to first on its way: a version of the next minor, or the target itself.
func firstHop(from, to Version) Version {
	if next := from.nextMinor(); next.minor < to.minor {
		return next
	}
	return to
}

// mostMinors bounds a path: over six years of releases. Who asks for more has misspelt the target.
const mostMinors = 20

// checkPath says in one line why a control plane may not go from one version to another, and what to do instead.
func checkPath(from, to Version) (problem, remedy string) {
	switch {
	case !from.SameMajor(to):
		return fmt.Sprintf("%s to %s crosses a major version", from, to), "choose a target of the same major version"
	case to.Less(from):
		return fmt.Sprintf("%s to %s is a downgrade, which Kubernetes does not support", from, to),
			"choose a target of " + from.String() + " or newer"
	case to.minor-from.minor > mostMinors:
		return fmt.Sprintf("%s to %s is a way of more than %d minors", from, to, mostMinors), "check the target"
	}
	return "", ""
}

// Farthest is a target beyond every release: the path to it names all minors whose packages any plan may need.
func Farthest(c Cluster) Version {
	oldest := Oldest(c)
	return Version{major: oldest.major, minor: oldest.minor + mostMinors}
}

// Oldest is the oldest version in the control plane, from which every path starts.
func Oldest(c Cluster) Version { return oldestControlPlane(c.Version, c.Nodes) }

// oldest is the same where the plan begins.
func (p Plan) oldest() Version { return oldestControlPlane(p.Current, p.Nodes) }
