package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// Severity of a finding.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the plan is refused, unless it is waived
	SeverityWarning Severity = "warning" // worth knowing before starting
	SeverityInfo    Severity = "info"
)

// Ids of findings: stable names, for machines and for waivers. docs/reference.md says more of each.
const (
	VersionPath        = "version-path"
	VersionSkew        = "version-skew"
	KubeadmSkew        = "kubeadm-skew"
	PackageMissing     = "package-missing"
	Repository         = "repository"
	PackageManager     = "package-manager"
	NoControlPlane     = "control-plane"
	ControlPlaneHealth = "control-plane-health"
	NodeReady          = "node-ready"
	NodeCordoned       = "node-cordoned"
	HostProblem        = "host"
	DiskSpace          = "disk-space"
	DrainBlocked       = "drain-blocked"
	DrainNoRoom        = "drain-no-room"
	DrainLost          = "drain-lost"
	DrainUnseen        = "drain-forecast"
	EtcdVersion        = "etcd-version"
	EndOfLife          = "end-of-life"
	FlagRemoved        = "removed-flag"
	GateRemoved        = "removed-feature-gate"
	BadPackage         = "package-state"
	PackageOnHold      = "package-hold"
	VersionDiffers     = "version-differs"
	CgroupVersion      = "cgroup-version"
	ContainerRuntime   = "container-runtime"
	CertificateExpiry  = "certificate"
	ClockSkew          = "clock-skew"
	APIRemoved         = "removed-api"
	StoredVersion      = "crd-stored-version"
	KubeadmConfig      = "kubeadm-config"
	ImageOverride      = "image-override"
	ExternalEtcd       = "external-etcd"
	EmulatedVersion    = "emulated-version"
	CoreDNS            = "coredns"
	KubeProxyAddon     = "kube-proxy"
	DaemonSet          = "daemonset"
	Webhook            = "webhook"
	NodeCondition      = "node-condition"
	KubeletVersion     = "kubelet-version"
	EtcdMembers        = "etcd-members"
	EtcdAlarm          = "etcd-alarm"
	EtcdSpace          = "etcd-space"
	Permission         = "permission"
	NotObserved        = "not-observed"
	MaintenanceWindow  = "window"
	WindowTooShort     = "window-length"
	Locked             = "locked"
	HealthGate         = "health"
	HookProblem        = "hook"
	Notifying          = "notification"
	BadWaiver          = "waiver"
	ChosenByPolicy     = "policy"
	PoolEmpty          = "pool"
	NodeUnmanaged      = "node-unmanaged"
	ApplicationsDown   = "downtime"
	NodeProvider       = "node-provider"
)

// waivable are the errors that a person may overrule. The others are things that pawl cannot do, or that the version skew
// policy forbids.
var waivable = []string{KubeadmSkew, DiskSpace, EtcdVersion, FlagRemoved, GateRemoved, BadPackage, CgroupVersion, CertificateExpiry, ClockSkew, APIRemoved, Webhook, NodeCondition, WindowTooShort, HealthGate, ApplicationsDown, NodeProvider, ManagedInsights}

// Finding is one thing that stands in the way, or that a person should know, found before anything is touched.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Target   string   `json:"target,omitempty"` // node, pod, budget
	Message  string   `json:"message"`          // what is the case and what was wanted
	Remedy   string   `json:"remedy,omitempty"`
	Source   string   `json:"source,omitempty"` // where the rule is from
	// Waived: it is an error, and a person chose not to be stopped by it.
	Waived bool `json:"waived,omitempty"`
}

// String renders the finding on one line.
func (f Finding) String() string {
	s := f.Message
	if f.Target != "" {
		s = f.Target + ": " + s
	}
	if f.Waived {
		return s + " (waived)"
	}
	if f.Remedy != "" {
		s += "; " + f.Remedy
	}
	if f.Severity == SeverityError && slices.Contains(waivable, f.ID) {
		s += ", or waive " + f.ID
	}
	return s
}

// blocks reports whether the finding forbids the plan.
func (f Finding) blocks() bool { return f.Severity == SeverityError && !f.Waived }

// failure is a finding that forbids the plan.
func failure(id, target, message, remedy string) Finding {
	return Finding{ID: id, Severity: SeverityError, Target: target, Message: message, Remedy: remedy}
}

// waive marks what a person overrules.
func waive(found []Finding, ids []string) []Finding {
	marked := slices.Clone(found)
	for i := range marked {
		f := &marked[i]
		f.Waived = f.Severity == SeverityError && slices.Contains(ids, f.ID) && slices.Contains(waivable, f.ID)
	}
	return marked
}

// blocked reports whether any of the findings forbids the plan when these are waived.
func blocked(found []Finding, waived []string) bool {
	return slices.ContainsFunc(waive(found, waived), Finding.blocks)
}

// checkWaivers refuses waivers that would be ignored.
func checkWaivers(ids []string) []Finding {
	var found []Finding
	for _, id := range ids {
		if !slices.Contains(waivable, id) {
			found = append(found, failure(BadWaiver, "", fmt.Sprintf("%q cannot be waived", id), "these can: "+strings.Join(waivable, ", ")))
		}
	}
	return found
}

// mergeFindings says once what is the case for several targets.
func mergeFindings(found []Finding) []Finding {
	var merged []Finding
	for _, f := range found {
		i := slices.IndexFunc(merged, func(m Finding) bool {
			m.Target = f.Target
			return m == f
		})
		if i < 0 {
			merged = append(merged, f)
		} else if f.Target != "" {
			merged[i].Target += ", " + f.Target
		}
	}
	return merged
}
