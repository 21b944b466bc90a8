package workflows

import (
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// The pages below are what Temporal's UI shows as a workflow's current details: Markdown, at most 20,000 bytes.

const detailsMaxRows = 150

// clusterDetails shows how far an upgrade is.
func clusterDetails(s upgrade.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s → %s: %s\n\n", s.Cluster, s.From, s.Target, s.State)
	if s.Message != "" {
		fmt.Fprintf(&b, "**%s**\n\n", s.Message)
	}
	for _, stage := range s.Stages {
		fmt.Fprintf(&b, "- %s %s\n", symbol(stage.State), stage.Title)
	}
	if len(s.Nodes) > 0 {
		b.WriteString("\n| | node | from | to |\n|---|---|---|---|\n")
	}
	for i, n := range s.Nodes {
		if i == detailsMaxRows {
			fmt.Fprintf(&b, "\n%d more nodes\n", len(s.Nodes)-i)
			break
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", symbol(n.State), n.Node, n.From, n.To)
	}
	return b.String()
}

// nodeDetails shows how far a node is.
func nodeDetails(s upgrade.NodeStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s → %s: %s\n\n", s.Node, s.From, s.To, s.State)
	if s.Held != "" {
		fmt.Fprintf(&b, "**held: %s**\n\nPut it right, then send the update `%s`.\n\n", s.Held, UpdateRetry)
	}
	for _, step := range s.Steps {
		fmt.Fprintf(&b, "- %s %s\n", symbol(step.State), step.Step.Title())
	}
	return b.String()
}

func symbol(s upgrade.State) string {
	switch s {
	case upgrade.Done:
		return "✅"
	case upgrade.Running:
		return "▶️"
	case upgrade.Held:
		return "✋"
	case upgrade.Failed, upgrade.Aborted:
		return "❌"
	}
	return "◻️"
}
