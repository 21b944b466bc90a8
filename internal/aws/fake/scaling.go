package fake

import (
	"fmt"
	"maps"
	"slices"
)

// Group of Auto Scaling.
type Group struct {
	Name              string
	Min, Max, Desired int
	Zones             []string
	Template, Version string
	Mixed             bool // the template stands in a mixed instances policy, of On-Demand and Spot
	Weight            string
	ProtectNew        bool
	Suspended         map[string]bool
	Tags              map[string]string
	Propagated        map[string]bool
	Members           []*Member
	TargetGroups      []string
	Classic           []string
	WarmPool          bool
	Refresh           string // the status of its latest instance refresh
	// LaunchHook and EndHook: machines wait for a hook until Complete, or until Abandon.
	LaunchHook, EndHook bool
	Activities          []Activity // the latest first
	pause               int
}

// Member of a group.
type Member struct {
	*Instance
	Life      string
	Protected bool
	proceed   bool
	decided   bool
}

// Activity of a group.
type Activity struct{ ID, Description, Status, Message string }

// NewGroup makes a group with its members at rest, one in each of the zones in turn, from version 1 of a template that it makes.
func (a *AWS) NewGroup(name string, size int, zones ...string) *Group {
	t := &Template{ID: "lt-" + name, Name: name, Default: 1, made: 1, Versions: []*Version{{Number: 1, Image: "ami-old", Tags: map[string]string{"team": "x"}}}}
	a.Templates[name] = t
	g := &Group{Name: name, Min: size, Max: size, Desired: size, Zones: zones, Template: name, Version: "1",
		Suspended: map[string]bool{}, Tags: map[string]string{}, Propagated: map[string]bool{}}
	a.Groups[name] = g
	for n := range size {
		i := a.Make(zones[n%len(zones)], true)
		i.Image, i.Template, i.Version = "ami-old", name, "1"
		i.Tags["aws:autoscaling:groupName"] = name
		g.Members = append(g.Members, &Member{Instance: i, Life: "InService"})
	}
	return g
}

// Complete lets a machine go on that waits for a hook.
func (g *Group) Complete(id string) {
	for _, m := range g.Members {
		if m.ID == id {
			m.proceed = true
		}
	}
}

// Abandon ends a machine that waits for a launch hook, as a hook does that times out.
func (g *Group) Abandon(id string) {
	for _, m := range g.Members {
		if m.ID == id && m.Life == "Pending:Wait" {
			m.leave()
		}
	}
}

func (m *Member) leave() {
	m.Life, m.proceed = "Terminating", false
	m.left = ending
}

func (m *Member) counted() bool { return m.Life != "Terminating" && m.Life != "Terminating:Wait" }

func (g *Group) counted() int {
	n := 0
	for _, m := range g.Members {
		if m.counted() {
			n++
		}
	}
	return n
}

// byZone counts the members of each zone.
func (g *Group) byZone() map[string]int {
	n := map[string]int{}
	for _, z := range g.Zones {
		n[z] = 0
	}
	for _, m := range g.Members {
		if m.counted() {
			n[m.Zone]++
		}
	}
	return n
}

// smallest is the zone with the fewest members, largest that with the most.
func (g *Group) smallest() (zone string, n int) {
	by := g.byZone()
	zone = slices.MinFunc(g.Zones, func(x, y string) int { return by[x] - by[y] })
	return zone, by[zone]
}

func (g *Group) largest() (zone string, n int) {
	by := g.byZone()
	zone = slices.MaxFunc(g.Zones, func(x, y string) int { return by[x] - by[y] })
	return zone, by[zone]
}

// step moves members on, and lets the group do what it does by itself.
func (g *Group) step(a *AWS) {
	var stay []*Member
	for _, m := range g.Members {
		switch {
		case m.Life == "Pending" && m.State == "terminated": // it died on its way: the group forgets it, and makes another
			continue
		case m.Life == "Pending" && m.State == "running" && g.LaunchHook && !m.decided:
			m.Life, m.decided = "Pending:Wait", true
		case m.Life == "Pending" && m.State == "running", m.Life == "Pending:Wait" && m.proceed:
			m.Life, m.proceed = "InService", false
			for _, arn := range g.TargetGroups {
				a.Targets[arn][m.ID] = &Target{State: "healthy"}
			}
		case m.Life == "Terminating" && g.EndHook && !m.proceed:
			m.Life = "Terminating:Wait"
		case m.Life == "Terminating:Wait" && m.proceed:
			m.Life = "Terminating"
			m.end()
		case m.Life == "Terminating":
			m.end()
		}
		if m.Life == "Terminating" && m.State == "terminated" {
			for _, arn := range g.TargetGroups {
				delete(a.Targets[arn], m.ID)
			}
			continue
		}
		stay = append(stay, m)
	}
	g.Members = stay
	g.pause = max(0, g.pause-1)
	g.scale(a)
}

// scale is what a group does by itself, as far as its processes are not suspended.
func (g *Group) scale(a *AWS) {
	if !g.Suspended["ReplaceUnhealthy"] {
		for _, m := range g.Members {
			if m.State == "terminated" && m.counted() {
				m.leave()
			}
		}
	}
	zone, few := g.smallest()
	crowded, many := g.largest()
	switch {
	case !g.Suspended["Launch"] && g.counted() < g.Desired && g.pause == 0:
		if _, no := g.launch(a, zone); no != nil {
			g.pause = backoff
		}
	case !g.Suspended["Terminate"] && g.counted() > g.Desired:
		g.shrink(crowded)
	case !g.Suspended["AZRebalance"] && many-few > 1 && g.pause == 0:
		if _, no := g.launch(a, zone); no == nil {
			g.shrink(crowded)
		}
	}
}

// shrink ends the first member that is not protected, of the crowded zone where there is one.
func (g *Group) shrink(zone string) {
	for _, any := range []bool{false, true} {
		for _, m := range g.Members {
			if m.counted() && !m.Protected && (any || m.Zone == zone) {
				m.leave()
				return
			}
		}
	}
}

// launch makes a member in a zone.
func (g *Group) launch(a *AWS, zone string) (*Member, *refusal) {
	a.last++
	act := Activity{ID: fmt.Sprintf("activity-%d", a.last), Description: "Launching a new EC2 instance", Status: "Successful"}
	defer func() { g.Activities = slices.Insert(g.Activities, 0, act) }()
	if code := a.Capacity[zone]; code != "" {
		act.Status = "Failed"
		act.Message = "Could not launch. We currently do not have sufficient capacity in the Availability Zone you requested (" + zone + ")."
		if code != "InsufficientInstanceCapacity" {
			act.Message = "You have requested more vCPU capacity than your current vCPU limit allows (" + code + ")."
		}
		return nil, refuse(code, "%s", act.Message)
	}
	v := a.Templates[g.Template].version(g.Version)
	if v == nil {
		act.Status, act.Message = "Failed", "The launch template has no such version"
		return nil, refuse("ValidationError", "%s", act.Message)
	}
	i := a.Make(zone, false)
	i.Image, i.Template, i.Version = v.Image, g.Template, fmt.Sprint(v.Number)
	maps.Copy(i.Tags, v.Tags)
	i.Tags["aws:autoscaling:groupName"] = g.Name
	for key, on := range g.Propagated {
		if value, ok := g.Tags[key]; on && ok {
			i.Tags[key] = value
		}
	}
	m := &Member{Instance: i, Life: "Pending", Protected: g.ProtectNew}
	g.Members = append(g.Members, m)
	return m, nil
}
