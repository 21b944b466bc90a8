package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// RemovedAPI is a version of an API that a release removes.
type RemovedAPI struct {
	Group, Version string
	Resources      []string
	// Removed is the first release that does not serve it.
	Removed Version
	// Objects: what is stored of it must be deleted before that release, which cannot read it.
	Objects bool
}

// RemovedAPIs are those that are removed from v1.25 on and can hold objects.
// Source: the methods APILifecycleRemoved of k8s.io/api (v0.37.2; of autoscaling/v2beta2 v0.36.3), and for objects that
// must be deleted the release's notes.
var RemovedAPIs = []RemovedAPI{
	removed(25, "batch", "v1beta1", "cronjobs"),
	removed(25, "discovery.k8s.io", "v1beta1", "endpointslices"),
	removed(25, "events.k8s.io", "v1beta1", "events"),
	removed(25, "node.k8s.io", "v1beta1", "runtimeclasses"),
	removed(25, "policy", "v1beta1", "poddisruptionbudgets", "podsecuritypolicies"),
	removed(25, "autoscaling", "v2beta1", "horizontalpodautoscalers"),
	removed(26, "autoscaling", "v2beta2", "horizontalpodautoscalers"),
	removed(26, "flowcontrol.apiserver.k8s.io", "v1beta1", "flowschemas", "prioritylevelconfigurations"),
	removed(27, "storage.k8s.io", "v1beta1", "csistoragecapacities"),
	removed(29, "flowcontrol.apiserver.k8s.io", "v1beta2", "flowschemas", "prioritylevelconfigurations"),
	removed(32, "flowcontrol.apiserver.k8s.io", "v1beta3", "flowschemas", "prioritylevelconfigurations"),
	removed(32, "admissionregistration.k8s.io", "v1alpha1", "validatingadmissionpolicies", "validatingadmissionpolicybindings"),
	removed(34, "admissionregistration.k8s.io", "v1beta1", "validatingadmissionpolicies", "validatingadmissionpolicybindings"),
	removed(35, "storage.k8s.io", "v1alpha1", "volumeattributesclasses"),
	removed(37, "certificates.k8s.io", "v1alpha1", "clustertrustbundles"),
	removed(37, "networking.k8s.io", "v1beta1", "ipaddresses", "servicecidrs"),
	removed(37, "storage.k8s.io", "v1beta1", "volumeattributesclasses"),
	{"scheduling.k8s.io", "v1alpha2", []string{"workloads", "podgroups"}, firstOf(37), true},
	removed(38, "admissionregistration.k8s.io", "v1alpha1", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
	removed(38, "coordination.k8s.io", "v1alpha2", "leasecandidates"),
	removed(38, "resource.k8s.io", "v1beta1", "deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"),
	removed(39, "coordination.k8s.io", "v1beta1", "leasecandidates"),
	removed(39, "resource.k8s.io", "v1alpha3", "devicetaintrules"),
	removed(39, "resource.k8s.io", "v1beta2", "deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"),
	removed(40, "admissionregistration.k8s.io", "v1beta1", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
	removed(40, "certificates.k8s.io", "v1beta1", "clustertrustbundles", "podcertificaterequests"),
	removed(40, "storagemigration.k8s.io", "v1beta1", "storageversionmigrations"),
	removed(42, "resource.k8s.io", "v1alpha3", "resourcepoolstatusrequests"),
	removed(42, "resource.k8s.io", "v1beta2", "devicetaintrules"),
	removed(43, "lifecycle.k8s.io", "v1alpha1", "evictions", "evictionrequests"),
	removed(43, "scheduling.k8s.io", "v1beta1", "podgroups", "workloads"),
}

func removed(minor uint64, group, version string, resources ...string) RemovedAPI {
	return RemovedAPI{group, version, resources, firstOf(minor), false}
}

// APIUse is a version of an API that is in use, or was, and that a release removes.
type APIUse struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
	// Removed is the first release without it, as the API servers say; zero where they said nothing: RemovedAPIs knows.
	Removed Version `json:"removed,omitzero"`
	// Requested are the nodes whose API servers were asked for it since they started, once or a thousand times.
	Requested []string `json:"requested,omitempty"`
	// Managers wrote objects with it, some time, by the names in the objects' managedFields.
	Managers []string `json:"managers,omitempty"`
	// Objects: at least one is stored that must be deleted before; see RemovedAPI.
	Objects bool `json:"objects,omitempty"`
}

// removal is the first release that does not serve it, or zero.
func (u APIUse) removal() Version {
	for _, r := range RemovedAPIs {
		if r.Group == u.Group && r.Version == u.Version && slices.Contains(r.Resources, u.Resource) {
			return r.Removed
		}
	}
	return u.Removed
}

const deprecationGuide = "https://kubernetes.io/docs/reference/using-api/deprecation-guide/"

// checkAPIs finds APIs in use that a release on the way removes. Only a request is an error: that an object was written
// with a version once says little of who uses it now.
func checkAPIs(c Cluster, p Plan) []Finding {
	oldest := p.oldest()
	var found []Finding
	for _, u := range c.APIs {
		gone := u.removal()
		if gone.IsZero() || !onTheWay(gone.minor, oldest, p.Target) {
			continue
		}
		f := Finding{ID: APIRemoved, Severity: SeverityWarning, Target: u.Resource + "." + u.Version + "." + u.Group,
			Message: "removed in " + gone.MinorString() + ", which is on the way",
			Remedy:  "move its clients to a newer version of the API before", Source: deprecationGuide}
		switch {
		case u.Objects:
			f.Severity, f.Source = SeverityError, sourceOr("", gone.minor)
			f.Message += ", and objects of it are stored that it cannot read"
			f.Remedy = "delete them before"
		case len(u.Requested) > 0:
			f.Severity = SeverityError
			f.Message += fmt.Sprintf(", and asked for at least once since kube-apiserver started on %s", strings.Join(u.Requested, ", "))
		default:
			f.Message += ", and objects were written with it once, not since the API servers started"
		}
		if len(u.Managers) > 0 {
			f.Message += fmt.Sprintf(" (written by %s)", strings.Join(u.Managers, ", "))
		}
		found = append(found, f)
	}
	return found
}
