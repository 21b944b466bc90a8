package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ids of findings about what a provider manages.
const (
	ManagedStatus     = "managed-status"
	ManagedOffer      = "managed-version"
	ManagedInsights   = "managed-insight"
	ManagedAddresses  = "managed-addresses"
	ManagedPolicy     = "managed-support"
	ManagedBusy       = "managed-update"
	AddonIncompatible = "managed-addon"
	AddonPublisher    = "managed-addon-publisher"
	AddonHealth       = "managed-addon-health"
	NodeGroupHealth   = "node-group-health"
	NodeGroupSkew     = "node-group-skew"
	NodeGroupImage    = "node-group-image"
	NodeGroupAtOnce   = "node-group-unavailable"
	NodesByThemselves = "managed-nodes"
)

// Where the rules are from.
const (
	updatePolicy   = "https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html"
	insightPolicy  = "https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html"
	supportPolicy  = "https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
	addonPolicy    = "https://docs.aws.amazon.com/eks/latest/userguide/updating-an-add-on.html"
	groupPolicy    = "https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html"
	templatePolicy = "https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html"
)

// addressesNeeded is how many free addresses an update of the control plane may need. Source: updatePolicy.
const addressesNeeded = 5

// supportNotice is how long before the end of support it is worth a warning.
const supportNotice = 60 * 24 * time.Hour

// knownPublishers are those whose add-ons the provider tests together with its own.
var knownPublishers = []string{"eks", "aws", "amazon"}

// CheckManaged says what stands in the way of bringing what is managed to the target, or is worth knowing. now is when the
// plan is made.
func CheckManaged(m Managed, target Version, path WorkerPath, now time.Time) []Finding {
	if problem, remedy := checkPath(m.Version.Whole(), target.Whole()); problem != "" {
		return []Finding{failure(VersionPath, m.Name, problem, remedy)}
	}
	found := slices.Clone(m.Found)
	found = append(found, m.checkState()...)
	found = append(found, m.checkOffer(target)...)
	found = append(found, m.checkSupport(target, now)...)
	if len(m.Way(target)) > 0 {
		found = append(found, m.checkInsights(target)...)
		found = append(found, m.checkAddresses()...)
	}
	found = append(found, m.checkAddons(target)...)
	for _, g := range sortedGroups(m.NodeGroups) {
		found = append(found, g.check(m.Version, target, m.NextMinor(target), path)...)
	}
	return append(found, m.checkOthers(target)...)
}

// said renders issues on one line.
func said(issues []ManagedIssue) string {
	var all []string
	for _, i := range issues {
		all = append(all, strings.TrimSuffix(strings.TrimSuffix(i.Code+": "+i.Message, " "), ":"))
	}
	return strings.Join(all, ", ")
}

// String names the update for people.
func (u ManagedUpdate) String() string {
	s := u.Type + " " + u.ID
	if u.To != "" {
		s += " to " + u.To
	}
	return s
}

// ManagedTo renders what an update of the control plane or of a node group to v leads to, as ManagedUpdate.To has it.
func ManagedTo(v Version) string { return v.MinorString() }

// checkState looks at the control plane itself. An update to the next minor is no obstacle: it is waited for.
func (m Managed) checkState() []Finding {
	var found []Finding
	if m.Status != "ACTIVE" && (m.Update == nil || m.Status != "UPDATING") {
		found = append(found, failure(ManagedStatus, m.Name, "the control plane is "+m.Status+", wanted ACTIVE", "wait, or have the provider repair it"))
	}
	if len(m.Issues) > 0 {
		f := failure(ManagedStatus, m.Name, "the provider reports "+said(m.Issues), "put it right first: an update needs the same")
		f.Source = updatePolicy
		found = append(found, f)
	}
	switch u := m.Update; {
	case u == nil:
	case u.Type == "VersionUpdate" && u.To == ManagedTo(m.Version.nextMinor()):
		found = append(found, Finding{ID: ManagedBusy, Severity: SeverityWarning, Target: m.Name, Message: "somebody has begun " + u.String() + " already", Remedy: "it is waited for"})
	default:
		found = append(found, failure(ManagedBusy, m.Name, u.String()+" is under way", "wait for its end"))
	}
	return found
}

// offer is the provider's offer of a minor.
func (m Managed) offer(v Version) (ManagedMinor, bool) {
	i := slices.IndexFunc(m.Offered, func(o ManagedMinor) bool { return o.Version.SameMinor(v) })
	if i < 0 {
		return ManagedMinor{}, false
	}
	return m.Offered[i], true
}

func (m Managed) checkOffer(target Version) []Finding {
	var found []Finding
	for _, v := range m.Way(target) {
		if _, ok := m.offer(v); !ok && len(m.Offered) > 0 {
			found = append(found, failure(ManagedOffer, m.Name, "the provider does not offer "+v.MinorString(), "choose a target that it offers"))
		}
	}
	return found
}

// checkSupport tells when the provider would move the control plane by itself, and what support the target has.
func (m Managed) checkSupport(target Version, now time.Time) []Finding {
	var found []Finding
	add := func(s Severity, message, remedy string) {
		found = append(found, Finding{ID: ManagedPolicy, Severity: s, Target: m.Name, Message: message, Remedy: remedy, Source: supportPolicy})
	}
	if o, ok := m.offer(m.Version); ok && m.Support == StandardSupport && !o.StandardUntil.IsZero() {
		s, verb := SeverityInfo, "will upgrade"
		if now.Add(supportNotice).After(o.StandardUntil) {
			s = SeverityWarning
		}
		if now.After(o.StandardUntil) {
			verb = "may upgrade at any time"
		}
		add(s, fmt.Sprintf("standard support of %s ends on %s, the provider %s the control plane by itself then", m.Version.MinorString(), o.StandardUntil.Format(time.DateOnly), verb),
			"upgrade before, or set the upgrade policy to EXTENDED")
	}
	if o, ok := m.offer(m.Version); ok && m.Support == ExtendedSupport && o.Support == ExtendedSupport {
		add(SeverityInfo, m.Version.MinorString()+" is in extended support, which costs more", "")
	}
	if o, ok := m.offer(target); ok && o.Support != StandardSupport {
		what := "is in extended support, which costs more"
		if o.Support == "" {
			what = "is no longer supported"
		}
		add(SeverityWarning, "the target "+target.MinorString()+" "+what, "go on to a newer minor afterwards")
	}
	return found
}

// checkInsights passes on what the provider's checks say about the minors on the way.
func (m Managed) checkInsights(target Version) []Finding {
	var found []Finding
	for _, i := range m.Insights {
		if i.Rollback || i.Version.MinorsBehind(target) < 0 && !i.Version.IsZero() {
			continue
		}
		f := Finding{ID: ManagedInsights, Severity: SeverityWarning, Target: cmp.Or(strings.Join(i.Resources, " "), m.Name), Source: insightPolicy,
			Message: "insight «" + i.Name + "» says " + cmp.Or(i.Reason, string(i.Status)), Remedy: cmp.Or(i.Recommendation, "see it in the provider's console")}
		if !i.Version.IsZero() {
			f.Message += " (for " + i.Version.MinorString() + ")"
		}
		switch i.Status {
		case InsightError:
			f.Severity = SeverityError
		case InsightUnknown:
			f.Severity = SeverityInfo
		}
		found = append(found, f)
	}
	return found
}

// checkAddresses looks for room for the new API servers' network interfaces.
func (m Managed) checkAddresses() []Finding {
	if len(m.Subnets) == 0 {
		return nil
	}
	free := 0
	var tight []string
	for _, s := range m.Subnets {
		free += s.Free
		if s.Free < addressesNeeded {
			tight = append(tight, fmt.Sprintf("%s has %d", s.ID, s.Free))
		}
	}
	slices.Sort(tight)
	f := Finding{ID: ManagedAddresses, Target: m.Name, Source: updatePolicy, Remedy: "free addresses, or give the cluster another subnet"}
	switch {
	case free < addressesNeeded:
		f.Severity, f.Message = SeverityError, fmt.Sprintf("its subnets have %d free addresses, an update of the control plane needs up to %d", free, addressesNeeded)
	case len(tight) > 0:
		f.Severity, f.Message = SeverityWarning, fmt.Sprintf("of its subnets %s free addresses, and an update may need %d in any of them", strings.Join(tight, ", "), addressesNeeded)
	default:
		return nil
	}
	return []Finding{f}
}

// checkAddons walks the way, and looks for add-ons that cannot follow.
func (m Managed) checkAddons(target Version) []Finding {
	var found []Finding
	for _, a := range sortedAddons(m.Addons) {
		switch {
		case a.Update != nil:
			found = append(found, failure(ManagedBusy, a.Name, a.Update.String()+" is under way", "wait for its end"))
		case a.Status != "ACTIVE" || len(a.Issues) > 0:
			found = append(found, Finding{ID: AddonHealth, Severity: SeverityWarning, Target: a.Name, Source: addonPolicy,
				Message: strings.TrimSuffix("the add-on is "+a.Status+", "+said(a.Issues), ", "), Remedy: "put it right: an update of it fails for the same reason"})
		}
		if !slices.Contains(knownPublishers, strings.ToLower(a.Publisher)) && a.Publisher != "" {
			found = append(found, Finding{ID: AddonPublisher, Severity: SeverityWarning, Target: a.Name, Source: addonPolicy,
				Message: "its publisher is " + a.Publisher + ", which the provider does not vouch for", Remedy: "read its release notes for every minor on the way"})
		}
		if len(a.Versions) == 0 {
			found = append(found, Finding{ID: AddonIncompatible, Severity: SeverityWarning, Target: a.Name, Source: addonPolicy,
				Message: "the provider does not say which minors its versions are for", Remedy: "make sure yourself that " + a.Version + " works with " + target.MinorString()})
		}
	}
	for _, to := range m.Way(target) {
		moves, problems := m.AddonsBefore(to)
		found = append(found, problems...)
		m = m.WithAddons(moves)
		m.Version = to
		after := m.KubeProxyAfter(to)
		m = m.WithAddons(after)
		for _, a := range m.Addons {
			if a.Name == KubeProxy && len(a.Versions) > 0 && len(after) == 0 && !a.installed().good(to) {
				found = append(found, Finding{ID: AddonIncompatible, Severity: SeverityError, Target: a.Name, Source: addonPolicy,
					Message: a.Version + " is not for " + to.MinorString() + ", and no later version is", Remedy: "wait until the provider offers one"})
			}
		}
		if len(problems) > 0 {
			break
		}
	}
	return found
}

// checkOthers tells of nodes that nobody but the provider, or the cluster itself, replaces.
func (m Managed) checkOthers(target Version) []Finding {
	var found []Finding
	if len(m.Way(target)) == 0 {
		return nil
	}
	if m.AutoMode {
		found = append(found, Finding{ID: NodesByThemselves, Severity: SeverityInfo, Target: m.Name, Source: updatePolicy,
			Message: "EKS Auto Mode replaces its nodes by itself after the control plane", Remedy: "they are waited for"})
	}
	return found
}

// checkFargate tells what becomes of pods on Fargate.
func (m Managed) checkFargate(target Version, restarts bool) []Finding {
	if len(m.Way(target)) == 0 || len(m.Fargate) == 0 {
		return nil
	}
	f := Finding{ID: NodesByThemselves, Severity: SeverityWarning, Target: strings.Join(m.Fargate, ", "), Source: updatePolicy,
		Message: "pods on Fargate keep their kubelet until they are made anew", Remedy: "restart their workloads after each minor, or set eks.restartFargate"}
	if restarts {
		f.Severity, f.Message, f.Remedy = SeverityInfo, "Deployments and StatefulSets with pods on Fargate are restarted, so that these get new kubelets", "restart what else runs there yourself"
	}
	return []Finding{f}
}
