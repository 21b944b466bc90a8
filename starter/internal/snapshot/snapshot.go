// Package snapshot holds what is known of an upgrade at one moment, put together from the workflows that take part.
//
// Rule: pure. What was asked of Temporal goes in, one consistent picture comes out.
package snapshot

import (
	"encoding/json"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Snapshot is an upgrade's status with what its workflows do not say of themselves.
type Snapshot struct {
	upgrade.Status
	Notes []Note `json:"notes,omitempty"`
	// Backup is the folder on the control plane nodes that holds the backup; known when the upgrade is done.
	Backup string `json:"backup,omitempty"`
	// Workflow and Run are where Temporal keeps it.
	Workflow string `json:"workflow"`
	Run      string `json:"run,omitempty"`
}

// Note is one line on what happens right now: what blocks a drain, why a step is tried again.
type Note struct {
	Node string `json:"node,omitempty"` // "" is the upgrade as a whole
	Text string `json:"text"`
	// PodsLeft is how many pods a drain still has to move, said once for each drain.
	PodsLeft int `json:"podsLeft,omitempty"`
}

// Failure is an attempt of an activity that failed and was followed by another.
type Failure struct {
	Node     string    // "" is the upgrade as a whole
	Activity string    // its id
	At       time.Time // when the last attempt began
	Text     string
}

// NotesOf are the notes on a node.
func (s Snapshot) NotesOf(node string) []string {
	var texts []string
	for _, n := range s.Notes {
		if n.Node == node {
			texts = append(texts, n.Text)
		}
	}
	return texts
}

// Equal reports whether two snapshots say the same.
func (s Snapshot) Equal(other Snapshot) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

// AllWaits are what the upgrade waits for, and what its nodes say that they wait for: a node's word is the newer.
func (s Snapshot) AllWaits() []upgrade.Wait {
	var waits []upgrade.Wait
	for _, w := range s.Waits {
		if w.Node == "" {
			waits = append(waits, w)
		}
	}
	for _, n := range s.HeldNodes() {
		if n.Wait != nil {
			waits = append(waits, *n.Wait)
		}
	}
	return waits
}

// HeldNodes are the nodes that wait for a person.
func (s Snapshot) HeldNodes() []upgrade.NodeStatus {
	var held []upgrade.NodeStatus
	for _, n := range s.Nodes {
		if n.State == upgrade.Held {
			held = append(held, n)
		}
	}
	return held
}
