package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	// believed is for how long an opening is relied on before the definition is read again: so soon an edit takes effect.
	believed = 5 * time.Minute
	// lookAgain is for how long an upgrade sleeps at most before the definition is read again.
	lookAgain = 4 * time.Hour
)

// windows is what an upgrade knows of its maintenance windows.
type windows struct {
	turn  workflow.Mutex  // nodes are asked about one after another, in their order
	known upgrade.Opening // relied on until stale
	stale time.Time
	wait  *upgrade.Wait   // nil while it does not wait
	next  upgrade.Opening // what it waits for
	needs time.Duration   // how long what is to begin is expected to take
	extra bool            // a person has opened one, and it has not looked since
	// begunUntil is when the opening closes in which work was begun last.
	begunUntil time.Time
}

// offerWindow registers the update "openWindow".
func (u *clusterUpgrade) offerWindow(ctx workflow.Context) error {
	u.windows.turn = workflow.NewMutex(ctx)
	return steer(ctx, u, UpdateOpenWindow, choiceOpenWindow.Does+": "+choiceOpenWindow.Example, func(o OpenWindow) error {
		w := u.windows
		switch {
		case w.wait == nil:
			return reject("it does not wait for a maintenance window")
		case o.For != 0 && o.For.Std() < w.needs:
			return reject("%s are too short: what is to begin is expected to take %s", o.For, w.needs.Round(time.Second))
		}
		return needsReason(o.Decision)
	}, func(ctx workflow.Context, o OpenWindow, a upgrade.Action) (string, error) {
		w := &u.windows
		length := max(o.For.Std(), w.needs)
		if o.For == 0 {
			length = max(w.next.Length(), w.needs)
		}
		w.known = upgrade.Opening{From: a.At, To: a.At.Add(length)}
		w.stale, w.extra = w.known.To, true
		u.windowWait().Opened = &a
		return fmt.Sprintf("a maintenance window is open for %s", length.Round(time.Second)), nil
	})
}

// awaitHop waits until the hop may begin, and reports whether anything is left to do then. When that took a while the plan
// is held against the cluster again: what was planned days ago may not fit any more.
func (u *clusterUpgrade) awaitHop(ctx workflow.Context) (left bool, err error) {
	if !u.plan.Settings.Windows.Defined() {
		return true, nil
	}
	waited := false
	err = u.stage(ctx, "Wait for a maintenance window", func(ctx workflow.Context) (err error) {
		waited, err = u.awaitWindow(ctx, u.plan.Cluster, u.hop().Begins()...)
		return err
	})
	if err != nil || !waited {
		return true, err
	}
	done := u.status.Hop - 1
	err = u.stage(ctx, "Check that the plan still fits", func(ctx workflow.Context) error { return u.checkFrom(ctx, done) })
	if err == nil && done == len(u.plan.Hops) { // somebody else has done it
		u.status.Hop = done
		return false, nil
	}
	return true, err
}

// awaitNode waits until the work on a node may begin: in a maintenance window, and when nobody has paused the upgrade.
// When it had to wait for a window, the control plane must be found healthy first. Nodes behind it wait for both.
func (u *clusterUpgrade) awaitNode(ctx workflow.Context, n upgrade.NodePlan) error {
	if !u.plan.Settings.Windows.Defined() {
		return u.gate(ctx)
	}
	if err := u.windows.turn.Lock(ctx); err != nil {
		return err
	}
	defer u.windows.turn.Unlock()
	waited, err := u.awaitWindow(ctx, n.Node, n)
	if err != nil || !waited {
		return err
	}
	return u.checkControlPlane(ctx)
}

// awaitWindow waits for a maintenance window in which these parts of nodes are expected to be done before it closes, and
// reports whether it had to. Where no window is that long it holds. While the upgrade is paused it waits for that first:
// the window may have closed when it is resumed.
func (u *clusterUpgrade) awaitWindow(ctx workflow.Context, what string, parts ...upgrade.NodePlan) (waited bool, err error) {
	var stopped error // which nothing holds for
	err = u.holds.attempt(ctx, "Wait for a maintenance window", []upgrade.Choice{choiceRetry, choiceAbort}, u.keptByStage, func(*decided) error {
		defer u.windowWaitEnds(ctx)
		for {
			if stopped = u.gate(ctx); stopped != nil {
				return nil
			}
			now, needs := workflow.Now(ctx), u.status.Expected(parts...)
			if now.Before(u.windows.stale) && u.windows.known.Fits(now, needs) {
				return nil
			}
			turn, err := u.nextWindow(ctx, what, now, needs)
			if err != nil {
				waited = true // for a person
				return err
			}
			if u.windows.extra {
				u.windows.extra = false
				continue
			}
			u.windows.known, u.windows.stale = turn.Opening, now.Add(believed)
			left := turn.From.Sub(workflow.Now(ctx))
			if left <= 0 {
				return nil
			}
			waited = true
			u.windowWaitBegins(ctx, what, turn, needs)
			_, err = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
				Timeout: min(left, lookAgain), TimerOptions: workflow.TimerOptions{Summary: "Wait for the maintenance window of " + turn.Opens()},
			}, func() bool { return u.windows.extra || u.steering.stop != nil })
			if err != nil {
				return err
			}
			u.windows.extra = false
		}
	})
	return waited, cmp.Or(err, stopped)
}

func (u *clusterUpgrade) nextWindow(ctx workflow.Context, what string, after time.Time, needs time.Duration) (upgrade.Turn, error) {
	var turn upgrade.Turn
	ctx = workflow.WithActivityOptions(ctx, planOptions("Find a maintenance window for "+what))
	err := workflow.ExecuteActivity(ctx, act.NextWindow, activities.WindowInput{
		Cluster: u.plan.Cluster, What: what, After: after, Needs: upgrade.Duration(needs),
		Waived: slices.Contains(u.input.Waive, upgrade.WindowTooShort),
	}).Get(ctx, &turn)
	return turn, err
}

// windowWaitBegins shows what is waited for, and until when; also when that has changed.
func (u *clusterUpgrade) windowWaitBegins(ctx workflow.Context, what string, turn upgrade.Turn, needs time.Duration) {
	w := &u.windows
	if w.wait == nil {
		u.status.WindowWaits = append(u.status.WindowWaits, upgrade.WindowWait{For: what, From: workflow.Now(ctx)})
	}
	w.next, w.needs = turn.Opening, needs
	w.wait = &upgrade.Wait{For: upgrade.ForWindow, At: what, Reason: turn.Reason, Since: u.windowWait().From, Until: turn.From,
		Choices: []upgrade.Choice{choiceOpenWindow, choiceAbort}}
	u.changed(ctx)
}

// windowWaitEnds takes that away, if it is there, and keeps how long it was.
func (u *clusterUpgrade) windowWaitEnds(ctx workflow.Context) {
	w := &u.windows
	if w.wait == nil {
		return
	}
	u.windowWait().To = workflow.Now(ctx)
	countWindow(ctx, u.status.Cluster, *u.windowWait())
	w.wait, w.extra = nil, false
	u.changed(ctx)
}

func (u *clusterUpgrade) windowWait() *upgrade.WindowWait {
	return &u.status.WindowWaits[len(u.status.WindowWaits)-1]
}
