package upgrade

import "fmt"

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
	oldest := oldestControlPlane(p.Current, p.Nodes)
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
