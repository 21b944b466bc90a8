package snapshot

import (
	"slices"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Merge puts what the nodes' own workflows say over what the cluster's says of them: the nodes know more, and sooner.
// A node's word counts only for the hop that the cluster's workflow speaks of. The argument is not changed.
func Merge(s upgrade.Status, children []upgrade.NodeStatus) upgrade.Status {
	heldBefore := slices.ContainsFunc(s.Nodes, isHeld)
	s.Nodes = slices.Clone(s.Nodes)
	for _, child := range children {
		for i, n := range s.Nodes {
			if n.Node != child.Node || n.Hop != child.Hop || n.To != child.To {
				continue
			}
			if child.Workflow == "" {
				child.Workflow = n.Workflow
			}
			n.Steps = slices.Clone(n.Steps)
			n.Merge(child)
			s.Nodes[i] = n
			s.Record(child.Actions...)
		}
	}
	if s.State == upgrade.Held && heldBefore && !slices.ContainsFunc(s.Nodes, isHeld) {
		s.State, s.Message = upgrade.Running, "" // the node goes on; the cluster's workflow has not heard of it yet
	}
	return heldIfNothingMoves(s)
}

func isHeld(n upgrade.NodeStatus) bool { return n.State == upgrade.Held }

// heldIfNothingMoves marks the whole as held when a node is and no other is under way.
func heldIfNothingMoves(s upgrade.Status) upgrade.Status {
	if s.State != upgrade.Running {
		return s
	}
	held := slices.IndexFunc(s.Nodes, isHeld)
	moving := slices.ContainsFunc(s.Nodes, func(n upgrade.NodeStatus) bool { return n.State == upgrade.Running })
	if held < 0 || moving {
		return s
	}
	s.State = upgrade.Held
	if s.Message == "" {
		s.Message = s.Nodes[held].Node + ": " + s.Nodes[held].Held
	}
	return s
}

// Close corrects the status of a workflow that was ended from outside: it had no chance to say so itself.
func Close(s upgrade.Status, state upgrade.State, message string) upgrade.Status {
	if s.State.Ended() {
		return s
	}
	s.State = state
	if message != "" {
		s.Message = message
	}
	return s
}
