package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// holds lets a workflow wait for a person instead of failing. What failed stays where it is, says why, and is tried
// again when somebody says so.
type holds struct {
	waiting []*hold
	changed func(workflow.Context) // called when a hold begins or ends
}

// hold is one thing that waits for a person.
type hold struct {
	reason  string
	release *upgrade.Action // nil while it waits
}

// newHolds registers the update "retry", which releases everything that is held. What a person did is recorded with
// did; node is whose workflow this is, "" the cluster's.
func newHolds(ctx workflow.Context, node string, changed func(workflow.Context), did func(upgrade.Action)) (*holds, error) {
	h := &holds{changed: changed}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateRetry,
		func(ctx workflow.Context, d Decision) (string, error) {
			tried := h.waiting[0].reason
			action := upgrade.Action{At: workflow.Now(ctx), What: UpdateRetry, Node: node, By: d.By, Reason: d.Reason}
			did(action)
			for _, w := range h.waiting {
				w.release = &action
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
// it otherwise. Each hold is kept in kept, which is asked for anew each time because what it is part of may move.
func (h *holds) attempt(ctx workflow.Context, what string, kept func() *[]upgrade.Hold, do func() error) error {
	for {
		err := do()
		if err == nil || temporal.IsCanceledError(err) || ctx.Err() != nil {
			return err
		}
		w := &hold{reason: fmt.Sprintf("%s: %s", what, reason(err))}
		h.waiting = append(h.waiting, w)
		all := kept()
		*all = append(*all, upgrade.Hold{Reason: reason(err), From: workflow.Now(ctx)})
		number := len(*all) - 1
		h.changed(ctx)
		if err := workflow.Await(ctx, func() bool { return w.release != nil }); err != nil {
			return err
		}
		h.remove(w)
		record := &(*kept())[number]
		record.To, record.Release = w.release.At, w.release
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
