package snapshot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

var v = upgrade.MustVersion("v1.37.2")

func node(name string, hop int, state upgrade.State) upgrade.NodeStatus {
	n := upgrade.NodeStatus{Node: name, Hop: hop, To: v, State: state, Workflow: "node-upgrade/lab/" + name}
	if state == upgrade.Held {
		n.Held = "drain blocked"
	}
	return n
}

func steps(n upgrade.NodeStatus) string {
	var all []string
	for _, s := range n.Steps {
		all = append(all, fmt.Sprintf("%s %s", s.Step, s.State))
	}
	return strings.Join(all, ", ")
}

func TestMerge(t *testing.T) {
	// The node's workflow walks a part of the plan only.
	planned := node("w1", 1, upgrade.Running)
	planned.Steps = []upgrade.StepStatus{{Step: upgrade.InstallKubeadm, State: upgrade.Done}, {Step: upgrade.DrainNode, State: upgrade.Pending}}
	knowing := node("w1", 1, upgrade.Running)
	knowing.Steps, knowing.Workflow = []upgrade.StepStatus{{Step: upgrade.DrainNode, State: upgrade.Running}}, ""
	other := node("w1", 1, upgrade.Done)
	other.To = upgrade.MustVersion("v1.38.0")

	for name, tc := range map[string]struct {
		state        upgrade.State
		nodes        []upgrade.NodeStatus
		children     []upgrade.NodeStatus
		wantState    upgrade.State
		wantMessage  string
		wantNode     upgrade.State
		wantSteps    string
		wantWorkflow string
	}{
		"the node knows more": {
			state: upgrade.Running, nodes: []upgrade.NodeStatus{planned}, children: []upgrade.NodeStatus{knowing},
			wantState: upgrade.Running, wantNode: upgrade.Running, wantSteps: "installKubeadm done, drainNode running", wantWorkflow: "node-upgrade/lab/w1",
		},
		"another hop's word does not count": {
			state: upgrade.Running, nodes: []upgrade.NodeStatus{node("w1", 2, upgrade.Running)}, children: []upgrade.NodeStatus{node("w1", 1, upgrade.Done)},
			wantState: upgrade.Running, wantNode: upgrade.Running, wantWorkflow: "node-upgrade/lab/w1",
		},
		"another target's word does not count": {
			state: upgrade.Running, nodes: []upgrade.NodeStatus{node("w1", 1, upgrade.Running)}, children: []upgrade.NodeStatus{other},
			wantState: upgrade.Running, wantNode: upgrade.Running, wantWorkflow: "node-upgrade/lab/w1",
		},
		"the whole is held when its only node is": {
			state: upgrade.Running, nodes: []upgrade.NodeStatus{node("w1", 1, upgrade.Running)}, children: []upgrade.NodeStatus{node("w1", 1, upgrade.Held)},
			wantState: upgrade.Held, wantMessage: "w1: drain blocked", wantNode: upgrade.Held, wantWorkflow: "node-upgrade/lab/w1",
		},
		"the whole goes on while another node does": {
			state: upgrade.Running, nodes: []upgrade.NodeStatus{node("w1", 1, upgrade.Held), node("w2", 1, upgrade.Running)},
			wantState: upgrade.Running, wantNode: upgrade.Held, wantWorkflow: "node-upgrade/lab/w1",
		},
		"a node that goes on ends the hold": {
			state: upgrade.Held, nodes: []upgrade.NodeStatus{node("w1", 1, upgrade.Held)}, children: []upgrade.NodeStatus{node("w1", 1, upgrade.Running)},
			wantState: upgrade.Running, wantNode: upgrade.Running, wantWorkflow: "node-upgrade/lab/w1",
		},
		"a hold of the cluster's own step stays": {
			state: upgrade.Held, nodes: []upgrade.NodeStatus{node("w1", 1, upgrade.Done)},
			wantState: upgrade.Held, wantNode: upgrade.Done, wantWorkflow: "node-upgrade/lab/w1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := append([]upgrade.NodeStatus(nil), tc.nodes...)
			got := Merge(upgrade.Status{State: tc.state, Nodes: tc.nodes}, tc.children)
			n := got.Nodes[0]
			if got.State != tc.wantState || got.Message != tc.wantMessage || n.State != tc.wantNode ||
				steps(n) != tc.wantSteps || n.Workflow != tc.wantWorkflow {
				t.Errorf("got %s %q, node %s with steps %q, workflow %q", got.State, got.Message, n.State, steps(n), n.Workflow)
			}
			if tc.nodes[0].State != before[0].State || steps(tc.nodes[0]) != steps(before[0]) {
				t.Error("the argument was changed")
			}
		})
	}
}

func TestClose(t *testing.T) {
	s := Close(upgrade.Status{State: upgrade.Running, Message: "old"}, upgrade.Aborted, "terminated")
	if s.State != upgrade.Aborted || s.Message != "terminated" {
		t.Errorf("got %s %q", s.State, s.Message)
	}
	s = Close(upgrade.Status{State: upgrade.Failed, Message: "its own word"}, upgrade.Aborted, "terminated")
	if s.State != upgrade.Failed || s.Message != "its own word" {
		t.Errorf("a status that has ended was changed: %s %q", s.State, s.Message)
	}
}
