package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// notifyPatience bounds all attempts to deliver one message, and at the end of an upgrade all that are still to be
// delivered.
const notifyPatience = 2 * time.Minute

// notifying sends what people are told. Nothing waits for it: each place has a queue of its own, in which messages keep
// their order, and what cannot be delivered is noted.
type notifying struct {
	places []*place
	told   []upgrade.Wait // waits that people have been told of and that last
	sent   int            // messages so far, which numbers them
}

// place is one that is notified.
type place struct {
	upgrade.Notification
	queue []activities.NotifyInput
	busy  bool
}

// notifyAs takes over who is to be told of what.
func (u *clusterUpgrade) notifyAs(s upgrade.Settings) {
	u.notifying.places = nil
	for _, n := range s.Notifications {
		u.notifying.places = append(u.notifying.places, &place{Notification: n})
	}
}

// notify tells all that want to know of an event.
func (u *clusterUpgrade) notify(ctx workflow.Context, e upgrade.Event, w upgrade.Wait) {
	m := upgrade.Message{Event: e, Cluster: u.status.Cluster, From: u.status.From, Target: u.status.Target, Node: w.Node, Choices: w.Choices, Time: workflow.Now(ctx)}
	m.Reason = w.Reason
	if w.At != "" {
		m.Reason = w.At + ": " + w.Reason
	}
	u.notifying.sent++
	key := fmt.Sprintf("%s/%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, u.notifying.sent)
	for _, p := range u.notifying.places {
		if !p.Wants(e) {
			continue
		}
		p.queue = append(p.queue, activities.NotifyInput{Cluster: u.input.Cluster, To: p.Name, Message: m, Key: key})
		if !p.busy {
			p.busy = true
			outlives, _ := workflow.NewDisconnectedContext(ctx) // a cancelled upgrade tells so, too
			workflow.Go(outlives, func(ctx workflow.Context) { u.deliver(ctx, p) })
		}
	}
}

// deliver empties a place's queue.
func (u *clusterUpgrade) deliver(ctx workflow.Context, p *place) {
	for len(p.queue) > 0 {
		in := p.queue[0]
		p.queue = p.queue[1:]
		ctx := workflow.WithActivityOptions(u.beside(ctx), notifyOptions(in))
		if err := workflow.ExecuteActivity(ctx, act.Notify, in).Get(ctx, nil); err != nil {
			text := fmt.Sprintf("%s was not notified of %s: %s", in.To, in.Message.Event, reason(err))
			workflow.GetLogger(ctx).Warn(text)
			u.note(ctx, text)
		}
	}
	p.busy = false
}

func notifyOptions(in activities.NotifyInput) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		ActivityID:             "notify-" + in.To,
		Summary:                fmt.Sprintf("Notify %s: %s", in.To, in.Message.Event),
		StartToCloseTimeout:    30 * time.Second,
		ScheduleToCloseTimeout: notifyPatience,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 20 * time.Second, MaximumAttempts: 10},
	}
}

// note keeps what went wrong without stopping the upgrade.
func (u *clusterUpgrade) note(ctx workflow.Context, text string) {
	u.status.Note(workflow.Now(ctx), text)
	workflow.SetCurrentDetails(ctx, clusterDetails(u.status))
}

// notifyOfWaits tells of each wait once, when it begins, and of windows also when they open.
func (u *clusterUpgrade) notifyOfWaits(ctx workflow.Context) {
	n := &u.notifying
	if len(n.places) == 0 {
		return
	}
	was := n.told
	n.told = slices.Clone(u.status.Waits)
	for _, w := range u.status.Waits {
		if e := w.For.Event(); e != "" && !slices.ContainsFunc(was, w.Same) {
			u.notify(ctx, e, w)
		}
	}
	for _, w := range was {
		if w.For == upgrade.ForWindow && u.steering.stop == nil && !slices.ContainsFunc(n.told, func(now upgrade.Wait) bool { return now.For == upgrade.ForWindow }) {
			u.notify(ctx, upgrade.EventWindowOpened, upgrade.Wait{})
			break
		}
	}
}

// notifyOfEnd tells how the upgrade ended, and waits for a while until all have been told.
func (u *clusterUpgrade) notifyOfEnd(ctx workflow.Context) {
	if len(u.notifying.places) == 0 {
		return
	}
	e := upgrade.EventFailed
	switch u.status.State {
	case upgrade.Done:
		e = upgrade.EventDone
	case upgrade.Aborted:
		e = upgrade.EventAborted
	}
	if e == upgrade.EventDone && len(u.plan.Hops) == 0 {
		return // there was nothing to do, and nobody was told of a start
	}
	u.notify(ctx, e, upgrade.Wait{Reason: u.status.Message})
	outlives, _ := workflow.NewDisconnectedContext(ctx)
	busy := func() bool { return slices.ContainsFunc(u.notifying.places, func(p *place) bool { return p.busy }) }
	if done, err := workflow.AwaitWithTimeout(outlives, notifyPatience, func() bool { return !busy() }); err != nil || !done {
		u.note(ctx, "not all could be notified before the upgrade ended")
	}
}
