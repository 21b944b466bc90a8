package upgrade

// Step is one thing done to one node. Each is observed first, done if needed, and verified.
type Step string

// The steps.
const (
	InstallKubeadm      Step = "installKubeadm"
	UpgradeControlPlane Step = "upgradeControlPlane" // kubeadm upgrade apply, or node on further control planes
	VerifyControlPlane  Step = "verifyControlPlane"  // every API server and etcd member healthy again
	UpgradeNodeConfig   Step = "upgradeNodeConfig"   // kubeadm upgrade node on a worker
	DrainNode           Step = "drainNode"
	InstallKubelet      Step = "installKubelet"
	RestartKubelet      Step = "restartKubelet"
	VerifyNode          Step = "verifyNode"
	UncordonNode        Step = "uncordonNode"

	// Of hosts that were installed by hand.
	FetchBinaries Step = "fetchBinaries" // and held against the units that will start them
	SwapBinaries  Step = "swapBinaries"  // one after another, each past its gate or swapped back

	// Of what a provider changes.
	UpdateControlPlane   Step = "updateControlPlane"
	RollBackControlPlane Step = "rollBackControlPlane"
	UpdateAddon          Step = "updateAddon"
	UpdateNodeGroup      Step = "updateNodeGroup"
	AwaitNodes           Step = "awaitNodes"     // that are replaced by themselves
	RestartFargate       Step = "restartFargate" // the workloads whose pods are there

	StopPods Step = "stopPods" // in place of DrainNode: budgets are not asked

	// Of a node that is replaced.
	AddNode        Step = "addNode"        // its successor joins and is Ready
	WithdrawNode   Step = "withdrawNode"   // load balancers send it nothing more
	ReleaseVolumes Step = "releaseVolumes" // none is attached to it any more
	RemoveNode     Step = "removeNode"     // its machine and its API object
)

// Title is what people see: in `pawl watch`, in the report and in Temporal's UI.
func (s Step) Title() string {
	switch s {
	case InstallKubeadm:
		return "Install kubeadm"
	case UpgradeControlPlane:
		return "Upgrade control plane"
	case VerifyControlPlane:
		return "Verify control plane"
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
	case FetchBinaries:
		return "Fetch and check binaries"
	case SwapBinaries:
		return "Swap binaries"
	case UpdateControlPlane:
		return "Update control plane"
	case RollBackControlPlane:
		return "Roll back control plane"
	case UpdateAddon:
		return "Update add-on"
	case UpdateNodeGroup:
		return "Update node group"
	case AwaitNodes:
		return "Wait until nodes have replaced themselves"
	case RestartFargate:
		return "Restart the workloads on Fargate"
	case StopPods:
		return "Stop pods"
	case AddNode:
		return "Add a new node"
	case WithdrawNode:
		return "Withdraw from load balancers"
	case ReleaseVolumes:
		return "Release volumes"
	case RemoveNode:
		return "Remove the old node"
	}
	return string(s)
}

// KubeadmSteps is the runbook of one node of a kubeadm cluster. The kubelet is replaced on a drained node only, as the
// version skew policy demands for a minor upgrade.
func KubeadmSteps(role Role, staysCordoned bool) []Step {
	steps := []Step{InstallKubeadm, UpgradeNodeConfig}
	if role.IsControlPlane() {
		steps = []Step{InstallKubeadm, UpgradeControlPlane, VerifyControlPlane}
	}
	steps = append(steps, DrainNode, InstallKubelet, RestartKubelet, VerifyNode)
	if !staysCordoned {
		steps = append(steps, UncordonNode)
	}
	return steps
}

// ReplacementSteps is the runbook of a node that another takes the place of.
func ReplacementSteps() []Step {
	return []Step{AddNode, WithdrawNode, DrainNode, ReleaseVolumes, RemoveNode}
}

// ofComponents reports whether the step belongs to the control plane's components rather than to the node under them.
func (s Step) ofComponents() bool {
	return s == InstallKubeadm || s == UpgradeControlPlane || s == VerifyControlPlane || s == UpdateControlPlane || s == RollBackControlPlane || s == UpdateAddon || s == FetchBinaries || s == SwapBinaries
}

// Components is the part of a control plane node's plan that upgrades its components, and Kubelet is the rest; see Phase.
func (n NodePlan) Components() NodePlan { return n.only(Step.ofComponents) }

// Kubelet is the part of a control plane node's plan that upgrades the node under the components; see Components.
func (n NodePlan) Kubelet() NodePlan { return n.only(func(s Step) bool { return !s.ofComponents() }) }

func (n NodePlan) only(keep func(Step) bool) NodePlan {
	var steps []Step
	for _, s := range n.Steps {
		if keep(s) {
			steps = append(steps, s)
		}
	}
	n.Steps = steps
	return n
}
