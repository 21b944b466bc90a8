package upgrade

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// etcdStep is a move of etcd to a newer minor that a release of Kubernetes brings, and from where etcd supports it.
type etcdStep struct {
	kubernetes Version // the first release whose kubeadm brings it
	brings     Version // etcd's
	least      Version // that every member must have before
	source     string
}

// etcdSteps are those of which etcd says that an older patch is not enough. kubeadm compares image tags only and goes on,
// also from the member that the kubeadm of the minor before brought.
var etcdSteps = []etcdStep{
	{MustVersion("v1.34.0"), MustVersion("v3.6.0"), MustVersion("v3.5.32"), "https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/"},
	{MustVersion("v1.37.0"), MustVersion("v3.7.0"), MustVersion("v3.6.11"), "https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/"},
}

// checkEtcd finds members that are older than what etcd wants before a move on the way.
func checkEtcd(p Plan) []Finding {
	oldest := p.oldest()
	var found []Finding
	for _, step := range etcdSteps {
		if !oldest.Less(step.kubernetes) || p.Target.Less(step.kubernetes) {
			continue // not on the way
		}
		for _, n := range p.Nodes {
			has, err := ParseVersion(n.EtcdImage)
			has.pre = "" // the number of the image's build: 3.6.8-0
			if err != nil || !has.Less(step.least) {
				continue
			}
			found = append(found, Finding{ID: EtcdVersion, Severity: SeverityError, Target: n.Name,
				Message: fmt.Sprintf("etcd is %s; before %s, which kubeadm of %s brings, etcd wants every member at %s or newer",
					has.Number(), step.brings.Number(), step.kubernetes.MinorString(), step.least.Number()),
				Remedy: "bring etcd there first: such a release as etcd.local.imageTag in kubeadm's ClusterConfiguration, kubeadm upgrade apply --force of the version that it has, then without the tag again",
				Source: step.source})
		}
	}
	return found
}

// checkMembers looks at the etcd members of the control plane nodes side by side.
func checkMembers(p Plan) []Finding {
	const source = "https://etcd.io/docs/latest/faq/#why-an-odd-number-of-cluster-members"
	var with, without []string
	at := map[string][]string{} // by version
	for _, n := range p.Nodes {
		switch {
		case !n.ControlPlane:
		case n.EtcdImage == "":
			without = append(without, n.Name)
		default:
			with = append(with, n.Name)
			at[n.EtcdImage] = append(at[n.EtcdImage], n.Name)
		}
	}
	if len(with) == 0 {
		return nil // external, or not seen
	}
	var found []Finding
	warn := func(severity Severity, message, remedy, source string) {
		found = append(found, Finding{ID: EtcdMembers, Severity: severity, Target: p.Cluster, Message: message, Remedy: remedy, Source: source})
	}
	if len(without) > 0 {
		warn(SeverityWarning, fmt.Sprintf("%s has no etcd member, though %s has", strings.Join(without, ", "), strings.Join(with, ", ")),
			"look why; a kubeadm cluster has one on every control plane node", "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ha-topology/")
	}
	if len(at) > 1 {
		var all []string
		for _, tag := range slices.Sorted(maps.Keys(at)) {
			all = append(all, tag+" on "+strings.Join(at[tag], ", "))
		}
		warn(SeverityWarning, "etcd members are of different versions: "+strings.Join(all, "; "),
			"an upgrade that was begun is finished by this one; else bring them to one version first", "https://etcd.io/docs/latest/upgrades/upgrading-etcd/")
	}
	switch {
	case len(with) == 2:
		warn(SeverityWarning, "etcd has 2 members: while one restarts, it has no quorum and the API is away", "add a control plane node, or expect it", source)
	case len(with)%2 == 0:
		warn(SeverityInfo, fmt.Sprintf("etcd has %d members, which bear no more failures than %d would", len(with), len(with)-1), "", source)
	}
	return found
}
