package upgrade

import "time"

// ProviderEKS is the provider of control planes on Amazon EKS.
const ProviderEKS = "eks"

// Managed is what was observed of a control plane that a provider runs, and of what the provider runs beside it. Its
// versions are minors, of which the provider chooses the release.
type Managed struct {
	Provider string `json:"provider"`
	Name     string `json:"name"`
	// Version is the control plane's minor, PlatformVersion the provider's own release of it.
	Version         Version `json:"version"`
	PlatformVersion string  `json:"platformVersion,omitempty"`
	Status          string  `json:"status"` // ACTIVE
	// Support says what happens at the end of a minor's standard support.
	Support ManagedSupport `json:"support,omitempty"`
	Issues  []ManagedIssue `json:"issues,omitempty"`
	// Update is a change of the control plane that is under way.
	Update *ManagedUpdate `json:"update,omitempty"`
	// UpgradedAt is when the latest move to this minor began; zero where there was none, or it is not known.
	UpgradedAt time.Time `json:"upgradedAt,omitzero"`
	// Offered are the minors that the provider offers, from this one to the target.
	Offered []ManagedMinor `json:"offered,omitempty"`
	// Insights are the provider's checks that do not pass. RefreshedAt is when the newest of all was made.
	Insights    []ManagedInsight `json:"insights,omitempty"`
	RefreshedAt time.Time        `json:"refreshedAt,omitzero"`
	Subnets     []ManagedSubnet  `json:"subnets,omitempty"`
	Addons      []ManagedAddon   `json:"addons,omitempty"`
	NodeGroups  []NodeGroup      `json:"nodeGroups,omitempty"`
	// Fargate are the names of Fargate profiles. AutoMode: the provider makes and replaces nodes by itself.
	Fargate  []string `json:"fargate,omitempty"`
	AutoMode bool     `json:"autoMode,omitempty"`
	// Found is what could not be looked at.
	Found []Finding `json:"found,omitempty"`
}

// ManagedSupport is a provider's policy about the end of a minor's standard support.
type ManagedSupport string

// The policies.
const (
	StandardSupport ManagedSupport = "standard" // the provider upgrades the control plane by itself
	ExtendedSupport ManagedSupport = "extended" // the minor is kept for longer, at a higher price
)

// ManagedIssue is what the provider says is wrong with something.
type ManagedIssue struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// ManagedUpdate is a change that the provider carries out.
type ManagedUpdate struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`             // VersionUpdate
	To      string         `json:"to,omitempty"`     // what it leads to: v1.37, or an add-on's version
	Status  string         `json:"status,omitempty"` // InProgress
	Errors  []ManagedIssue `json:"errors,omitempty"`
	Started time.Time      `json:"started,omitzero"`
}

// ManagedMinor is a minor that the provider offers.
type ManagedMinor struct {
	Version Version `json:"version"`
	// Support is which support the minor has now; empty: none any more.
	Support       ManagedSupport `json:"support,omitempty"`
	StandardUntil time.Time      `json:"standardUntil,omitzero"`
	ExtendedUntil time.Time      `json:"extendedUntil,omitzero"`
}

// InsightStatus is the outcome of one of the provider's checks.
type InsightStatus string

// The outcomes that are worth telling.
const (
	InsightError   InsightStatus = "error"
	InsightWarning InsightStatus = "warning"
	InsightUnknown InsightStatus = "unknown"
)

// ManagedInsight is a check of the provider that does not pass.
type ManagedInsight struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Rollback: it is about going back to the minor before; else about going on.
	Rollback bool `json:"rollback,omitempty"`
	// Version is the minor that it looks at; zero where it is about all.
	Version        Version       `json:"version,omitzero"`
	Status         InsightStatus `json:"status"`
	Reason         string        `json:"reason,omitempty"`
	Recommendation string        `json:"recommendation,omitempty"`
	Resources      []string      `json:"resources,omitempty"` // the first few
	RefreshedAt    time.Time     `json:"refreshedAt,omitzero"`
}

// ManagedSubnet is a subnet that the control plane has addresses in.
type ManagedSubnet struct {
	ID   string `json:"id"`
	Zone string `json:"zone,omitempty"`
	Free int    `json:"free"` // addresses
}

// ManagedAddon is an add-on that the provider installs.
type ManagedAddon struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Status    string `json:"status"` // ACTIVE
	Owner     string `json:"owner,omitempty"`
	Publisher string `json:"publisher,omitempty"`
	// Configured: it has settings of its own, which an update keeps.
	Configured bool           `json:"configured,omitempty"`
	Issues     []ManagedIssue `json:"issues,omitempty"`
	Update     *ManagedUpdate `json:"update,omitempty"`
	// Versions are the installed one and later ones that are good for a minor on the way: see Choices.
	Versions []ManagedAddonVersion `json:"versions,omitempty"`
}

// ManagedAddonVersion is a version of an add-on, and which minors on the way it is good for.
type ManagedAddonVersion struct {
	Version string    `json:"version"`
	For     []Version `json:"for,omitempty"`
	// DefaultFor are the minors that the provider recommends it for.
	DefaultFor []Version `json:"defaultFor,omitempty"`
}

// NodeGroup is a group of workers that the provider replaces by new ones.
type NodeGroup struct {
	Name     string         `json:"name"`
	Version  Version        `json:"version,omitzero"` // its minor
	Release  string         `json:"release,omitempty"`
	ImageID  string         `json:"imageId,omitempty"` // of a custom image
	AMIType  string         `json:"amiType,omitempty"`
	Capacity string         `json:"capacity,omitempty"` // ON_DEMAND, SPOT
	Status   string         `json:"status"`             // ACTIVE
	Issues   []ManagedIssue `json:"issues,omitempty"`
	Update   *ManagedUpdate `json:"update,omitempty"`
	// Template is its launch template, if a person gave it one.
	Template        string `json:"template,omitempty"`
	TemplateVersion string `json:"templateVersion,omitempty"`
	// NextTemplateVersion and NextImageID are what the next update of a custom image goes to.
	NextTemplateVersion string `json:"nextTemplateVersion,omitempty"`
	NextImageID         string `json:"nextImageId,omitempty"`
	Min                 int    `json:"min"`
	Max                 int    `json:"max"`
	Desired             int    `json:"desired"`
	// MaxUnavailable is how many nodes are replaced at a time, or which part of them.
	MaxUnavailable        int `json:"maxUnavailable,omitempty"`
	MaxUnavailablePercent int `json:"maxUnavailablePercent,omitempty"`
	// Minimal: old nodes end before new ones start.
	Minimal bool `json:"minimal,omitempty"`
}

// ManagedOutcome is what came of a change of something managed.
type ManagedOutcome struct {
	Version string `json:"version"` // what runs now: v1.37, or an add-on's version
	// Update is the provider's id of the change; empty where there was nothing to do.
	Update string `json:"update,omitempty"`
	// Adopted: it was under way already: somebody else had begun it, or an earlier call.
	Adopted bool `json:"adopted,omitempty"`
}

// ParseMinor reads "1.37" or "v1.37", as providers of control planes write versions.
func ParseMinor(s string) (Version, error) {
	v, err := ParseVersion(s + ".0")
	if err != nil {
		return v, err
	}
	return v.Whole(), nil
}

// Way is each minor that the control plane goes to on its way to the target's; none when it is there.
func (m Managed) Way(target Version) []Version {
	if problem, _ := checkPath(m.Version.Whole(), target.Whole()); problem != "" || m.Version.SameMinor(target) {
		return nil
	}
	return path(m.Version.Whole(), target.Whole())
}

// NextMinor is the minor that the control plane goes to first; zero when it is there.
func (m Managed) NextMinor(target Version) Version {
	if way := m.Way(target); len(way) > 0 {
		return way[0]
	}
	return Version{}
}

// NextOf is the minor after v on the way to the target; zero after the last.
func (m Managed) NextOf(v, target Version) Version {
	if v.MinorsBehind(target) <= 0 {
		return Version{}
	}
	return v.Whole().nextMinor()
}

// rollbackWindow is for how long after an upgrade a control plane can go back.
// Source: rollbackPolicy.
const rollbackWindow = 7 * 24 * time.Hour

// RollbackUntil is until when the control plane can go back by a minor; zero where it cannot. It is on the safe side: the
// provider counts from the end of the upgrade, this from its beginning.
func (m Managed) RollbackUntil() time.Time {
	if m.UpgradedAt.IsZero() {
		return time.Time{}
	}
	return m.UpgradedAt.Add(rollbackWindow)
}
