package fake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (e *EKS) status() string {
	switch u := e.busy(""); {
	case e.Gone != "":
		return e.Gone
	case u != nil && u.left < u.lasts-lagging && strings.HasPrefix(u.Type, "Version"):
		return "UPDATING" // seen late
	}
	return "ACTIVE"
}

func coded(codes []string) object {
	issues := []object{}
	for _, code := range codes {
		issues = append(issues, object{"code": code, "message": "about " + code, "resourceIds": []string{"resource-1"}})
	}
	return object{"issues": issues}
}

func describeCluster(e *EKS, _ request) (object, *refusal) {
	return object{"cluster": object{
		"name": e.Name, "version": e.shown, "platformVersion": "eks.9", "status": e.status(), "health": coded(e.Issues),
		"upgradePolicy": object{"supportType": e.Support}, "computeConfig": object{"enabled": e.AutoMode},
		"resourcesVpcConfig": object{"subnetIds": slices.Sorted(maps.Keys(e.Subnets))},
	}}, nil
}

func describeVersions(e *EKS, r request) (object, *refusal) {
	wanted := r.URL.Query()["clusterVersions"]
	all := []object{}
	for i, v := range e.Offered {
		if len(wanted) == 0 || slices.Contains(wanted, v) {
			until := epoch.AddDate(1, i, 0)
			all = append(all, object{"clusterVersion": v, "versionStatus": "STANDARD_SUPPORT", "endOfStandardSupportDate": until.Unix(), "endOfExtendedSupportDate": until.AddDate(1, 0, 0).Unix()})
		}
	}
	return page(r.URL.Query(), "clusterVersions", all), nil
}

// tokened carries out what has a client token once: whoever asks again gets the same update, as it is now.
func (e *EKS) tokened(action, key, params string, do func() (*Update, *refusal)) (object, *refusal) {
	if key == "" {
		return nil, refuse(400, "InvalidParameterException", "clientRequestToken is missing")
	}
	if was, ok := e.tokens[action+" "+key]; ok {
		if was.params != params {
			return nil, refuse(400, "InvalidParameterException", "clientRequestToken was used with other parameters")
		}
		return object{"update": was.update.shown()}, nil
	}
	u, no := do()
	if no != nil {
		return nil, no
	}
	e.tokens[action+" "+key] = asked{params, u}
	return object{"update": u.shown()}, nil
}

func (e *EKS) inUse(part, kind string) *refusal {
	if u := e.busy(part); u != nil {
		return refuse(409, "ResourceInUseException", "Cannot %s because cluster %s currently has update %s in progress", kind, e.Name, u.ID)
	}
	if part == "" && e.Hidden > 0 {
		return refuse(409, "ResourceInUseException", "Cannot %s because cluster %s currently has an update in progress", kind, e.Name)
	}
	return nil
}

func updateCluster(e *EKS, r request) (object, *refusal) {
	var in struct {
		Version            string
		ClientRequestToken string
		Force              bool
	}
	if no := r.read(&in); no != nil {
		return nil, no
	}
	return e.tokened("cluster", in.ClientRequestToken, fmt.Sprint(in.Version, in.Force), func() (*Update, *refusal) {
		kind, category := "VersionUpdate", "UPGRADE_READINESS"
		if minor(in.Version) < minor(e.Version) {
			kind, category = "VersionRollback", "ROLLBACK_READINESS"
		}
		if no := e.inUse("", kind); no != nil {
			return nil, no
		}
		switch by := minor(in.Version) - minor(e.Version); {
		case !slices.Contains(e.Offered, in.Version):
			return nil, refuse(400, "InvalidParameterException", "unsupported Kubernetes version")
		case by == 0:
			return nil, refuse(400, "InvalidParameterException", "Cluster is already at version %s", e.Version)
		case by > 1 || by < -1:
			return nil, refuse(400, "InvalidParameterException", "Unsupported Kubernetes minor version update from %s to %s", e.Version, in.Version)
		case by < 0 && !e.Upgraded:
			return nil, refuse(400, "InvalidRequestException", "Cluster cannot be rolled back to %s", in.Version)
		}
		for _, i := range e.Insights {
			if !in.Force && i.Category == category && i.Status == "ERROR" && (i.Version == "" || i.Version == in.Version) {
				return nil, refuse(400, "InvalidStateException", "Amazon EKS detected readiness issues")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(e.Groups)) {
			if g := e.Groups[name]; e.Strict && g.Version != e.Version && kind == "VersionUpdate" {
				return nil, refuse(400, "InvalidRequestException", "Nodegroups %s must be updated to match cluster version %s before updating cluster version", name, e.Version)
			}
		}
		return e.Begin("", kind, [][2]string{{"Version", in.Version}, {"PlatformVersion", "eks.1"}}, func() string {
			if e.free() < 5 {
				return "IpNotAvailable"
			}
			e.Version, e.Upgraded, e.lag = in.Version, kind == "VersionUpdate", lagging
			return ""
		}), nil
	})
}

func (u *Update) shown() object {
	params, errors := []object{}, []object{}
	for _, p := range u.Params {
		params = append(params, object{"type": p[0], "value": p[1]})
	}
	for _, code := range u.Errors {
		errors = append(errors, object{"errorCode": code, "errorMessage": "about " + code, "resourceIds": []string{"resource-1"}})
	}
	return object{"id": u.ID, "type": u.Type, "status": u.Status, "params": params, "errors": errors, "createdAt": u.Created.Unix()}
}

// part is the one that a request about updates names.
func part(r request) string {
	q := r.URL.Query()
	switch {
	case q.Get("addonName") != "":
		return "addon/" + q.Get("addonName")
	case q.Get("nodegroupName") != "":
		return "group/" + q.Get("nodegroupName")
	}
	return ""
}

func listUpdates(e *EKS, r request) (object, *refusal) {
	ids := []string{}
	for _, u := range e.Updates {
		if u.Part == part(r) {
			ids = append(ids, u.ID)
		}
	}
	return page(r.URL.Query(), "updateIds", ids), nil
}

func describeUpdate(e *EKS, r request) (object, *refusal) {
	for _, u := range e.Updates {
		if u.Part == part(r) && u.ID == r.PathValue("id") {
			return object{"update": u.shown()}, nil
		}
	}
	return nil, refuse(404, "ResourceNotFoundException", "No update found for ID: %s", r.PathValue("id"))
}

func listFargate(e *EKS, r request) (object, *refusal) {
	return page(r.URL.Query(), "fargateProfileNames", e.Fargate), nil
}
