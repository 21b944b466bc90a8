package upgrade

import (
	"cmp"
	"fmt"
	"strings"
)

// CustomImage is the AMI type of a node group whose image a person made.
const CustomImage = "CUSTOM"

// Custom reports whether the group's image is a person's own, which the provider cannot choose.
func (g NodeGroup) Custom() bool { return g.AMIType == CustomImage }

// MustMove reports whether the group is to be moved once the control plane is at version to, and next is the minor that it
// goes to then, zero after the last. A group that may wait saves its nodes a replacement.
// Source: https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html
func (g NodeGroup) MustMove(to, next Version, path WorkerPath) bool {
	switch {
	case g.Version.IsZero(), g.Version.MinorsBehind(to) <= 0:
		return false
	case next.IsZero(), path == EveryMinor:
		return true
	}
	return checkKubelet(g.Name, g.Version, next) != ""
}

// MovingGroups are the groups to be moved in a hop, in order of their names, and those that may wait.
func (m Managed) MovingGroups(to, next Version, path WorkerPath) (move, wait []NodeGroup) {
	for _, g := range sortedGroups(m.NodeGroups) {
		switch {
		case g.MustMove(to, next, path):
			move = append(move, g)
		case g.Version.MinorsBehind(to) > 0:
			wait = append(wait, g)
		}
	}
	return move, wait
}

// check looks at one node group.
func (g NodeGroup) check(current, target, next Version, path WorkerPath) []Finding {
	var found []Finding
	add := func(id string, s Severity, message, remedy, source string) {
		found = append(found, Finding{ID: id, Severity: s, Target: g.Name, Message: message, Remedy: remedy, Source: source})
	}
	moves := g.Version.MinorsBehind(target) > 0
	switch u := g.Update; {
	case u != nil && u.Type == "VersionUpdate" && u.To == ManagedTo(current):
		add(ManagedBusy, SeverityWarning, "somebody has begun "+u.String()+" already", "it is waited for", groupPolicy)
	case u != nil:
		add(ManagedBusy, SeverityError, u.String()+" is under way", "wait for its end", groupPolicy)
	case len(g.Issues) > 0 || g.Status != "ACTIVE":
		s := SeverityError
		if !moves {
			s = SeverityWarning
		}
		add(NodeGroupHealth, s, strings.TrimSuffix("the node group is "+g.Status+", "+said(g.Issues), ", "), "put it right first: its update would fail", groupPolicy)
	}
	if !moves {
		return found
	}
	if !next.IsZero() && g.MustMove(current, next, path) {
		add(NodeGroupSkew, SeverityWarning, fmt.Sprintf("it is %s, the control plane %s", g.Version.MinorString(), current.MinorString()),
			"it is brought to "+current.MinorString()+" before the control plane goes on", updatePolicy)
	}
	if g.Custom() {
		switch {
		case g.NextImageID == "" || g.NextTemplateVersion == "":
			add(NodeGroupImage, SeverityError, "its image is a custom one, and no version of its launch template says what comes next", "make a version of "+cmp.Or(g.Template, "the launch template")+" with the new image, and make it the default", templatePolicy)
		case g.NextImageID == g.ImageID || g.NextTemplateVersion == g.TemplateVersion:
			add(NodeGroupImage, SeverityError, fmt.Sprintf("its image is a custom one, and version %s of its launch template has the image %s that it runs already", g.NextTemplateVersion, g.NextImageID), "make a version with the new image, and make it the default", templatePolicy)
		default:
			add(NodeGroupImage, SeverityInfo, fmt.Sprintf("its image is a custom one: it goes to version %s of its launch template, %s", g.NextTemplateVersion, g.NextImageID), "make sure that this image is of "+target.MinorString(), templatePolicy)
		}
	}
	if all := g.unavailable(); g.Desired > 0 && all >= g.Desired {
		switch {
		case g.Minimal:
			add(NodeGroupAtOnce, SeverityError, fmt.Sprintf("its update config lets all %d nodes be away at the same time, and old ones end before new ones start", g.Desired), "lower maxUnavailable, or set the update strategy to DEFAULT", groupPolicy)
		case g.Desired > 1:
			add(NodeGroupAtOnce, SeverityWarning, fmt.Sprintf("its update config lets all %d nodes be drained at the same time", g.Desired), "lower maxUnavailable", groupPolicy)
		}
	}
	return found
}

// mostAtOnce is how many nodes of a group are replaced at a time at most. Source: groupPolicy.
const mostAtOnce = 100

// unavailable is how many nodes of the group may be away at a time.
func (g NodeGroup) unavailable() int {
	n := max(g.MaxUnavailable, 1)
	if g.MaxUnavailablePercent > 0 {
		n = (g.Desired*g.MaxUnavailablePercent + 99) / 100
	}
	return min(n, mostAtOnce)
}
