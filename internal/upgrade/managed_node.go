package upgrade

// Keeper is who replaces a node when the control plane of a managed cluster has moved.
type Keeper string

// The keepers. Nodes of the first are moved by pawl through the provider; those of the others are waited for, or left alone.
const (
	KeptByNodeGroup Keeper = "nodeGroup"
	KeptByFargate   Keeper = "fargate"   // nobody: a pod's node lives as long as the pod
	KeptByAutoMode  Keeper = "autoMode"  // the provider, by itself
	KeptByKarpenter Keeper = "karpenter" // Karpenter, by itself, when its nodes drift
	KeptByHybrid    Keeper = "hybrid"    // a person, outside of the provider's reach
	KeptBySomebody  Keeper = "somebody"  // an Auto Scaling group or machines of a person's own
)

// The labels by which a node tells who keeps it.
const (
	labelNodeGroup   = "eks.amazonaws.com/nodegroup"
	labelComputeType = "eks.amazonaws.com/compute-type"
	labelNodePool    = "karpenter.sh/nodepool"
)

// KeeperOf says who keeps a node of those labels. group is the name of its node group.
func KeeperOf(labels map[string]string) (k Keeper, group string) {
	switch labels[labelComputeType] {
	case "fargate":
		return KeptByFargate, ""
	case "auto":
		return KeptByAutoMode, ""
	case "hybrid":
		return KeptByHybrid, ""
	}
	switch {
	case labels[labelNodeGroup] != "":
		return KeptByNodeGroup, labels[labelNodeGroup]
	case labels[labelNodePool] != "":
		return KeptByKarpenter, ""
	}
	return KeptBySomebody, ""
}

// Restart is how far workloads have made their pods anew.
type Restart struct {
	Waiting []string // workloads that have not made all of them anew
	Left    []string // pods, or workloads, that make none anew
}

// FollowsByItself reports whether a node is replaced without anybody asking for it.
func (k Keeper) FollowsByItself() bool { return k == KeptByAutoMode || k == KeptByKarpenter }
