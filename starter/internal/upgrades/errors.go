package upgrades

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

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
	if errors.As(err, &fromWorkflow) {
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

// isNotFound reports whether Temporal knows no such workflow.
func isNotFound(err error) bool {
	var notFound *serviceerror.NotFound
	return errors.As(err, &notFound)
}
