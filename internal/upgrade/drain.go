package upgrade

// DrainPass is the outcome of one pass over a node's pods.
type DrainPass struct {
	Evicted     int          `json:"evicted"`     // accepted in this pass
	Terminating int          `json:"terminating"` // on their way out
	Blocked     []BlockedPod `json:"blocked,omitempty"`
	// Seen marks the cluster's state just before the pass, so that nothing that happens since is missed.
	Seen string `json:"-"`
}

// Done reports whether nothing is left to move.
func (p DrainPass) Done() bool { return p.Evicted == 0 && p.Terminating == 0 && len(p.Blocked) == 0 }

// BlockedPod is a pod that could not be evicted, and why, in one line.
type BlockedPod struct {
	Pod    string `json:"pod"`              // namespace/name
	Budget string `json:"budget,omitempty"` // namespace/name of the PodDisruptionBudget that keeps it, if one does
	Reason string `json:"reason"`           // "blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)"
}

// Snapshot is what etcd says of a snapshot it took.
type Snapshot struct {
	Hash     uint32 `json:"hash"`
	Revision int64  `json:"revision"`
	Keys     int64  `json:"keys"`
	Bytes    int64  `json:"bytes"`
}

// Drain says how pods are moved off a node.
type Drain struct {
	// Timeout is how long a drain may take before a person is asked.
	Timeout Duration `json:"timeout"`
}
