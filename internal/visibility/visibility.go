// Package visibility reads what Temporal's visibility knows of upgrades.
//
// Rule: it asks visibility only, so that its answers need no worker and are the same whoever asks; what is written
// there is the workflows' business (workflows/searchattributes.go).
package visibility

import (
	"context"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// Upgrade is what is known of one upgrade. It is behind the workflow by a second or so.
type Upgrade struct {
	Cluster   string        `json:"cluster"`
	Target    string        `json:"target,omitempty"`
	State     upgrade.State `json:"state"`
	Phase     string        `json:"phase,omitempty"`
	HeldAt    string        `json:"heldAt,omitempty"` // a node, or "cluster"
	Nodes     int           `json:"nodes,omitempty"`
	NodesDone int           `json:"nodesDone,omitempty"`
	Message   string        `json:"message,omitempty"` // why it is held or has failed, one line
	Started   time.Time     `json:"started"`
	Ended     time.Time     `json:"ended,omitzero"`
	Workflow  string        `json:"workflow"`
	Run       string        `json:"run"`

	TaskQueue string            `json:"-"`
	Moments   workflows.Moments `json:"-"`
}

// Query is the filter for upgrades, also for Temporal's UI and CLI.
func Query() string { return fmt.Sprintf("WorkflowType = '%s'", workflows.ClusterUpgradeName) }

// HeldQuery picks those that wait for a person's decision.
func HeldQuery() string {
	return fmt.Sprintf("%s AND ExecutionStatus = 'Running' AND %s = '%s'", Query(), workflows.AttributeState.GetName(), upgrade.Held)
}

// RecentQuery picks those that go on, and those that have ended since.
func RecentQuery(since time.Time) string {
	return fmt.Sprintf("%s AND (ExecutionStatus = 'Running' OR CloseTime > '%s')", Query(), since.UTC().Format(time.RFC3339))
}

// Lister is the part of a Temporal client that is needed.
type Lister interface {
	ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// page is how many are asked for at a time.
const page = 1000

// Newest is the newest upgrade of every cluster among those that the query picks, those under way first. each bounds one
// question.
func Newest(ctx context.Context, temporal Lister, query string, each time.Duration) ([]Upgrade, error) {
	var all []Upgrade
	seen := map[string]bool{}
	var token []byte
	for {
		ask, cancel := context.WithTimeout(ctx, each)
		found, err := temporal.ListWorkflow(ask, &workflowservice.ListWorkflowExecutionsRequest{PageSize: page, NextPageToken: token, Query: query})
		cancel()
		if err != nil {
			return nil, err
		}
		for _, info := range found.GetExecutions() { // what runs comes first, then what ended last
			if u := read(info); !seen[u.Cluster] {
				seen[u.Cluster] = true
				all = append(all, u)
			}
		}
		if token = found.GetNextPageToken(); len(token) == 0 {
			return all, nil
		}
	}
}

// read is what is kept of one run. A run that ended from outside could not say so itself.
func read(info *workflowpb.WorkflowExecutionInfo) Upgrade {
	attributes := info.GetSearchAttributes().GetIndexedFields()
	keyword := func(a temporal.SearchAttributeKey) (text string) { decode(attributes, a.GetName(), &text); return }
	number := func(a temporal.SearchAttributeKey) (n int) { decode(attributes, a.GetName(), &n); return }
	u := Upgrade{
		Cluster: keyword(workflows.AttributeCluster), Target: keyword(workflows.AttributeTarget),
		State: upgrade.State(keyword(workflows.AttributeState)), Phase: keyword(workflows.AttributePhase),
		HeldAt: keyword(workflows.AttributeHeldAt),
		Nodes:  number(workflows.AttributeNodes), NodesDone: number(workflows.AttributeNodesDone),
		Workflow: info.GetExecution().GetWorkflowId(), Run: info.GetExecution().GetRunId(), Started: info.GetStartTime().AsTime(),
		TaskQueue: info.GetTaskQueue(),
	}
	decode(info.GetMemo().GetFields(), workflows.MemoMessage, &u.Message)
	decode(info.GetMemo().GetFields(), workflows.MemoMoments, &u.Moments)
	if u.Cluster == "" { // it has not said a word yet
		u.Cluster = strings.TrimPrefix(u.Workflow, workflows.ClusterUpgradeID(""))
	}
	if info.GetCloseTime() != nil {
		u.Ended = info.GetCloseTime().AsTime()
	}
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		if u.State == "" {
			u.State = upgrade.Pending
		}
		return u
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		u.Moments = workflows.Moments{}
		if u.State == "" {
			u.State = upgrade.Done
		}
		return u
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		u.State = upgrade.Aborted
	default:
		u.State = upgrade.Failed
	}
	u.HeldAt, u.Moments = "", workflows.Moments{}
	return u
}

// decode reads a field, if it is there. What cannot be read is left out.
func decode(fields map[string]*commonpb.Payload, name string, into any) {
	if p := fields[name]; p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, into)
	}
}
