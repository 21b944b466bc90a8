package fake

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
)

// EKS is one cluster. Its fields are set before Start, or with Do.
type EKS struct {
	fate.Server
	// Forbidden are actions that the caller may not use.
	Forbidden map[string]bool

	Name     string
	Version  string // 1.34
	Gone     string // a status that takes the place of ACTIVE
	Support  string // STANDARD, EXTENDED
	AutoMode bool
	Issues   []string // codes
	Offered  []string
	Upgraded bool // to Version, within the window in which that can be undone
	// Strict: node groups must be of the control plane's minor before it goes on.
	Strict bool
	// Hidden is for how many requests EKS is busy with something that it does not show.
	Hidden int
	// FailNext are error codes that the next updates of a part end with: "", "addon/NAME", "group/NAME".
	FailNext     map[string][]string
	RefreshFails int // how many of the next refreshes fail
	Lasting      int // for how many requests an update lasts

	Updates   []*Update
	Insights  []*Insight
	Addons    map[string]*Addon
	Catalogue map[string][]AddonVersion // newest first
	Groups    map[string]*Group
	Fargate   []string
	Subnets   map[string]int // free addresses
	Templates map[string]*Template

	shown   string // the version that DescribeCluster shows
	lag     int    // requests until that is right
	refresh *refresh
	tokens  map[string]asked
}

// asked is what a client token stands for.
type asked struct {
	params string
	update *Update
}

// refresh of insights.
type refresh struct {
	began, ended time.Time
	left         int
	status       string
}

// Update is a change of the cluster, or of a part of it.
type Update struct {
	ID, Part, Type, Status string
	Params                 [][2]string
	Errors                 []string
	Created                time.Time
	left, lasts            int
	end                    func() (failure string)
}

// Insight is a check of the cluster.
type Insight struct {
	ID, Name, Category, Status, Version, Reason, Recommendation string
	Resources                                                   []string
	Refreshed                                                   time.Time
}

// Addon is an add-on that is installed.
type Addon struct {
	Version, Config, Role, Publisher string
	Status                           string // ACTIVE
	Conflict                         bool   // somebody changed its fields in the cluster
	Overwritten                      bool   // and an update took that back
	Pods                             []string
}

// AddonVersion is a version in the catalogue.
type AddonVersion struct {
	Version string
	For     []string
	Default []string
}

// Group is a managed node group.
type Group struct {
	Version, Release, AMIType, Status string
	Issues                            []string
	Template, TemplateVersion         string
	Desired, MaxUnavailable           int
	Minimal                           bool
	Blocked                           bool // pods do not leave within their budgets
	Replaced                          int  // how often its nodes were
}

// Template is a launch template: images by version, counted from 1.
type Template struct {
	Default int
	Images  []string
}

// New is a cluster without add-ons and node groups.
func New(name, version string, offered ...string) *EKS {
	return &EKS{
		Name: name, Version: version, Support: "EXTENDED", Offered: offered, Forbidden: map[string]bool{}, FailNext: map[string][]string{},
		Addons: map[string]*Addon{}, Catalogue: map[string][]AddonVersion{}, Groups: map[string]*Group{}, Subnets: map[string]int{"subnet-a": 100, "subnet-b": 100},
		Templates: map[string]*Template{}, tokens: map[string]asked{}, shown: version, Lasting: lasting,
	}
}

// How many requests things take.
const (
	lasting    = 5 // an update, where nothing else is said
	refreshing = 4
	lagging    = 4 // until what has changed is seen
	pageSize   = 2
)

// Now is the time in the cluster.
func (e *EKS) Now() time.Time { return epoch.Add(time.Duration(e.Requests) * time.Second) }

var epoch = time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)

// Begin begins a change as anybody may. end carries it out, and says how that failed.
func (e *EKS) Begin(part, kind string, params [][2]string, end func() string) *Update {
	u := &Update{ID: fmt.Sprintf("update-%d", len(e.Updates)+1), Part: part, Type: kind, Status: "InProgress", Params: params, Created: e.Now(), left: e.Lasting, lasts: e.Lasting, end: end}
	if queue := e.FailNext[part]; len(queue) > 0 {
		u.end = func() string { return queue[0] }
		e.FailNext[part] = queue[1:]
	}
	e.Updates = append(e.Updates, u)
	return u
}

// busy is the update of a part that is under way.
func (e *EKS) busy(part string) *Update {
	for _, u := range e.Updates {
		if u.Part == part && u.Status == "InProgress" {
			return u
		}
	}
	return nil
}

// step moves everything one request on.
func (e *EKS) step() {
	e.Hidden = max(0, e.Hidden-1)
	for _, u := range e.Updates {
		if u.Status != "InProgress" {
			continue
		}
		if u.left--; u.left > 0 {
			continue
		}
		u.Status = "Successful"
		if u.end != nil {
			if code := u.end(); code == "Cancelled" {
				u.Status = code
			} else if code != "" {
				u.Status, u.Errors = "Failed", []string{code}
			}
		}
	}
	if e.lag = max(0, e.lag-1); e.lag == 0 {
		e.shown = e.Version
	}
	if r := e.refresh; r != nil && r.status == "IN_PROGRESS" {
		if r.left--; r.left > 0 {
			return
		}
		r.status, r.ended = "COMPLETED", e.Now()
		if e.RefreshFails > 0 {
			e.RefreshFails--
			r.status = "FAILED"
			return
		}
		for _, i := range e.Insights {
			i.Refreshed = e.Now()
		}
	}
}

// minor is the number of a minor: 34 of 1.34.
func minor(version string) int {
	_, text, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// AddAddon installs an add-on of the first version that is for the cluster's, of a catalogue that is given newest first.
func (e *EKS) AddAddon(name string, catalogue ...AddonVersion) *Addon {
	e.Catalogue[name] = catalogue
	at := slices.IndexFunc(catalogue, func(v AddonVersion) bool { return slices.Contains(v.For, e.Version) })
	a := &Addon{Version: catalogue[at].Version, Status: "ACTIVE", Publisher: "eks"}
	e.Addons[name] = a
	return a
}

// AddGroup makes a node group of the cluster's version.
func (e *EKS) AddGroup(name string) *Group {
	g := &Group{Version: e.Version, Release: e.Version + ".1-20261101", AMIType: "AL2023_x86_64_STANDARD", Status: "ACTIVE", Desired: 3, MaxUnavailable: 1}
	e.Groups[name] = g
	return g
}

// free is how many addresses there are in all subnets.
func (e *EKS) free() int {
	n := 0
	for _, id := range slices.Sorted(maps.Keys(e.Subnets)) {
		n += e.Subnets[id]
	}
	return n
}
