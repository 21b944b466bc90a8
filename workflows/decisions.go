package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What people say to an upgrade that is under way, as updates, from the CLI, from Temporal's UI and from Temporal's CLI
// alike. Each is answered at once: accepted, or why not. The names do not change.
const (
	// Of what is held, to the workflow that says so: the cluster's, or the node's.
	UpdateRetry      = "retry"      // Decision: try the step again
	UpdateSkip       = "skip"       // Skip: leave the node as it is (NodeUpgrade only)
	UpdateWait       = "wait"       // Wait: drain for longer (NodeUpgrade only)
	UpdateDeletePods = "deletePods" // DeletePods: delete pods that cannot be evicted, and drain on (NodeUpgrade only)
	UpdateSkipDrain  = "skipDrain"  // Decision: go on with pods on the node, or replace a node group by force (NodeUpgrade only)
	UpdatePass       = "pass"       // Decision: go on without this hook, or in spite of this health gate (ClusterUpgrade only)

	// Of the upgrade as a whole, at any time, to ClusterUpgrade.
	UpdatePause      = "pause"      // Pause: begin nothing more
	UpdateResume     = "resume"     // Decision: go on
	UpdateApprove    = "approve"    // Decision: let happen what the approval shows
	UpdateAbort      = "abort"      // Decision: stop at a safe point, and be done
	UpdateOpenWindow = "openWindow" // OpenWindow: open a maintenance window now
	UpdateRetarget   = "retarget"   // Retarget: stop at a safe point, plan again, and go on to another version
)

// Decision is what a person says: {"reason":"the budget is relaxed"}.
type Decision struct {
	// Reason is recorded in the workflow's history. Where a decision takes a risk, it must be given.
	Reason string `json:"reason,omitempty"`
	// By is who decided; the CLI fills it in.
	By string `json:"by,omitempty"`
}

// Skip leaves a node as it is: {"reason":"its disk is broken"}.
type Skip struct {
	Decision
	// Uncordon makes the node schedulable again if pawl cordoned it. Otherwise it stays cordoned.
	Uncordon bool `json:"uncordon,omitempty"`
}

// Wait drains for longer: {"for":"2h","reason":"a long job ends by itself"}.
type Wait struct {
	Decision
	// For is how long the drain may take from now on.
	For upgrade.Duration `json:"for"`
}

// DeletePods deletes pods that cannot be evicted: {"pods":["payments/api-0"],"reason":"its owner agrees"}.
type DeletePods struct {
	Decision
	// Pods are namespace/name. Only these are deleted, and only if they are on the node.
	Pods []string `json:"pods"`
}

// Pause begins nothing more; what is under way is finished: {"after":"hop","reason":"freeze"}.
type Pause struct {
	Decision
	// After is when: at once if empty, after the hop under way ("hop"), or after a node, by its name.
	After string `json:"after,omitempty"`
}

// OpenWindow opens a maintenance window now: {"for":"2h","reason":"the customer agrees"}. It closes by itself.
type OpenWindow struct {
	Decision
	// For is how long it is open; without, as long as the one that is waited for.
	For upgrade.Duration `json:"for,omitzero"`
}

// AfterHop is a pause when the hop that is under way is done.
const AfterHop = "hop"

// Retarget changes the target: {"targetVersion":"v1.37.3","reason":"a fix came out"}.
type Retarget struct {
	Decision
	// TargetVersion, Through and Waive are those of ClusterUpgradeInput.
	TargetVersion string   `json:"targetVersion"`
	Through       []string `json:"through,omitempty"`
	Waive         []string `json:"waive,omitempty"`
}

// decision is any of the above.
type decision interface{ said() Decision }

func (d Decision) said() Decision { return d }

// strict is a decision whose fields are all known: a misspelt one must not be ignored silently.
type strict[D decision] struct{ said D }

// UnmarshalJSON refuses fields it does not know.
func (s *strict[D]) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(&s.said)
}

// reject is the answer to a decision that is not accepted.
func reject(format string, args ...any) error {
	return temporal.NewApplicationError(fmt.Sprintf(format, args...), "Rejected")
}

// needsReason asks for a reason.
func needsReason(d Decision) error {
	if strings.TrimSpace(d.Reason) == "" {
		return reject(`why? Give a reason, which is recorded: {"reason":"..."}`)
	}
	return nil
}

// choices are what each decision at a hold does, for people.
var (
	choiceRetry      = upgrade.Choice{Update: UpdateRetry, Does: "try the step again, once its cause is removed", Example: `{"reason":"the budget is relaxed"}`}
	choiceSkip       = upgrade.Choice{Update: UpdateSkip, Does: "leave the node as it is, and go on with the others; it stays cordoned unless uncordon is true", Example: `{"reason":"its disk is broken","uncordon":false}`}
	choiceWait       = upgrade.Choice{Update: UpdateWait, Does: "drain on, for that much longer", Example: `{"reason":"a long job ends by itself","for":"2h"}`}
	choiceDeletePods = upgrade.Choice{Update: UpdateDeletePods, Does: "delete just these pods, whatever their budget says, and drain on", Example: `{"reason":"their owner agrees","pods":["payments/api-0"]}`}
	choiceSkipDrain  = upgrade.Choice{Update: UpdateSkipDrain, Does: "go on with these pods on the node: they are there while its kubelet is replaced", Example: `{"reason":"they may be interrupted"}`}
	choiceForceGroup = upgrade.Choice{Update: UpdateSkipDrain, Does: "try the node group again, by force: pods that their budgets do not let go end with their nodes", Example: `{"reason":"they may be interrupted"}`}
	choicePass       = upgrade.Choice{Update: UpdatePass, Does: "go on without it, or in spite of the health gate", Example: `{"reason":"the alert is known"}`}
	choiceApprove    = upgrade.Choice{Update: UpdateApprove, Does: "let it happen", Example: `{"reason":"looked at"}`}
	choiceOpenWindow = upgrade.Choice{Update: UpdateOpenWindow, Does: "open a maintenance window now, as long as the one that is waited for, or as said", Example: `{"for":"2h","reason":"the customer agrees"}`}
	choiceResume     = upgrade.Choice{Update: UpdateResume, Does: "go on", Example: `{"reason":"the freeze is over"}`}
	choiceAbort      = upgrade.Choice{Update: UpdateAbort, Does: "stop at a safe point; what is under way is finished, what is held is given up", Example: `{"reason":"not today"}`}
)
