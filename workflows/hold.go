package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// holds lets a workflow wait for a person instead of failing. What failed stays where it is and says why and what can be
// done, until somebody decides.
type holds struct {
	cluster string
	node    string // whose workflow this is; "" is the cluster's
	waiting []*hold
	stopped bool                   // hold no more: what fails is given up
	changed func(workflow.Context) // called when a hold begins or ends
	did     func(upgrade.Action)   // is told what a person did
}

// hold is one thing that waits for a person.
type hold struct {
	upgrade.Wait
	decided *decided // nil while it waits
}

// decided is what a person chose, and what was given with it.
type decided struct {
	upgrade.Action
	pods   []string
	longer upgrade.Duration
}

// Ends of a step that is not done.
var (
	errSkipped = temporal.NewNonRetryableApplicationError("left as it is, as a person said", "Skipped", nil)
	errPassed  = temporal.NewNonRetryableApplicationError("gone on without it, as a person said", "Passed", nil)
	errStopped = temporal.NewNonRetryableApplicationError("stopped, as a person said", "Stopped", nil)
)

// offer registers an update that ends holds, and answers so. check says why what was given with it will not do, take keeps it.
func offer[D decision](ctx workflow.Context, h *holds, c upgrade.Choice, answer string, check func(D) error, take func(D, *decided)) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, c.Update,
		func(ctx workflow.Context, d strict[D]) (string, error) {
			said := d.said.said()
			chosen := &decided{Action: upgrade.Action{At: workflow.Now(ctx), What: c.Update, Node: h.node, By: said.By, Reason: said.Reason}}
			take(d.said, chosen)
			h.did(chosen.Action)
			var ended []string
			for _, w := range h.waiting {
				if w.offers(c.Update) {
					w.decided = chosen
					ended = append(ended, w.At+": "+w.Reason)
				}
			}
			return answer + ": " + strings.Join(ended, "; "), nil
		},
		workflow.UpdateHandlerOptions{
			Description: c.Does + ": " + c.Example,
			Validator: func(d strict[D]) error {
				if len(h.waiting) == 0 {
					return reject("nothing is held here, so there is nothing to %s", c.Update)
				}
				if err := check(d.said); err != nil {
					return err
				}
				if !slices.ContainsFunc(h.waiting, func(w *hold) bool { return w.offers(c.Update) }) {
					return reject("%s is no choice at %q; wanted one of: %s", c.Update, h.waiting[0].At, strings.Join(names(h.waiting[0].Choices), ", "))
				}
				return nil
			},
		})
}

func (w *hold) offers(update string) bool { return slices.Contains(names(w.Choices), update) }

func names(choices []upgrade.Choice) []string {
	var all []string
	for _, c := range choices {
		all = append(all, c.Update)
	}
	return all
}

// offerRetry registers the choice that every hold has.
func (h *holds) offerRetry(ctx workflow.Context) error {
	return offer(ctx, h, choiceRetry, "trying again", func(Decision) error { return nil }, func(Decision, *decided) {})
}

// offerPass registers the choice to go on without a hook or a health gate.
func (h *holds) offerPass(ctx workflow.Context) error {
	return offer(ctx, h, choicePass, "going on without it", needsReason, func(Decision, *decided) {})
}

// attempt does something until it succeeds or a person gives it up. do is told what was decided since its last try, nil
// at first. Each hold is kept in kept, which is asked for anew each time because what it is part of may move.
func (h *holds) attempt(ctx workflow.Context, what string, choices []upgrade.Choice, kept func() *[]upgrade.Hold, do func(*decided) error) error {
	var chosen *decided
	for {
		err := do(chosen)
		if err == nil || errors.Is(err, errPassed) || errors.Is(err, errStopped) || temporal.IsCanceledError(err) || ctx.Err() != nil {
			return err
		}
		w := &hold{Wait: upgrade.Wait{For: upgrade.ForDecision, Node: h.node, At: what, Reason: reason(err), Since: workflow.Now(ctx), Choices: choices}}
		all := kept()
		*all = append(*all, upgrade.Hold{Reason: w.Reason, From: w.Since})
		number := len(*all) - 1
		if h.stopped {
			return errStopped
		}
		h.waiting = append(h.waiting, w)
		countHold(ctx, h.cluster)
		h.changed(ctx)
		if err := workflow.Await(ctx, func() bool { return w.decided != nil || h.stopped }); err != nil {
			return err
		}
		h.waiting = slices.DeleteFunc(h.waiting, func(other *hold) bool { return other == w })
		record := &(*kept())[number]
		record.To = workflow.Now(ctx)
		if w.decided != nil {
			record.To, record.Release = w.decided.At, &w.decided.Action
		}
		h.changed(ctx)
		if chosen = w.decided; chosen == nil {
			return errStopped
		}
		switch chosen.What {
		case UpdateSkip:
			return errSkipped
		case UpdatePass:
			return errPassed
		}
	}
}

// waits are what waits for a person now.
func (h *holds) waits() []upgrade.Wait {
	var all []upgrade.Wait
	for _, w := range h.waiting {
		all = append(all, w.Wait)
	}
	return all
}

// reason is why the workflow is held, or "".
func (h *holds) reason() string {
	if len(h.waiting) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s", h.waiting[0].At, h.waiting[0].Reason)
}
