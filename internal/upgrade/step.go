package upgrade

// Step is one thing done to one node. Each is observed first, done if needed, and verified.
type Step string

const (
	InstallKubeadm      Step = "installKubeadm"
	UpgradeControlPlane Step = "upgradeControlPlane" // kubeadm upgrade apply, or node on further control planes
	UpgradeNodeConfig   Step = "upgradeNodeConfig"   // kubeadm upgrade node on a worker
	DrainNode           Step = "drainNode"
	InstallKubelet      Step = "installKubelet"
	RestartKubelet      Step = "restartKubelet"
	VerifyNode          Step = "verifyNode"
	UncordonNode        Step = "uncordonNode"
)

// Title is what people see: in `pawl watch`, in the report and in Temporal's UI.
func (s Step) Title() string {
	switch s {
	case InstallKubeadm:
		return "Install kubeadm"
	case UpgradeControlPlane:
		return "Upgrade control plane"
	case UpgradeNodeConfig:
		return "Upgrade node configuration"
	case DrainNode:
		return "Drain"
	case InstallKubelet:
		return "Install kubelet and kubectl"
	case RestartKubelet:
		return "Restart kubelet"
	case VerifyNode:
		return "Verify"
	case UncordonNode:
		return "Uncordon"
	}
	return string(s)
}

// KubeadmSteps is the runbook of one node of a kubeadm cluster. The kubelet is replaced on a drained node only, as the
// version skew policy demands for a minor upgrade; the static pods are upgraded before, so that the kubelet is never
// newer than its API server.
func KubeadmSteps(role Role, staysCordoned bool) []Step {
	upgrade := UpgradeControlPlane
	if role == Worker {
		upgrade = UpgradeNodeConfig
	}
	steps := []Step{InstallKubeadm, upgrade, DrainNode, InstallKubelet, RestartKubelet, VerifyNode}
	if !staysCordoned {
		steps = append(steps, UncordonNode)
	}
	return steps
}
