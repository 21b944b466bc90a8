package workflows

import (
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// The pages below are what Temporal's UI shows as a workflow's current details: Markdown, at most 20,000 bytes.

const (
	detailsMaxRows  = 150
	detailsMaxWaits = 4
)

// clusterDetails shows how far an upgrade is.
func clusterDetails(s upgrade.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s → %s: %s\n\n", s.Cluster, s.From, s.Target, s.State)
	if s.Message != "" && len(s.Waits) == 0 {
		fmt.Fprintf(&b, "**%s**\n\n", s.Message)
	}
	for i, w := range s.Waits {
		if i == detailsMaxWaits {
			fmt.Fprintf(&b, "%d more things are waited for.\n\n", len(s.Waits)-i)
			break
		}
		at := "this workflow"
		if w.Node != "" {
			at = "the workflow `" + NodeUpgradeID(s.Cluster, w.Node) + "`"
		}
		waitDetails(&b, w, at)
	}
	for _, stage := range s.Stages {
		fmt.Fprintf(&b, "- %s %s\n", symbol(stage.State), stage.Title)
	}
	for _, n := range s.Notices {
		fmt.Fprintf(&b, "- ⚠️ %s\n", n.Text)
	}
	if len(s.Nodes) > 0 {
		b.WriteString("\n| | node | from | to | left |\n|---|---|---|---|---|\n")
	}
	for i, n := range s.Nodes {
		if i == detailsMaxRows {
			fmt.Fprintf(&b, "\n%d more nodes\n", len(s.Nodes)-i)
			break
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", symbol(n.State), n.Node, n.From, n.To, n.Left)
	}
	return b.String()
}

// nodeDetails shows how far a node is.
func nodeDetails(s upgrade.NodeStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s → %s: %s\n\n", s.Node, s.From, s.To, s.State)
	if s.Wait != nil {
		waitDetails(&b, *s.Wait, "this workflow")
	}
	if s.Left != "" {
		fmt.Fprintf(&b, "It was left %s.\n\n", s.Left)
	}
	for _, step := range s.Steps {
		state := step.State
		if s.Held != "" && state == upgrade.Running {
			state = upgrade.Held // it waits
		}
		fmt.Fprintf(&b, "- %s %s\n", symbol(state), step.Step.Title())
	}
	return b.String()
}

// waitDetails shows what is waited for, and what a person can do about it: which update to send to which workflow.
func waitDetails(b *strings.Builder, w upgrade.Wait, to string) {
	fmt.Fprintf(b, "**%s: %s**\n\n", waitTitles[w.For], w)
	for _, line := range w.Details {
		fmt.Fprintf(b, "- %s\n", line)
	}
	if len(w.Choices) == 0 {
		return
	}
	fmt.Fprintf(b, "\nSend %s one of these updates:\n\n| update | what it does | input |\n|---|---|---|\n", to)
	for _, c := range w.Choices {
		fmt.Fprintf(b, "| `%s` | %s | `%s` |\n", c.Update, c.Does, c.Example)
	}
	b.WriteString("\n")
}

// waitTitles say what ends a wait.
var waitTitles = map[upgrade.WaitFor]string{
	upgrade.ForDecision: "held, a decision is wanted",
	upgrade.ForApproval: "an approval is wanted",
	upgrade.ForResume:   "paused",
	upgrade.ForWindow:   "waiting for a maintenance window",
	upgrade.ForHealth:   "waiting for health",
}

// symbol is one character for a state, as in `pawl watch`; browsers without emoji have them too.
func symbol(s upgrade.State) string {
	switch s {
	case upgrade.Done:
		return "✔"
	case upgrade.Running:
		return "●"
	case upgrade.Held:
		return "**!**"
	case upgrade.Failed, upgrade.Aborted:
		return "✘"
	case upgrade.Skipped:
		return "–"
	case upgrade.Paused, upgrade.Waiting:
		return "…"
	}
	return "○"
}
