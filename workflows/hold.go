package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// holds lets a workflow wait for a person instead of failing. What failed stays where it is, says why, and is tried
// again when somebody says so.
type holds struct {
	waiting []*hold
	changed func(workflow.Context) // called when a hold begins or ends
}

// hold is one thing that waits for a person.
type hold struct {
	reason   string
	released bool
}

// newHolds registers the update "retry", which releases everything that is held.
func newHolds(ctx workflow.Context, changed func(workflow.Context)) (*holds, error) {
	h := &holds{changed: changed}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateRetry,
		func(_ workflow.Context, d Decision) (string, error) {
			tried := h.waiting[0].reason
			for _, w := range h.waiting {
				w.released = true
			}
			return "trying again: " + tried, nil
		},
		workflow.UpdateHandlerOptions{
			Description: `Try the held step again. {"reason":"the budget is relaxed"}`,
			Validator: func(Decision) error {
				if len(h.waiting) == 0 {
					return temporal.NewApplicationError("nothing is held here, so there is nothing to retry", "NotHeld")
				}
				return nil
			},
		})
	return h, err
}

// attempt does something until it succeeds. After a failure it waits for a person to say retry. Only cancellation ends
// it otherwise.
func (h *holds) attempt(ctx workflow.Context, what string, do func() error) error {
	for {
		err := do()
		if err == nil || temporal.IsCanceledError(err) || ctx.Err() != nil {
			return err
		}
		w := &hold{reason: fmt.Sprintf("%s: %s", what, reason(err))}
		h.waiting = append(h.waiting, w)
		h.changed(ctx)
		if err := workflow.Await(ctx, func() bool { return w.released }); err != nil {
			return err
		}
		h.remove(w)
		h.changed(ctx)
	}
}

func (h *holds) remove(gone *hold) {
	var left []*hold
	for _, w := range h.waiting {
		if w != gone {
			left = append(left, w)
		}
	}
	h.waiting = left
}

// reason is why the workflow is held, or "".
func (h *holds) reason() string {
	if len(h.waiting) == 0 {
		return ""
	}
	return h.waiting[0].reason
}
