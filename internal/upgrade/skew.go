package upgrade

import "fmt"

// kubeletMaxBehind is how many minors a kubelet may be behind its API server: three, and two for kubelets before v1.25.
// Source: https://kubernetes.io/releases/version-skew-policy/#kubelet
func kubeletMaxBehind(kubelet Version) int {
	if kubelet.AtLeastMinor(1, 25) {
		return 3
	}
	return 2
}

// checkKubelet says in one line why a kubelet may not serve under an API server, or "".
func checkKubelet(node string, kubelet, apiServer Version) string {
	switch behind := kubelet.MinorsBehind(apiServer); {
	case behind < 0:
		return fmt.Sprintf("kubelet on %s is %s, newer than kube-apiserver %s", node, kubelet, apiServer)
	case behind > kubeletMaxBehind(kubelet):
		return fmt.Sprintf("kubelet on %s is %s, would be %d minors behind at %s; at most %d are allowed",
			node, kubelet, behind, apiServer.MinorString(), kubeletMaxBehind(kubelet))
	}
	return ""
}

// checkPath says in one line why a control plane may not go from one version to another in one hop, and what to do
// instead. Source: https://kubernetes.io/releases/version-skew-policy/#kube-apiserver-1 (never skip a minor).
func checkPath(from, to Version) (problem, remedy string) {
	switch {
	case !from.SameMajor(to):
		return fmt.Sprintf("%s to %s crosses a major version", from, to), "choose a target of the same major version"
	case to.Less(from):
		return fmt.Sprintf("%s to %s is a downgrade, which Kubernetes does not support", from, to),
			"choose a target of " + from.String() + " or newer"
	case from.MinorsBehind(to) > 1:
		return fmt.Sprintf("%s to %s skips a minor version; the control plane moves one minor at a time", from, to),
			"upgrade to " + from.NextMinor() + " first"
	}
	return "", ""
}
