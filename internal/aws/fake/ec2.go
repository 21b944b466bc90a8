package fake

import (
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

var ec2Actions = map[string]func(*AWS, form) ([]elem, *refusal){
	"DescribeInstances":              describeInstances,
	"DescribeInstanceAttribute":      describeInstanceAttribute,
	"DescribeImages":                 describeImages,
	"DescribeSubnets":                describeSubnets,
	"DescribeLaunchTemplateVersions": describeVersions,
	"CreateLaunchTemplateVersion":    createVersion,
	"DeleteLaunchTemplateVersions":   deleteVersions,
	"CreateTags":                     createTags,
	"DeleteTags":                     deleteTags,
	"RunInstances":                   runInstances,
	"TerminateInstances":             terminateInstances,
}

// matches applies the filters of a request.
func (i *Instance) matches(f form) bool {
	for _, p := range f.objects("Filter") {
		name, have := f.Get(p+"Name"), ""
		switch key, isTag := strings.CutPrefix(name, "tag:"); {
		case isTag:
			have = i.Tags[key]
		case name == "instance-id":
			have = i.ID
		case name == "private-ip-address":
			have = i.IP
			if i.State == "terminated" {
				have = ""
			}
		}
		if have == "" || !slices.Contains(f.strings(p+"Value"), have) {
			return false
		}
	}
	return true
}

func describeInstances(a *AWS, f form) ([]elem, *refusal) {
	var found []*Instance
	for _, id := range slices.Sorted(maps.Keys(a.Instances)) {
		if i := a.Instances[id]; i.lag == 0 && i.matches(f) {
			found = append(found, i)
		}
	}
	return []elem{list("reservationSet", "item", found, func(i *Instance) []elem {
		return []elem{list("instancesSet", "item", []*Instance{i}, instance)}
	})}, nil
}

func instance(i *Instance) []elem {
	all := []elem{text("instanceId", i.ID), text("imageId", i.Image), group("instanceState", text("name", i.State)), tagSet(i.Tags)}
	if i.State != "terminated" {
		all = append(all, text("privateIpAddress", i.IP), text("subnetId", i.Subnet))
	} else {
		all = append(all, group("stateReason", text("code", "Server.InternalError"), text("message", "Server.InternalError: it died")))
	}
	return append(all, group("placement", text("availabilityZone", i.Zone)))
}

func tagSet(tags map[string]string) elem {
	return list("tagSet", "item", slices.Sorted(maps.Keys(tags)), func(key string) []elem {
		return []elem{text("key", key), text("value", tags[key])}
	})
}

func describeInstanceAttribute(a *AWS, f form) ([]elem, *refusal) {
	i := a.Instances[f.Get("InstanceId")]
	if i == nil || f.Get("Attribute") != "disableApiTermination" {
		return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", f.Get("InstanceId"))
	}
	return []elem{text("instanceId", i.ID), group("disableApiTermination", text("value", i.Protected))}, nil
}

func describeImages(a *AWS, f form) ([]elem, *refusal) {
	var found []*Image
	for _, id := range f.strings("ImageId") {
		if a.Images[id] == nil {
			return nil, refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
		found = append(found, a.Images[id])
	}
	for _, p := range f.objects("Filter") {
		for _, id := range slices.Sorted(maps.Keys(a.Images)) {
			if ok, _ := path.Match(f.Get(p+"Value.1"), a.Images[id].Name); ok {
				found = append(found, a.Images[id])
			}
		}
	}
	return []elem{list("imagesSet", "item", found, func(i *Image) []elem {
		return []elem{text("imageId", i.ID), text("name", i.Name), text("imageState", i.State), text("creationDate", i.Created)}
	})}, nil
}

func describeSubnets(a *AWS, f form) ([]elem, *refusal) {
	for _, id := range f.strings("SubnetId") {
		if a.Subnets[id] == "" {
			return nil, refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
		}
	}
	return []elem{list("subnetSet", "item", f.strings("SubnetId"), func(id string) []elem {
		return []elem{text("subnetId", id), text("availabilityZone", a.Subnets[id])}
	})}, nil
}

func (a *AWS) template(f form, prefix string) (*Template, *refusal) {
	id, name := f.Get(prefix+"LaunchTemplateId"), f.Get(prefix+"LaunchTemplateName")
	for _, t := range a.Templates {
		if id != "" && t.ID == id || id == "" && t.Name == name {
			return t, nil
		}
	}
	return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist", id+name)
}

// version finds one by its number, or by $Latest or $Default.
func (t *Template) version(named string) *Version {
	n, _ := strconv.Atoi(named)
	switch named {
	case "$Latest":
		return t.Versions[len(t.Versions)-1]
	case "$Default":
		n = t.Default
	}
	for _, v := range t.Versions {
		if v.Number == n {
			return v
		}
	}
	return nil
}

func describeVersions(a *AWS, f form) ([]elem, *refusal) {
	t, no := a.template(f, "")
	if no != nil {
		return nil, no
	}
	found := t.Versions
	if named := f.strings("LaunchTemplateVersion"); len(named) > 0 {
		found = nil
		for _, n := range named {
			if v := t.version(n); v != nil {
				found = append(found, v)
			} else {
				return nil, refuse("InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version %s", n)
			}
		}
	}
	return []elem{list("launchTemplateVersionSet", "item", found, t.elems)}, nil
}

func (t *Template) elems(v *Version) []elem {
	data := []elem{text("imageId", v.Image), text("instanceType", "m5.large")}
	if len(v.Tags) > 0 {
		data = append(data, group("tagSpecificationSet", group("item", text("resourceType", "instance"), tagSet(v.Tags))))
	}
	if v.Interface {
		data = append(data, group("networkInterfaceSet", group("item", text("deviceIndex", 0), text("associatePublicIpAddress", true))))
	}
	if v.Metadata {
		data = append(data, group("metadataOptions", text("httpTokens", "required"), text("httpPutResponseHopLimit", 1)))
	}
	return []elem{text("launchTemplateId", t.ID), text("launchTemplateName", t.Name), text("versionNumber", v.Number),
		text("versionDescription", v.Description), text("defaultVersion", v.Number == t.Default), group("launchTemplateData", data...)}
}

func createVersion(a *AWS, f form) ([]elem, *refusal) {
	t, no := a.template(f, "")
	if no != nil {
		return nil, no
	}
	return a.tokened(f, func() ([]elem, *refusal) {
		source := t.version(f.Get("SourceVersion"))
		if source == nil {
			return nil, refuse("InvalidLaunchTemplateId.VersionNotFound", "Could not find the source version")
		}
		v := *source
		t.made++
		v.Number, v.Description = t.made, f.Get("VersionDescription")
		if image := f.Get("LaunchTemplateData.ImageId"); image != "" {
			v.Image = image
		}
		t.Versions = append(t.Versions, &v)
		return []elem{group("launchTemplateVersion", t.elems(&v)...)}, nil
	})
}

func deleteVersions(a *AWS, f form) ([]elem, *refusal) {
	t, no := a.template(f, "")
	if no != nil {
		return nil, no
	}
	for _, n := range f.strings("LaunchTemplateVersion") {
		t.Versions = slices.DeleteFunc(t.Versions, func(v *Version) bool { return strconv.Itoa(v.Number) == n && v.Number != t.Default })
	}
	return nil, nil
}

func createTags(a *AWS, f form) ([]elem, *refusal) {
	for _, id := range f.strings("ResourceId") {
		if i := a.Instances[id]; i == nil || i.lag > 0 {
			return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
	}
	for _, id := range f.strings("ResourceId") {
		for _, p := range f.objects("Tag") {
			a.Instances[id].Tags[f.Get(p+"Key")] = f.Get(p + "Value")
		}
	}
	return []elem{text("return", true)}, nil
}

func deleteTags(a *AWS, f form) ([]elem, *refusal) {
	for _, id := range f.strings("ResourceId") {
		for _, p := range f.objects("Tag") {
			delete(a.Instances[id].Tags, f.Get(p+"Key"))
		}
	}
	return []elem{text("return", true)}, nil
}

func runInstances(a *AWS, f form) ([]elem, *refusal) {
	t, no := a.template(f, "LaunchTemplate.")
	if no != nil {
		return nil, no
	}
	return a.tokened(f, func() ([]elem, *refusal) {
		v := t.version(f.Get("LaunchTemplate.Version"))
		if v == nil {
			return nil, refuse("InvalidLaunchTemplateId.VersionNotFound", "Could not find the version")
		}
		subnet, byInterface := f.Get("SubnetId"), f.Get("NetworkInterface.1.SubnetId")
		if subnet != "" && (v.Interface || byInterface != "") {
			return nil, refuse("InvalidParameterCombination", "Network interfaces and an instance-level subnet ID may not be specified on the same request")
		}
		zone := a.Subnets[subnet+byInterface]
		if zone == "" {
			return nil, refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", subnet+byInterface)
		}
		if code := a.Capacity[zone]; code != "" {
			return nil, refuse(code, "We currently do not have sufficient capacity in the Availability Zone you requested (%s).", zone)
		}
		i := a.Make(zone, false)
		i.Subnet, i.Interface, i.Image, i.Template, i.Version = subnet+byInterface, byInterface != "", v.Image, t.Name, strconv.Itoa(v.Number)
		if image := f.Get("ImageId"); image != "" {
			i.Image = image
		}
		data, _ := base64.StdEncoding.DecodeString(f.Get("UserData"))
		i.UserData = string(data)
		for _, p := range f.objects("TagSpecification.1.Tag") {
			i.Tags[f.Get(p+"Key")] = f.Get(p + "Value")
		}
		return []elem{list("instancesSet", "item", []*Instance{i}, instance)}, nil
	})
}

func terminateInstances(a *AWS, f form) ([]elem, *refusal) {
	for _, id := range f.strings("InstanceId") {
		i := a.Instances[id]
		if i == nil {
			return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
		if i.Protected {
			return nil, refuse("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", id)
		}
		i.end()
	}
	return nil, nil
}
