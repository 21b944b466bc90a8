package upgrade

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

const rollbackPolicy = "https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html"

// ManagedRollback is the id of findings about going back.
const ManagedRollback = "managed-rollback"

// CheckRollback says what stands in the way of bringing the control plane back by a minor. Nodes and kube-proxy must not be
// newer than it, so that those which have followed already are to go back first.
func CheckRollback(m Managed, now time.Time) []Finding {
	var found []Finding
	add := func(s Severity, target, message, remedy string) {
		found = append(found, Finding{ID: ManagedRollback, Severity: s, Target: target, Message: message, Remedy: remedy, Source: rollbackPolicy})
	}
	switch until := m.RollbackUntil(); {
	case until.IsZero():
		add(SeverityError, m.Name, "it was not upgraded to "+m.Version.MinorString()+", so that it cannot go back", "go on, or restore a backup to another cluster")
	case now.After(until):
		add(SeverityError, m.Name, "its upgrade began more than 7 days ago, on "+m.UpgradedAt.UTC().Format(time.DateOnly), "go on, or restore a backup to another cluster")
	}
	if m.Update != nil {
		add(SeverityError, m.Name, m.Update.String()+" is under way", "wait for its end")
	}
	back := m.previousMinor()
	if o, ok := m.offer(back); ok && o.Support == ExtendedSupport && m.Support == StandardSupport {
		add(SeverityError, m.Name, back.MinorString()+" is in extended support, and the upgrade policy is STANDARD", "set the upgrade policy to EXTENDED first")
	}
	for _, i := range m.Insights {
		if i.Rollback && i.Status != InsightUnknown {
			s := SeverityWarning
			if i.Status == InsightError {
				s = SeverityError
			}
			add(s, cmp.Or(strings.Join(i.Resources, " "), m.Name), "insight «"+i.Name+"» says "+cmp.Or(i.Reason, string(i.Status)), i.Recommendation)
		}
	}
	for _, g := range sortedGroups(m.NodeGroups) {
		if !g.Version.IsZero() && back.Less(g.Version) {
			add(SeverityError, g.Name, fmt.Sprintf("its nodes are %s, newer than %s", g.Version.MinorString(), back.MinorString()), "bring the node group back first")
		}
	}
	for _, a := range m.Addons {
		if v, err := ParseVersion(a.Version); a.Name == KubeProxy && err == nil && v.MinorsBehind(back) < 0 {
			add(SeverityError, a.Name, a.Version+" is newer than "+back.MinorString(), "bring it back first")
		}
	}
	if len(m.Fargate) > 0 {
		add(SeverityWarning, strings.Join(m.Fargate, ", "), "pods on Fargate that were made since the upgrade are newer than "+back.MinorString(), "delete them first: they are made anew")
	}
	return found
}

// previousMinor is the minor before the control plane's.
func (m Managed) previousMinor() Version {
	return Version{major: m.Version.major, minor: max(m.Version.minor, 1) - 1, whole: true}
}
