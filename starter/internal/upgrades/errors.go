package upgrades

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/codec"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// translate turns what Temporal or a workflow answered into one line with an exit code. Otherwise is the code for a
// workflow's fault that is not the person's.
func (c *Client) translate(op string, err error, otherwise int) error {
	if err == nil {
		return nil
	}
	var known *exit.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return exit.Errorf(exit.Interrupted, "%s: interrupted", op)
	}
	// The workflow's own words are a whole line already; Temporal's names around them help nobody.
	var fromWorkflow *temporal.ApplicationError
	said := errors.As(err, &fromWorkflow)
	if errors.Is(err, converter.ErrEncodingIsNotSupported) || said && fromWorkflow.Message() == codec.EncodedFailure {
		return exit.Errorf(exit.BadInput, "%s: what Temporal has of it is encrypted; name the file of keys in %s", op, codec.Environment)
	}
	if said {
		return exit.Errorf(codeOf(fault.Kind(fromWorkflow.Type()), otherwise), "%s", fromWorkflow.Message())
	}
	var (
		noNamespace *serviceerror.NamespaceNotFound
		refused     *serviceerror.PermissionDenied
		unavailable *serviceerror.Unavailable
		deadline    *serviceerror.DeadlineExceeded
		exhausted   *serviceerror.ResourceExhausted
	)
	switch {
	case errors.As(err, &noNamespace):
		return exit.Errorf(exit.BadInput, "%s: Temporal at %s has no namespace %q; create it, or set TEMPORAL_NAMESPACE",
			op, c.Address, c.Namespace)
	case errors.As(err, &refused):
		return exit.Errorf(exit.Unreachable, "%s: Temporal at %s refused: %s", op, c.Address, oneLine(err))
	case noWorkerAnswers(err):
		return c.noWorker(op)
	case errors.As(err, &unavailable), errors.As(err, &deadline), errors.As(err, &exhausted),
		errors.Is(err, context.DeadlineExceeded):
		return exit.Errorf(exit.Unreachable, "%s: Temporal at %s does not answer (%s)", op, c.Address, oneLine(err))
	}
	return exit.Errorf(exit.Unexpected, "%s: %s", op, oneLine(err))
}

// codeOf is the exit code of a workflow's fault.
func codeOf(kind fault.Kind, otherwise int) int {
	switch kind {
	case fault.InvalidInput, fault.NotFound:
		return exit.BadInput
	}
	return otherwise
}

// noWorkerAnswers reports whether a query or update failed for want of a worker.
func noWorkerAnswers(err error) bool {
	var notReady *serviceerror.WorkflowNotReady
	var precondition *serviceerror.FailedPrecondition
	return errors.As(err, &notReady) || errors.As(err, &precondition)
}

func (c *Client) noWorker(op string) error {
	return exit.Errorf(exit.Unreachable, `%s: no pawl-worker is polling task queue %s of namespace %s at %s; start one, or "pawl dev"`,
		op, workflows.TaskQueue, c.Namespace, c.Address)
}

// nobody says why nothing takes up the tasks of a queue.
func (c *Client) nobody(ctx context.Context, op, queue string) error {
	kind := enumspb.TASK_QUEUE_TYPE_WORKFLOW
	if queue != workflows.TaskQueue {
		kind = enumspb.TASK_QUEUE_TYPE_ACTIVITY
	}
	if d, err := c.temporal.DescribeTaskQueue(ctx, queue, kind); err == nil && d.GetVersioningInfo().GetCurrentDeploymentVersion() == nil {
		for _, p := range d.GetPollers() {
			if o := p.GetDeploymentOptions(); o.GetWorkerVersioningMode() == enumspb.WORKER_VERSIONING_MODE_VERSIONED {
				return exit.Errorf(exit.Unreachable, "%s: the pawl-workers that poll task queue %s belong to deployment %s, of which no version is the current one; "+
					"temporal worker deployment set-current-version --namespace %s --deployment-name %s --build-id %s",
					op, queue, o.GetDeploymentName(), c.Namespace, o.GetDeploymentName(), o.GetBuildId())
			}
		}
	}
	if queue == workflows.TaskQueue {
		return c.noWorker(op)
	}
	return exit.Errorf(exit.Unreachable, "%s: no pawl-worker is polling task queue %s of namespace %s at %s; start one beside the cluster: pawl-worker --task-queue %s",
		op, queue, c.Namespace, c.Address, queue)
}

// isNotFound reports whether Temporal knows no such workflow.
func isNotFound(err error) bool {
	var notFound *serviceerror.NotFound
	return errors.As(err, &notFound)
}
