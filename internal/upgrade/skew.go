package upgrade

import (
	"fmt"
	"slices"
)

// skewPolicy is where every rule in this file comes from, unless another source is named. The policy of a release binds
// by that release's documentation; the number of minors that a kubelet may be behind changed with v1.25.
const skewPolicy = "https://kubernetes.io/releases/version-skew-policy/"

// The components beside ControlPlaneComponents whose versions the policy binds to the API servers'.
const (
	CloudControllerManager = "cloud-controller-manager"
	Kubelet                = "kubelet"
	KubeProxy              = "kube-proxy"
	Kubectl                = "kubectl"
)

// Instance is one component at one place, as the policy sees it.
type Instance struct {
	Component string
	Node      string // where it runs; a kube-proxy is also held against its own node's kubelet
	Version   Version
}

// Violation is one breach of the policy, and by which rule.
type Violation struct {
	Instance
	Rule   string // what is allowed, in one line
	Source string // the rule's documentation
}

// String renders the breach on one line: what is where, and what is allowed.
func (v Violation) String() string {
	return fmt.Sprintf("%s on %s is %s; %s", v.Component, v.Node, v.Version, v.Rule)
}

// Skew is how far a component may be from the API servers, in minors.
type Skew struct {
	Behind int // the newest API server
	Ahead  int // of the oldest API server
}

// kubeletMaxBehind is how many minors a kubelet or kube-proxy may be behind an API server: three, and two for those
// before v1.25. It is the component's own version that counts.
// Source: https://kubernetes.io/releases/version-skew-policy/#kubelet
func kubeletMaxBehind(kubelet Version) int {
	if kubelet.AtLeastMinor(1, 25) {
		return 3
	}
	return 2
}

// AllowedSkew is what the policy allows a component of version v, and the rule's source. ok is false for components
// that it does not bind: etcd and CoreDNS have versions of their own.
func AllowedSkew(component string, v Version) (s Skew, source string, ok bool) {
	switch component {
	case APIServer:
		return Skew{1, 1}, skewPolicy + "#kube-apiserver", true
	case ControllerManager, Scheduler, CloudControllerManager:
		return Skew{1, 0}, skewPolicy + "#kube-controller-manager-kube-scheduler-and-cloud-controller-manager", true
	case Kubelet:
		return Skew{kubeletMaxBehind(v), 0}, skewPolicy + "#kubelet", true
	case KubeProxy:
		return Skew{kubeletMaxBehind(v), 0}, skewPolicy + "#kube-proxy", true
	case Kubectl:
		return Skew{1, 1}, skewPolicy + "#kubectl", true
	}
	return Skew{}, "", false
}

// Allows reports whether the policy allows a component of version v beside these API servers. While these are of two
// minors, the oldest is the ceiling and the newest the floor.
func Allows(component string, v Version, servers ...Version) bool {
	s, _, bound := AllowedSkew(component, v)
	if !bound || len(servers) == 0 {
		return true
	}
	oldest, newest := slices.MinFunc(servers, Version.Compare), slices.MaxFunc(servers, Version.Compare)
	return v.SameMajor(newest) && v.MinorsBehind(newest) <= s.Behind && -v.MinorsBehind(oldest) <= s.Ahead
}

// AllowedMinors are the oldest and the newest minor that the policy allows a component beside these API servers.
func AllowedMinors(component string, servers ...Version) (oldest, newest Version) {
	top := slices.MaxFunc(servers, Version.Compare)
	for minor := top.minor + 1; ; minor-- {
		v := Version{major: top.major, minor: minor}
		switch {
		case Allows(component, v, servers...):
			oldest = v
			if newest.IsZero() {
				newest = v
			}
		case !newest.IsZero():
			return oldest, newest
		}
		if minor == 0 {
			return oldest, newest
		}
	}
}

// CheckSkew says what breaks the policy among components that run side by side. The API servers among them are what the
// others are held against; without any there is nothing to say.
func CheckSkew(all []Instance) []Violation {
	var servers []Version
	kubelets := map[string]Version{}
	for _, r := range all {
		switch r.Component {
		case APIServer:
			servers = append(servers, r.Version)
		case Kubelet:
			kubelets[r.Node] = r.Version
		}
	}
	if len(servers) == 0 {
		return nil
	}
	var broken []Violation
	for _, r := range all {
		if !Allows(r.Component, r.Version, servers...) {
			_, source, _ := AllowedSkew(r.Component, r.Version)
			broken = append(broken, Violation{r, rule(r, servers), source})
		}
		if kubelet := kubelets[r.Node]; r.Component == KubeProxy && !kubelet.IsZero() {
			// Source: the policy's section on kube-proxy: as far from its node's kubelet as from the API server, either way.
			if apart := r.Version.MinorsBehind(kubelet); max(apart, -apart) > kubeletMaxBehind(r.Version) {
				broken = append(broken, Violation{r, fmt.Sprintf("at most %d minors from its node's kubelet, %s, are allowed",
					kubeletMaxBehind(r.Version), kubelet), skewPolicy + "#kube-proxy"})
			}
		}
	}
	return broken
}

// rule says what is allowed in the place of what runs.
func rule(r Instance, servers []Version) string {
	oldest, newest := slices.MinFunc(servers, Version.Compare), slices.MaxFunc(servers, Version.Compare)
	beside := "kube-apiserver " + newest.String()
	if !oldest.SameMinor(newest) {
		beside = fmt.Sprintf("kube-apiserver %s and %s", oldest, newest)
	}
	if r.Component == APIServer {
		return fmt.Sprintf("API servers may be one minor apart, these are %d: %s to %s", oldest.MinorsBehind(newest), oldest, newest)
	}
	from, to := AllowedMinors(r.Component, servers...)
	if from.IsZero() {
		return "nothing is allowed beside " + beside
	}
	return fmt.Sprintf("%s to %s are allowed beside %s", from.MinorString(), to.MinorString(), beside)
}

// supportedMinors is how many minors get patches at a time.
// Source: https://kubernetes.io/releases/version-skew-policy/#supported-versions
const supportedMinors = 3

// Supported reports whether v still gets patches when newest is the newest release.
func Supported(v, newest Version) bool {
	return v.SameMajor(newest) && v.MinorsBehind(newest) < supportedMinors && v.MinorsBehind(newest) >= 0
}

// checkKubelet says in one line why a kubelet is too old to serve under an API server, or "".
func checkKubelet(node string, kubelet, apiServer Version) string {
	if behind := kubelet.MinorsBehind(apiServer); behind > kubeletMaxBehind(kubelet) {
		return fmt.Sprintf("kubelet on %s is %s, would be %d minors behind at %s; at most %d are allowed",
			node, kubelet, behind, apiServer.MinorString(), kubeletMaxBehind(kubelet))
	}
	return ""
}

// checkKubelets finds nodes whose kubelets would fall too far behind API servers of a version.
func checkKubelets(nodes []Node, apiServer Version) []Finding {
	var found []Finding
	for _, n := range nodes {
		if problem := checkKubelet(n.Name, n.Kubelet, apiServer); problem != "" {
			found = append(found, failure(VersionSkew, n.Name, problem, "bring that kubelet within the skew policy first"))
		}
	}
	return found
}

// kubeadmAllowsKubelet reports whether kubeadm works on a node with that kubelet: three minors behind it since v1.29, one
// before.
// Source: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#kubeadm-s-skew-against-the-kubelet
func kubeadmAllowsKubelet(kubeadm, kubelet Version) bool {
	if kubeadm.AtLeastMinor(1, 29) {
		return kubelet.MinorsBehind(kubeadm) <= 3
	}
	return kubelet.MinorsBehind(kubeadm) <= 1
}

// kubeadmMaxStep is how many minors newer a kubeadm may be than the one that last managed the node.
const kubeadmMaxStep = 1

// kubeadmSkewPolicy is kubeadm's own.
const kubeadmSkewPolicy = "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/"
