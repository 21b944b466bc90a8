package upgrade

import (
	"fmt"
	"slices"
)

// CloudControllersLeft is the id of the finding on what a person has to do about cloud-controller-managers.
const CloudControllersLeft = CloudControllerManager

// CloudController is a cloud-controller-manager. Each is its provider's, with releases of its own, and pawl leaves it as it is.
type CloudController struct {
	Where   string `json:"where"`             // DaemonSet kube-system/openstack-cloud-controller-manager
	Version string `json:"version,omitempty"` // as its image's tag says
}

// cloudControllers are those of the cluster: workloads, and units of hosts.
func (c Cluster) cloudControllers() []CloudController {
	all := slices.Clone(c.CloudControllers)
	if c.ByHand == nil {
		return all
	}
	for _, h := range c.ByHand.Hosts {
		for _, unit := range h.CloudControllers {
			all = append(all, CloudController{Where: unit + " on " + h.Node})
		}
	}
	return all
}

// checkCloudControllers says what a person has to do: the policy lets them be one minor older than the API servers.
func checkCloudControllers(c Cluster, p Plan, hops []Hop) []Finding {
	var found []Finding
	for _, cloud := range c.cloudControllers() {
		f := Finding{ID: CloudControllersLeft, Severity: SeverityInfo, Target: cloud.Where, Source: skewPolicy + "#kube-controller-manager-kube-scheduler-and-cloud-controller-manager",
			Message: "a cloud-controller-manager is its provider's, and stays as it is", Remedy: fmt.Sprintf("afterwards bring it to its release for %s", p.Target.MinorString())}
		if at := p.oldest(); len(hops) > 1 && at.MinorsBehind(p.Target) > 1 {
			f.Severity = SeverityWarning
			f.Message += "; it may be at most one minor older than the API servers"
			f.Remedy = "bring it along after each hop (start --approve hop waits for you before the next)"
		}
		found = append(found, f)
	}
	return found
}
