package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/workflows"
)

// upgrades are those that Temporal runs.
type upgrades struct{ temporal client.Client }

// Tell implements activities.Upgrades.
func (u upgrades) Tell(ctx context.Context, in activities.TellInput) (answer string, err error) {
	handle, err := u.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		UpdateID: in.Key, WorkflowID: in.Workflow, RunID: in.Run, UpdateName: in.Update, WaitForStage: client.WorkflowUpdateStageCompleted,
		Args: []any{workflows.Decision{Reason: in.Reason, By: in.By}},
	})
	if err == nil {
		err = handle.Get(ctx, &answer)
	}
	var rejected *temporal.ApplicationError
	var absent *serviceerror.NotFound
	switch {
	case errors.As(err, &rejected):
		return "", fault.New(fault.InvalidInput, in.Update, in.Workflow, rejected.Message(), "")
	case errors.As(err, &absent):
		return "", fault.New(fault.NotFound, in.Update, in.Workflow, "it is not running", "")
	case err != nil:
		return "", fault.Wrap(fault.Unreachable, in.Update, in.Workflow, fmt.Errorf("ask Temporal: %w", err), "")
	}
	return answer, nil
}
