package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// HookMoment is when a hook runs.
type HookMoment string

// The moments.
const (
	BeforeUpgrade HookMoment = "beforeUpgrade"
	AfterUpgrade  HookMoment = "afterUpgrade"
	BeforeHop     HookMoment = "beforeHop"
	AfterHop      HookMoment = "afterHop"
	BeforeNode    HookMoment = "beforeNode" // each time that a node is worked on; see Part
	AfterNode     HookMoment = "afterNode"
)

// HookMoments are all there are, in the order in which they come first.
var HookMoments = []HookMoment{BeforeUpgrade, BeforeHop, BeforeNode, AfterNode, AfterHop, AfterUpgrade}

// OfNode reports whether the moment is one of each node.
func (m HookMoment) OfNode() bool { return m == BeforeNode || m == AfterNode }

// title is how people say it.
func (m HookMoment) title() string {
	switch m {
	case BeforeUpgrade:
		return "before the upgrade"
	case AfterUpgrade:
		return "after the upgrade"
	case BeforeHop:
		return "before each hop"
	case AfterHop:
		return "after each hop"
	case BeforeNode:
		return "before each node"
	case AfterNode:
		return "after each node"
	}
	return string(m)
}

// Part is what is done to a node while it is worked on once in a hop. A control plane node is worked on twice, since all
// components come before any kubelet.
type Part string

// The parts.
const (
	PartComponents    Part = "components"    // of a control plane node, or of a provider's control plane
	PartKubelet       Part = "kubelet"       // of a control plane node, with its drain
	PartNode          Part = "node"          // all of a worker, with its drain, or of a node group and what else has its pods moved
	PartConfiguration Part = "configuration" // of a worker that keeps its kubelet and its pods
)

// Parts are all there are.
var Parts = []Part{PartComponents, PartKubelet, PartNode, PartConfiguration}

// Part is what the node's plan, or the part of it, does; "" for an add-on, around which there are no hooks.
func (n NodePlan) Part() Part {
	switch {
	case n.Addon.Name != "":
		return ""
	case n.Role == ComponentPart, n.Node == managedControlPlane:
		return PartComponents
	case n.Role.IsControlPlane() && slices.ContainsFunc(n.Steps, Step.ofComponents):
		return PartComponents
	case n.Role.IsControlPlane():
		return PartKubelet
	case n.KeepsKubelet():
		return PartConfiguration
	}
	return PartNode
}

// HookKind is how a hook acts.
type HookKind string

// The kinds.
const (
	CommandHook HookKind = "command" // on a host, as root
	JobHook     HookKind = "job"     // of Kubernetes
	HTTPHook    HookKind = "http"
)

// Hook is something of a person's own that runs at a moment of the upgrade. What it runs stays in the cluster's
// definition.
type Hook struct {
	Name    string     `json:"name"`
	When    HookMoment `json:"when"`
	Kind    HookKind   `json:"kind"`
	Timeout Duration   `json:"timeout"`
	// Parts are those around which a hook of nodes runs; none stands for all.
	Parts []Part `json:"parts,omitempty"`
	// Host is where a command runs. "" is the node's own, or the first control plane node's.
	Host string `json:"host,omitempty"`
	// HostOutside: the definition says how to reach Host, which need not be a node.
	HostOutside bool `json:"hostOutside,omitempty"`
	// MayFail: the upgrade goes on after a failure.
	MayFail bool `json:"mayFail,omitempty"`
}

// RunsAround reports whether the hook runs at the moment around the node, or around what has its place in the plan. A command
// without a host of its own runs on the node's: what has none has no such hook around it.
func (h Hook) RunsAround(m HookMoment, n NodePlan) bool {
	part := n.Part()
	return part != "" && h.RunsAt(m, part) && (!n.Managed() || h.Kind != CommandHook || h.Host != "")
}

// RunsAt reports whether the hook runs at the moment; part is "" where it is none of a node.
func (h Hook) RunsAt(m HookMoment, part Part) bool {
	return h.When == m && (len(h.Parts) == 0 || part == "" || slices.Contains(h.Parts, part))
}

// At is when one run of the hook is: "before w1 (node)".
func (h Hook) At(node string, part Part) string {
	switch h.When {
	case BeforeNode:
		return fmt.Sprintf("before %s (%s)", node, part)
	case AfterNode:
		return fmt.Sprintf("after %s (%s)", node, part)
	case BeforeHop:
		return "before the hop"
	case AfterHop:
		return "after the hop"
	}
	return h.When.title()
}

// String is how a plan mentions the hook: "before each node: silence (command, at most 5m0s)".
func (h Hook) String() string {
	s := h.When.title()
	if len(h.Parts) > 0 {
		var parts []string
		for _, p := range h.Parts {
			parts = append(parts, string(p))
		}
		s += " (" + strings.Join(parts, ", ") + ")"
	}
	s += fmt.Sprintf(": %s (%s", h.Name, h.Kind)
	if h.Host != "" {
		s += " on " + h.Host
	}
	s += ", at most " + h.Timeout.String()
	if h.MayFail {
		s += ", may fail"
	}
	return s + ")"
}

// HookRun is one run of a hook: what it is told of where the upgrade is.
type HookRun struct {
	Cluster string     `json:"cluster"`
	From    Version    `json:"from"`
	To      Version    `json:"to"`
	Event   HookMoment `json:"event"`
	Node    string     `json:"node,omitempty"`
	Part    Part       `json:"part,omitempty"`
	Hop     int        `json:"hop,omitempty"`
	// Key names the run: the same for every attempt of it, different from all other runs.
	Key string `json:"key"`
}

// Environment are the variables that commands and Jobs get.
func (r HookRun) Environment() []string {
	return []string{
		"PAWL_CLUSTER=" + r.Cluster, "PAWL_NODE=" + r.Node, "PAWL_FROM=" + r.From.String(), "PAWL_TO=" + r.To.String(),
		"PAWL_EVENT=" + string(r.Event), "PAWL_PART=" + string(r.Part),
	}
}

// HookHost is the node on whose machine a command of the hook runs; n is the node that is worked on, if any. Of a host
// that is no node, only the name is known.
func (p Plan) HookHost(h Hook, n NodePlan) Node {
	name := cmp.Or(h.Host, n.Host, n.Node)
	if hosts := p.Settings.Binaries.ControlPlane; name == "" && p.Settings.ByHand() && len(hosts) > 0 {
		name = hosts[0]
	}
	for _, node := range p.Nodes { // the control plane comes first
		if node.Name == name || name == "" && node.ControlPlane {
			return node
		}
	}
	return Node{Name: name}
}

// checkHooks finds hooks that cannot run.
func checkHooks(p Plan) []Finding {
	var found []Finding
	for _, h := range p.Settings.Hooks {
		if p.Settings.Managed() && h.Kind == CommandHook && h.Host == "" && !h.When.OfNode() {
			found = append(found, failure(HookProblem, h.Name, "it runs on the first control plane node's host, and the provider has that", "say under host where it runs, or make it a Job"))
		}
		if h.Host == "" || h.HostOutside || slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.Name == h.Host }) {
			continue
		}
		found = append(found, failure(HookProblem, h.Name, fmt.Sprintf("its host %s is not a node of the cluster", h.Host),
			"name a node, or say under ssh.hosts where it is"))
	}
	return found
}
