package upgrades

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// answerPatience is how long a workflow may take to accept or reject a decision.
const answerPatience = 15 * time.Second

// Retry tells a held node to try its step again.
func (c *Client) Retry(ctx context.Context, cluster, node string, d workflows.Decision) error {
	return c.decide(ctx, fmt.Sprintf("retry %s %s", cluster, node), workflows.NodeUpgradeID(cluster, node),
		workflows.UpdateRetry, d, fmt.Sprintf("node %s of %s is not being upgraded", node, cluster))
}

// RetryCluster tells a held step of the whole cluster to try again.
func (c *Client) RetryCluster(ctx context.Context, cluster string, d workflows.Decision) error {
	return c.decide(ctx, "retry "+cluster, workflows.ClusterUpgradeID(cluster),
		workflows.UpdateRetry, d, fmt.Sprintf("no upgrade of %s is running", cluster))
}

// decide sends an update and waits until it has been accepted and carried out, or rejected.
func (c *Client) decide(ctx context.Context, op, workflow, update string, d workflows.Decision, absent string) error {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	handle, err := c.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID:   workflow,
		UpdateName:   update,
		Args:         []any{d},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	var rejected *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &rejected):
		return exit.Errorf(exit.BadInput, "%s: %s", op, rejected.Message())
	case isNotFound(err):
		return exit.Errorf(exit.BadInput, "%s: %s", op, absent)
	case ctx.Err() == context.DeadlineExceeded:
		return c.noWorker(op)
	}
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	if errors.As(err, &timeout) {
		return c.noWorker(op)
	}
	return c.translate(op, err, exit.BadInput)
}
