package upgrades

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// answerPatience is how long a workflow may take to accept or reject a decision, and for one that has to be planned
// first, to carry it out.
const answerPatience = 15 * time.Second

// Decide tells the upgrade of a cluster, or with a node's name that node's part of it, what a person decided: one of the
// updates of package workflows, with what it takes. It returns what the workflow answers.
func (c *Client) Decide(ctx context.Context, cluster, node, update string, d any) (answer string, err error) {
	op, id := fmt.Sprintf("%s %s", update, cluster), workflows.ClusterUpgradeID(cluster)
	absent := fmt.Sprintf("no upgrade of %s is running", cluster)
	if node != "" {
		op, id = op+" "+node, workflows.NodeUpgradeID(cluster, node)
		absent = fmt.Sprintf("node %s of %s is not being upgraded", node, cluster)
	}
	patience := answerPatience
	if update == workflows.UpdateRetarget {
		patience = planPatience
	}
	return c.update(ctx, op, id, absent, update, d, patience)
}

// update sends an update and waits until it has been carried out, or rejected. One that Temporal has dropped, since the
// workflow's task that took it up was cut off, is sent again: by its id it is carried out once.
func (c *Client) update(ctx context.Context, op, id, absent, update string, d any, patience time.Duration) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := client.UpdateWorkflowOptions{
		UpdateID:     uuid.NewString(),
		WorkflowID:   id,
		UpdateName:   update,
		Args:         []any{d},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	send := func() error {
		handle, err := c.temporal.UpdateWorkflow(ctx, options)
		if err != nil {
			return err
		}
		return handle.Get(ctx, &answer)
	}
	for err = send(); dropped(err) && ctx.Err() == nil; err = send() {
		select {
		case <-ctx.Done():
		case <-time.After(sendAgain):
		}
	}
	var rejected *temporal.ApplicationError
	switch {
	case err == nil:
		return answer, nil
	case errors.As(err, &rejected):
		return "", exit.Errorf(exit.BadInput, "%s: %s", op, rejected.Message())
	case isNotFound(err):
		return "", exit.Errorf(exit.BadInput, "%s: %s", op, absent)
	case ctx.Err() == context.DeadlineExceeded:
		return "", c.noWorker(op)
	case ctx.Err() != nil:
		return "", c.translate(op, ctx.Err(), exit.BadInput)
	}
	return "", c.translate(op, err, exit.BadInput)
}

// sendAgain is how soon a dropped update is sent again.
const sendAgain = 200 * time.Millisecond

// dropped reports whether an update was neither accepted nor rejected, as far as Temporal knows.
func dropped(err error) bool {
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	return errors.As(err, &timeout) || noWorkerAnswers(err)
}

// planPatience is how long a plan may take that a decision depends on.
const planPatience = 10 * time.Minute
