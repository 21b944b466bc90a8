package upgrade

import (
	"slices"
	"time"
)

// State is where a run, a stage, a node or a step is.
type State string

// The states.
const (
	Pending State = "pending"
	Running State = "running"
	Held    State = "held"    // waiting for a person's decision or approval
	Paused  State = "paused"  // by a person, until it is resumed
	Waiting State = "waiting" // for something that comes by itself: a maintenance window, health
	Done    State = "done"
	Skipped State = "skipped" // left as it is, because a person said so
	Failed  State = "failed"
	Aborted State = "aborted"
)

// Ended reports whether nothing more will happen.
func (s State) Ended() bool { return s == Done || s == Skipped || s == Failed || s == Aborted }

// Status is what a running (or ended) upgrade says of itself. The ClusterUpgrade workflow answers it to the query
// "status"; nodes that are under way say more of themselves: see NodeStatus.
type Status struct {
	Cluster string       `json:"cluster"`
	From    Version      `json:"from"`
	Target  Version      `json:"target"`
	State   State        `json:"state"`
	Hop     int          `json:"hop"`  // 1-based; 0 before the first
	Hops    int          `json:"hops"` // how many there are; 0 until planned
	Stages  []Progress   `json:"stages,omitempty"`
	Nodes   []NodeStatus `json:"nodes,omitempty"` // in the order of the plan
	// MaxUnavailable is how many workers are under way at a time, where there are no Pools.
	MaxUnavailable Amount `json:"maxUnavailable"`
	// Pools are the workers' in their order.
	Pools []Pool `json:"pools,omitempty"`
	// Measured is how long steps took in earlier upgrades of the cluster.
	Measured Measured `json:"measured,omitempty"`
	// Actions are what people did, to the upgrade as a whole and to nodes, in the order of time.
	Actions []Action `json:"actions,omitempty"`
	// Waits are what it waits for now; empty while it works.
	Waits []Wait `json:"waits,omitempty"`
	// WindowWaits are the times in which it waited for a maintenance window and nothing else was begun.
	WindowWaits []WindowWait `json:"windowWaits,omitempty"`
	// Spread is how many pods each worker had when the last hop's workers were done.
	Spread []NodePods `json:"spread,omitempty"`
	// Outages are what upgrades of whole pools at a time cost.
	Outages []Outage `json:"outages,omitempty"`
	// Notices are what went wrong without stopping it: the latest.
	Notices []Notice `json:"notices,omitempty"`
	// Message is one line for people: why it is held, what failed, where things were left.
	Message string    `json:"message,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Progress is how far one titled thing is: a stage of the run.
type Progress struct {
	Title   string    `json:"title"`
	Hop     int       `json:"hop,omitempty"` // 1-based; 0 before the first
	State   State     `json:"state"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Worked is the time that the stage's own activities took. The rest of its wall time is pawl's own overhead, or
	// for a stage of node steps, see there.
	Worked Duration `json:"worked,omitempty"`
	// Attempts is how many the activity that was tried most often took; 0 when nobody counted.
	Attempts int    `json:"attempts,omitempty"`
	Holds    []Hold `json:"holds,omitempty"`
	// Note is one line worth keeping: the folder of a backup.
	Note string `json:"note,omitempty"`
}

// NodeStatus is how far one node is in one hop. The NodeUpgrade workflow answers it to the query "status".
type NodeStatus struct {
	Node  string       `json:"node"`
	Role  Role         `json:"role"`
	Pool  string       `json:"pool,omitempty"`
	Zone  string       `json:"zone,omitempty"`
	Hop   int          `json:"hop"`
	From  Version      `json:"from"`
	To    Version      `json:"to"`
	State State        `json:"state"`
	Steps []StepStatus `json:"steps,omitempty"`
	// Held is why the node is held, one line: what failed and what to do. Empty when it is not.
	Held string `json:"held,omitempty"`
	// Wait is the same for machines, with what a person can do.
	Wait *Wait `json:"wait,omitempty"`
	// Successor is the node that takes this one's place, as soon as there is it.
	Successor string `json:"successor,omitempty"`
	// Left is how a node was left that was not finished, one line: that it stays cordoned.
	Left string `json:"left,omitempty"`
	// Actions are what people did to the node. The node's own workflow says so; see Status.Actions for all.
	Actions []Action `json:"actions,omitempty"`
	// Workflow is the id of the node's own workflow.
	Workflow string `json:"workflow,omitempty"`
}

// Merge takes over what a part of the node's plan says of itself: how far its steps are and whether it is held.
func (n *NodeStatus) Merge(part NodeStatus) {
	n.State, n.Held, n.Wait, n.Left, n.Workflow, n.Successor = part.State, part.Held, part.Wait, part.Left, part.Workflow, part.Successor
	for _, s := range part.Steps {
		for i := range n.Steps {
			if n.Steps[i].Step == s.Step {
				n.Steps[i] = s
			}
		}
	}
	if part.State == Done && slices.ContainsFunc(n.Steps, func(s StepStatus) bool { return !s.State.Ended() }) {
		n.State = Pending // the rest of the plan waits for its turn
	}
}

// StepStatus is how far one step of one node is.
type StepStatus struct {
	Step    Step      `json:"step"`
	State   State     `json:"state"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Worked is the time that the attempt which succeeded took. The rest of the step's wall time is failed attempts,
	// holds and pawl's own overhead.
	Worked Duration `json:"worked,omitempty"`
	// Attempts is how many it took, those before a hold included; 0 when nobody counted.
	Attempts int    `json:"attempts,omitempty"`
	Holds    []Hold `json:"holds,omitempty"`
	// Waits are what a drain waited for.
	Waits []DrainWait `json:"waits,omitempty"`
	// APIServer is for how long the node's own API server was away during the step; nil when that was not measured.
	APIServer *Downtime `json:"apiServer,omitempty"`
}
