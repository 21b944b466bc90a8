package fake

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

func listGroups(e *EKS, r request) (object, *refusal) {
	return page(r.URL.Query(), "nodegroups", slices.Sorted(maps.Keys(e.Groups))), nil
}

func describeGroup(e *EKS, r request) (object, *refusal) {
	name := r.PathValue("name")
	g := e.Groups[name]
	if g == nil {
		return nil, refuse(404, "ResourceNotFoundException", "No node group found for name: %s.", name)
	}
	status := g.Status
	if e.busy("group/"+name) != nil {
		status = "UPDATING"
	}
	strategy := "DEFAULT"
	if g.Minimal {
		strategy = "MINIMAL"
	}
	o := object{
		"nodegroupName": name, "version": g.Version, "releaseVersion": g.Release, "amiType": g.AMIType, "status": status, "capacityType": "ON_DEMAND", "health": coded(g.Issues),
		"scalingConfig": object{"minSize": 1, "maxSize": g.Desired + 2, "desiredSize": g.Desired}, "updateConfig": object{"maxUnavailable": g.MaxUnavailable, "updateStrategy": strategy},
	}
	if g.Template != "" {
		o["launchTemplate"] = object{"id": g.Template, "version": g.TemplateVersion}
	}
	return object{"nodegroup": o}, nil
}

func updateGroup(e *EKS, r request) (object, *refusal) {
	var in struct {
		Version, ReleaseVersion, ClientRequestToken string
		Force                                       bool
		LaunchTemplate                              *struct{ ID, Name, Version string }
	}
	if no := r.read(&in); no != nil {
		return nil, no
	}
	name := r.PathValue("name")
	g := e.Groups[name]
	if g == nil {
		return nil, refuse(404, "ResourceNotFoundException", "No node group found for name: %s.", name)
	}
	template := ""
	if in.LaunchTemplate != nil {
		template = in.LaunchTemplate.ID + in.LaunchTemplate.Version
	}
	return e.tokened("group", in.ClientRequestToken, fmt.Sprint(name, in.Version, in.Force, template), func() (*Update, *refusal) {
		if no := e.inUse("group/"+name, "VersionUpdate"); no != nil {
			return nil, no
		}
		custom := g.AMIType == "CUSTOM"
		switch {
		case custom && (in.Version != "" || in.ReleaseVersion != ""):
			return nil, refuse(400, "InvalidParameterException", "You cannot specify a version for a node group with a custom image")
		case !custom && minor(in.Version) > minor(e.Version):
			return nil, refuse(400, "InvalidParameterException", "Requested Nodegroup version %s is newer than cluster version %s", in.Version, e.Version)
		case in.LaunchTemplate != nil && in.LaunchTemplate.ID != g.Template:
			return nil, refuse(400, "InvalidParameterException", "launch template must be the one that the node group was made with")
		}
		params := [][2]string{{"Version", in.Version}, {"ReleaseVersion", in.Version + ".3-20261110"}}
		if custom {
			params = [][2]string{{"LaunchTemplateVersion", in.LaunchTemplate.Version}}
		}
		return e.Begin("group/"+name, "VersionUpdate", params, func() string {
			if g.Blocked && !in.Force {
				return "PodEvictionFailure"
			}
			g.Replaced++
			if custom {
				n, _ := strconv.Atoi(in.LaunchTemplate.Version)
				g.TemplateVersion, g.Release = in.LaunchTemplate.Version, e.Templates[g.Template].Images[n-1]
				return ""
			}
			g.Version, g.Release = in.Version, in.Version+".3-20261110"
			return ""
		}), nil
	})
}
