package fake

import (
	"fmt"
	"maps"
	"slices"
)

func listAddons(e *EKS, r request) (object, *refusal) {
	return page(r.URL.Query(), "addons", slices.Sorted(maps.Keys(e.Addons))), nil
}

func (e *EKS) addonStatus(name string) string {
	if e.busy("addon/"+name) != nil {
		return "UPDATING"
	}
	return e.Addons[name].Status
}

func describeAddon(e *EKS, r request) (object, *refusal) {
	name := r.PathValue("name")
	a := e.Addons[name]
	if a == nil {
		return nil, refuse(404, "ResourceNotFoundException", "No addon: %s found in cluster: %s", name, e.Name)
	}
	o := object{"addonName": name, "addonVersion": a.Version, "status": e.addonStatus(name), "owner": "aws", "publisher": a.Publisher, "podIdentityAssociations": a.Pods, "health": coded(nil)}
	if a.Status == "DEGRADED" {
		o["health"] = coded([]string{"InsufficientNumberOfReplicas"})
	}
	if a.Config != "" {
		o["configurationValues"] = a.Config
	}
	if a.Role != "" {
		o["serviceAccountRoleArn"] = a.Role
	}
	return object{"addon": o}, nil
}

func describeAddonVersions(e *EKS, r request) (object, *refusal) {
	name := r.URL.Query().Get("addonName")
	list := []object{}
	for _, v := range e.Catalogue[name] {
		compatible := []object{}
		for _, minor := range v.For {
			compatible = append(compatible, object{"clusterVersion": minor, "defaultVersion": slices.Contains(v.Default, minor), "platformVersions": []string{"*"}})
		}
		list = append(list, object{"addonVersion": v.Version, "compatibilities": compatible, "requiresConfiguration": false, "requiresIamPermissions": false})
	}
	return object{"addons": []object{{"addonName": name, "owner": "aws", "publisher": "eks", "addonVersions": list}}}, nil
}

func updateAddon(e *EKS, r request) (object, *refusal) {
	var in struct {
		AddonVersion, ClientRequestToken, ConfigurationValues, ResolveConflicts, ServiceAccountRoleArn string
		PodIdentityAssociations                                                                        *[]object
	}
	if no := r.read(&in); no != nil {
		return nil, no
	}
	name := r.PathValue("name")
	a := e.Addons[name]
	if a == nil {
		return nil, refuse(404, "ResourceNotFoundException", "No addon: %s found in cluster: %s", name, e.Name)
	}
	params := fmt.Sprint(name, in.AddonVersion, in.ConfigurationValues, in.ResolveConflicts, in.ServiceAccountRoleArn)
	return e.tokened("addon", in.ClientRequestToken, params, func() (*Update, *refusal) {
		if no := e.inUse("addon/"+name, "AddonUpdate"); no != nil {
			return nil, no
		}
		if !slices.ContainsFunc(e.Catalogue[name], func(v AddonVersion) bool { return v.Version == in.AddonVersion && slices.Contains(v.For, e.Version) }) {
			return nil, refuse(400, "InvalidParameterException", "Addon version specified is not supported")
		}
		return e.Begin("addon/"+name, "AddonUpdate", [][2]string{{"AddonVersion", in.AddonVersion}, {"ResolveConflicts", in.ResolveConflicts}}, func() string {
			if a.Conflict && in.ResolveConflicts != "PRESERVE" && in.ResolveConflicts != "OVERWRITE" {
				return "ConfigurationConflict"
			}
			a.Version, a.Config, a.Role = in.AddonVersion, in.ConfigurationValues, in.ServiceAccountRoleArn
			a.Overwritten = a.Overwritten || in.ResolveConflicts == "OVERWRITE"
			if in.PodIdentityAssociations != nil {
				a.Pods = nil
			}
			return ""
		}), nil
	})
}
