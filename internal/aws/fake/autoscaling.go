package fake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

var scalingActions = map[string]func(*AWS, form) ([]elem, *refusal){
	"DescribeAutoScalingGroups":           describeGroups,
	"DescribeInstanceRefreshes":           inGroup(describeRefreshes),
	"DescribeLifecycleHooks":              inGroup(describeHooks),
	"DescribeScalingActivities":           inGroup(describeActivities),
	"CreateOrUpdateTags":                  updateTags,
	"DeleteTags":                          removeTags,
	"SuspendProcesses":                    inGroup(suspend),
	"ResumeProcesses":                     inGroup(resume),
	"UpdateAutoScalingGroup":              inGroup(updateGroup),
	"SetDesiredCapacity":                  inGroup(setDesired),
	"SetInstanceProtection":               inGroup(setProtection),
	"LaunchInstances":                     inGroup(launchInstances),
	"TerminateInstanceInAutoScalingGroup": terminateMember,
}

// inGroup is an action about one group.
func inGroup(do func(*AWS, *Group, form) ([]elem, *refusal)) func(*AWS, form) ([]elem, *refusal) {
	return func(a *AWS, f form) ([]elem, *refusal) {
		g := a.Groups[f.Get("AutoScalingGroupName")]
		if g == nil {
			return nil, refuse("ValidationError", "AutoScalingGroup name not found - AutoScalingGroup %s not found", f.Get("AutoScalingGroupName"))
		}
		return do(a, g, f)
	}
}

func describeGroups(a *AWS, f form) ([]elem, *refusal) {
	var found []*Group
	for _, name := range f.strings("AutoScalingGroupNames.member") {
		if g := a.Groups[name]; g != nil {
			found = append(found, g)
		}
	}
	return []elem{list("AutoScalingGroups", "member", found, func(g *Group) []elem { return g.elems(a) })}, nil
}

func plain(name string) func(string) []elem { // an item that is a text alone
	return func(v string) []elem { return []elem{text(name, v)} }
}

// texts is a list of texts.
func texts(name string, all []string) elem {
	l := elem{name: name}
	for _, one := range all {
		l.kids = append(l.kids, text("member", one))
	}
	return l
}

func (g *Group) elems(a *AWS) []elem {
	t := a.Templates[g.Template]
	spec := []elem{text("LaunchTemplateId", t.ID), text("LaunchTemplateName", t.Name), text("Version", g.Version)}
	all := []elem{
		text("AutoScalingGroupName", g.Name), text("MinSize", g.Min), text("MaxSize", g.Max), text("DesiredCapacity", g.Desired),
		texts("AvailabilityZones", g.Zones), text("NewInstancesProtectedFromScaleIn", g.ProtectNew),
		texts("TargetGroupARNs", g.TargetGroups), texts("LoadBalancerNames", g.Classic),
		list("SuspendedProcesses", "member", slices.Sorted(maps.Keys(g.Suspended)), plain("ProcessName")),
		list("Tags", "member", slices.Sorted(maps.Keys(g.Tags)), func(key string) []elem {
			return []elem{text("Key", key), text("Value", g.Tags[key]), text("PropagateAtLaunch", g.Propagated[key])}
		}),
		list("Instances", "member", g.Members, func(m *Member) []elem {
			return []elem{text("InstanceId", m.ID), text("AvailabilityZone", m.Zone), text("LifecycleState", m.Life),
				text("HealthStatus", "Healthy"), text("ProtectedFromScaleIn", m.Protected)}
		}),
	}
	if g.WarmPool {
		all = append(all, group("WarmPoolConfiguration", text("MinSize", 1)))
	}
	if !g.Mixed {
		return append(all, group("LaunchTemplate", spec...))
	}
	override := group("member", text("InstanceType", "m5.large"))
	if g.Weight != "" {
		override.kids = append(override.kids, text("WeightedCapacity", g.Weight))
	}
	return append(all, group("MixedInstancesPolicy",
		group("LaunchTemplate", group("LaunchTemplateSpecification", spec...), group("Overrides", override)),
		group("InstancesDistribution", text("OnDemandBaseCapacity", 1), text("OnDemandPercentageAboveBaseCapacity", 50))))
}

func describeRefreshes(_ *AWS, g *Group, _ form) ([]elem, *refusal) {
	var all []string
	if g.Refresh != "" {
		all = append(all, g.Refresh)
	}
	return []elem{list("InstanceRefreshes", "member", all, func(status string) []elem {
		return []elem{text("InstanceRefreshId", "refresh-1"), text("Status", status)}
	})}, nil
}

func describeHooks(_ *AWS, g *Group, _ form) ([]elem, *refusal) {
	var all []string
	if g.LaunchHook {
		all = append(all, "LAUNCHING")
	}
	if g.EndHook {
		all = append(all, "TERMINATING")
	}
	return []elem{list("LifecycleHooks", "member", all, func(of string) []elem {
		return []elem{text("LifecycleHookName", "hook-"+strings.ToLower(of)), text("LifecycleTransition", "autoscaling:EC2_INSTANCE_"+of), text("HeartbeatTimeout", 3600)}
	})}, nil
}

func describeActivities(_ *AWS, g *Group, _ form) ([]elem, *refusal) {
	return []elem{list("Activities", "member", g.Activities, func(v Activity) []elem {
		return []elem{text("ActivityId", v.ID), text("Description", v.Description), text("StatusCode", v.Status), text("StatusMessage", v.Message), text("AutoScalingGroupName", g.Name)}
	})}, nil
}

const tagLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 +-=._:/@"

func updateTags(a *AWS, f form) ([]elem, *refusal) {
	for _, p := range f.objects("Tags.member") {
		g, key, value := a.Groups[f.Get(p+"ResourceId")], f.Get(p+"Key"), f.Get(p+"Value")
		if g == nil || len(value) > 256 || strings.Trim(value, tagLetters) != "" || len(key) > 128 {
			return nil, refuse("ValidationError", "Tag %s=%s is not valid", key, value)
		}
		if g.Tags[key] = value; len(g.Tags) > 50 {
			return nil, refuse("LimitExceeded", "Too many tags")
		}
		g.Propagated[key] = f.Get(p+"PropagateAtLaunch") == "true"
	}
	return nil, nil
}

func removeTags(a *AWS, f form) ([]elem, *refusal) {
	for _, p := range f.objects("Tags.member") {
		g := a.Groups[f.Get(p+"ResourceId")]
		delete(g.Tags, f.Get(p+"Key"))
		delete(g.Propagated, f.Get(p+"Key"))
	}
	return nil, nil
}

func suspend(_ *AWS, g *Group, f form) ([]elem, *refusal) {
	for _, p := range f.strings("ScalingProcesses.member") {
		g.Suspended[p] = true
	}
	return nil, nil
}

func resume(_ *AWS, g *Group, f form) ([]elem, *refusal) {
	for _, p := range f.strings("ScalingProcesses.member") {
		delete(g.Suspended, p)
	}
	return nil, nil
}

func updateGroup(a *AWS, g *Group, f form) ([]elem, *refusal) {
	most, desired := g.Max, g.Desired
	if f.Has("MaxSize") {
		if most = f.number("MaxSize"); desired > most {
			desired = most // as AWS does: it shrinks the group
		}
	}
	if f.Has("DesiredCapacity") {
		desired = f.number("DesiredCapacity")
	}
	if desired > most || desired < g.Min {
		return nil, refuse("ValidationError", "Desired capacity:%d must be between the specified min size:%d and max size:%d", desired, g.Min, most)
	}
	for _, p := range []string{"LaunchTemplate.", "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification."} {
		version := f.Get(p + "Version")
		if version == "" {
			continue
		}
		if mixed := strings.HasPrefix(p, "Mixed"); mixed != g.Mixed || mixed && !f.Has("MixedInstancesPolicy.InstancesDistribution.OnDemandBaseCapacity") {
			return nil, refuse("ValidationError", "The group's policy would be lost")
		}
		if f.Has(p+"LaunchTemplateId") == f.Has(p+"LaunchTemplateName") {
			return nil, refuse("ValidationError", "Valid requests must contain either launchTemplateId or LaunchTemplateName")
		}
		if a.Templates[g.Template].version(version) == nil {
			return nil, refuse("ValidationError", "The launch template has no version %s", version)
		}
		g.Version = version
	}
	g.Max, g.Desired = most, desired
	if f.Has("NewInstancesProtectedFromScaleIn") {
		g.ProtectNew = f.Get("NewInstancesProtectedFromScaleIn") == "true"
	}
	return nil, nil
}

func setDesired(_ *AWS, g *Group, f form) ([]elem, *refusal) {
	n := f.number("DesiredCapacity")
	if n > g.Max {
		return nil, refuse("ValidationError", "New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", n, g.Max)
	}
	if n < g.Min {
		return nil, refuse("ValidationError", "New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", n, g.Min)
	}
	g.Desired = n
	return nil, nil
}

func setProtection(_ *AWS, g *Group, f form) ([]elem, *refusal) {
	for _, id := range f.strings("InstanceIds.member") {
		at := slices.IndexFunc(g.Members, func(m *Member) bool { return m.ID == id })
		if at < 0 || g.Members[at].Life != "InService" {
			return nil, refuse("ValidationError", "The instance %s is not in InService or EnteringStandby or Standby.", id)
		}
		g.Members[at].Protected = f.Get("ProtectedFromScaleIn") == "true"
	}
	return nil, nil
}

func launchInstances(a *AWS, g *Group, f form) ([]elem, *refusal) {
	zones := f.strings("AvailabilityZones.member")
	switch {
	case g.Mixed, g.WarmPool:
		return nil, refuse("UnsupportedOperation", "The group's configuration is not supported")
	case len(zones) == 0 && len(g.Zones) > 1, len(zones) > 1, f.number("RequestedCapacity") != 1:
		return nil, refuse("ValidationError", "One Availability Zone must be specified")
	case len(zones) == 0:
		zones = g.Zones
	}
	return a.tokened(f, func() ([]elem, *refusal) {
		if !a.KeepsDesired && g.Desired == g.Max {
			return nil, refuse("ValidationError", "The requested capacity is above max value %d for the AutoScalingGroup.", g.Max)
		}
		m, no := g.launch(a, zones[0])
		out := []elem{text("AutoScalingGroupName", g.Name), text("ClientToken", f.Get("ClientToken"))}
		if no != nil {
			return append(out, group("Errors", group("member", text("ErrorCode", no.code), text("ErrorMessage", no.message), text("AvailabilityZone", zones[0])))), nil
		}
		if !a.KeepsDesired {
			g.Desired++
		}
		return append(out, group("Instances", group("member", text("AvailabilityZone", zones[0]), texts("InstanceIds", []string{m.ID})))), nil
	})
}

// terminateMember has no client token: asked twice with a decrement it counts twice.
func terminateMember(a *AWS, f form) ([]elem, *refusal) {
	id := f.Get("InstanceId")
	for _, g := range a.Groups {
		for _, m := range g.Members {
			if m.ID != id {
				continue
			}
			if f.Get("ShouldDecrementDesiredCapacity") == "true" {
				if g.Desired <= g.Min {
					return nil, refuse("ValidationError", "Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint.", g.Min)
				}
				g.Desired--
			}
			if m.counted() {
				m.leave()
			}
			return []elem{group("Activity", text("ActivityId", fmt.Sprintf("end-%s", id)), text("StatusCode", "InProgress"))}, nil
		}
	}
	return nil, refuse("ValidationError", "Instance Id not found - No managed instance found for instance ID: %s", id)
}
