package upgrades

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
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// Listed is what Temporal's visibility knows of a cluster's newest upgrade. It is behind the workflow by a second or so.
type Listed struct {
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
}

// ListQuery is the filter for upgrades, also for Temporal's UI and CLI; held picks those that wait for a person's decision.
func ListQuery(held bool) string {
	query := fmt.Sprintf("WorkflowType = '%s'", workflows.ClusterUpgradeName)
	if held {
		query += fmt.Sprintf(" AND ExecutionStatus = 'Running' AND %s = '%s'", workflows.AttributeState.GetName(), upgrade.Held)
	}
	return query
}

// List is the newest upgrade of every cluster, those under way first. It asks visibility only: no worker need run.
func (c *Client) List(ctx context.Context, held bool) ([]Listed, error) {
	var all []Listed
	seen := map[string]bool{}
	var page []byte
	for {
		ask, cancel := context.WithTimeout(ctx, queryPatience)
		found, err := c.temporal.ListWorkflow(ask, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: c.Namespace, PageSize: 1000, NextPageToken: page, Query: ListQuery(held),
		})
		cancel()
		if err != nil {
			return nil, c.translate("list", err, exit.Unexpected)
		}
		for _, info := range found.GetExecutions() { // what runs comes first, then what ended last
			if l := listedOf(info); !seen[l.Cluster] {
				seen[l.Cluster] = true
				all = append(all, l)
			}
		}
		if page = found.GetNextPageToken(); len(page) == 0 {
			return all, nil
		}
	}
}

// listedOf reads what is kept of one run. A run that ended from outside could not say so itself.
func listedOf(info *workflowpb.WorkflowExecutionInfo) Listed {
	attributes := info.GetSearchAttributes().GetIndexedFields()
	keyword := func(a temporal.SearchAttributeKey) (text string) { read(attributes, a.GetName(), &text); return }
	number := func(a temporal.SearchAttributeKey) (n int) { read(attributes, a.GetName(), &n); return }
	l := Listed{
		Cluster: keyword(workflows.AttributeCluster), Target: keyword(workflows.AttributeTarget),
		State: upgrade.State(keyword(workflows.AttributeState)), Phase: keyword(workflows.AttributePhase),
		HeldAt: keyword(workflows.AttributeHeldAt),
		Nodes:  number(workflows.AttributeNodes), NodesDone: number(workflows.AttributeNodesDone),
		Workflow: info.GetExecution().GetWorkflowId(), Run: info.GetExecution().GetRunId(), Started: info.GetStartTime().AsTime(),
	}
	read(info.GetMemo().GetFields(), workflows.MemoMessage, &l.Message)
	if l.Cluster == "" { // it has not said a word yet
		l.Cluster = strings.TrimPrefix(l.Workflow, workflows.ClusterUpgradeID(""))
	}
	if info.GetCloseTime() != nil {
		l.Ended = info.GetCloseTime().AsTime()
	}
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		if l.State == "" {
			l.State = upgrade.Pending
		}
		return l
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		if l.State == "" {
			l.State = upgrade.Done
		}
		return l
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		l.State = upgrade.Aborted
	default:
		l.State = upgrade.Failed
	}
	l.HeldAt = ""
	return l
}

// read decodes a field, if it is there.
func read(fields map[string]*commonpb.Payload, name string, into any) {
	if p := fields[name]; p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, into) // what cannot be read is left out
	}
}
