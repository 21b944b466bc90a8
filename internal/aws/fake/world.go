package fake

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
)

// AWS is one account in one region. Its fields are set before Start, or with Do.
type AWS struct {
	fate.Server
	// Without are actions that this AWS does not have.
	Without map[string]bool
	// Capacity is the error code of launches in a zone.
	Capacity map[string]string
	// KeepsDesired: LaunchInstances does not raise the desired capacity.
	KeepsDesired bool
	// Stillborn is how many of the next instances die before they run.
	Stillborn int

	Instances map[string]*Instance
	Groups    map[string]*Group
	Templates map[string]*Template
	Images    map[string]*Image
	Subnets   map[string]string             // zone by id
	Targets   map[string]map[string]*Target // by target group and id
	tokens    map[string]outcome
	last      int // number of the latest thing made
}

// outcome is what a client token stands for.
type outcome struct {
	params string
	kids   []elem
	no     *refusal
}

// Instance of EC2.
type Instance struct {
	ID, Zone, Subnet, IP, Image, Template, Version, UserData string
	State                                                    string
	Tags                                                     map[string]string
	Protected                                                bool // from termination
	Interface                                                bool // its subnet was named by a network interface

	lag   int // requests until it is seen
	left  int // requests until its next state
	dying bool
}

// Image of instances.
type Image struct{ ID, Name, State, Created string }

// Template for launches.
type Template struct {
	ID, Name string
	Default  int
	Versions []*Version
	made     int
}

// Version of a template.
type Version struct {
	Number      int
	Description string
	Image       string
	Tags        map[string]string
	Interface   bool // it describes a network interface
	Metadata    bool // only with a token, and not for pods
}

// Target of a load balancer.
type Target struct {
	State string
	left  int
}

// New is an AWS with nothing in it.
func New() *AWS {
	return &AWS{
		Without: map[string]bool{}, Capacity: map[string]string{}, Instances: map[string]*Instance{}, Groups: map[string]*Group{},
		Templates: map[string]*Template{}, Images: map[string]*Image{}, Subnets: map[string]string{}, Targets: map[string]map[string]*Target{},
		tokens: map[string]outcome{},
	}
}

// How many requests things take: to be seen, to start, to end, to drain.
const (
	lagging  = 2
	starting = 4
	ending   = 3
	draining = 3
	backoff  = 12 // between two launches of a group after one that failed
)

// Make makes an instance, as one that has run for long where at rest.
func (a *AWS) Make(zone string, atRest bool) *Instance {
	a.last++
	i := &Instance{ID: fmt.Sprintf("i-%017x", a.last), Zone: zone, Subnet: "subnet-" + zone, IP: fmt.Sprintf("10.0.%d.%d", a.last/250, a.last%250+1),
		State: "pending", Tags: map[string]string{}, lag: lagging, left: starting}
	if atRest {
		i.State, i.lag, i.left = "running", 0, 0
	} else if a.Stillborn > 0 {
		a.Stillborn--
		i.dying = true
	}
	a.Instances[i.ID] = i
	return i
}

// Living are the ids of instances that run or will, in order.
func (a *AWS) Living() []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(a.Instances)) {
		if i := a.Instances[id]; i.State == "pending" || i.State == "running" {
			ids = append(ids, id)
		}
	}
	return ids
}

// Kill ends an instance as AWS does when it takes a Spot instance back.
func (a *AWS) Kill(id string) { a.Instances[id].end() }

func (i *Instance) end() {
	if i.State == "pending" || i.State == "running" {
		i.State, i.left = "shutting-down", ending
	}
}

// step moves everything one request on.
func (a *AWS) step() {
	for _, id := range slices.Sorted(maps.Keys(a.Instances)) {
		i := a.Instances[id]
		i.lag = max(0, i.lag-1)
		if i.left = max(0, i.left-1); i.left > 0 {
			continue
		}
		switch {
		case i.State == "pending" && i.dying, i.State == "shutting-down":
			i.State = "terminated"
		case i.State == "pending":
			i.State = "running"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Groups)) {
		a.Groups[name].step(a)
	}
	for _, targets := range a.Targets {
		for id, t := range targets {
			if t.left = max(0, t.left-1); t.left == 0 && t.State == "draining" {
				delete(targets, id)
			}
		}
	}
}

// tokened carries out what has a client token once. What was refused under a token stays refused.
func (a *AWS) tokened(f form, do func() ([]elem, *refusal)) ([]elem, *refusal) {
	key := f.Get("ClientToken")
	if key == "" {
		return nil, refuse("MissingParameter", "The request must contain the parameter ClientToken")
	}
	key = f.Get("Action") + " " + key
	params := f.Encode()
	if was, ok := a.tokens[key]; ok {
		if was.params != params {
			return nil, refuse("IdempotentParameterMismatch", "The client token has been used with other parameters")
		}
		return was.kids, was.no
	}
	kids, no := do()
	a.tokens[key] = outcome{params, kids, no}
	return kids, no
}
