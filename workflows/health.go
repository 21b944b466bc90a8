package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// healthGate is what lets the next node begin only when the workloads are well.
type healthGate struct {
	turn      workflow.Mutex
	disturbed int           // how often pods have been disturbed
	passed    int           // how often they had been, when the gate was last seen open
	wait      *upgrade.Wait // nil while nothing waits for it
}

// disturbed notes that a node has been worked on, after which the workloads must show that they are well.
func (u *clusterUpgrade) disturbed(n upgrade.NodePlan) {
	if n.Part() != upgrade.PartConfiguration {
		u.health.disturbed++
	}
}

// lastHealth is the stage after the last node of a hop, where there is a gate.
func (u *clusterUpgrade) lastHealth() []stage {
	if len(u.plan.Settings.Health.Checks) == 0 {
		return nil
	}
	return []stage{{"Wait for the health of the workloads", u.awaitHealth}}
}

// awaitHealth waits until all health checks have been true for the soak time since the last node was worked on. Nodes
// that wait side by side wait for the same. When it takes too long a person is asked.
func (u *clusterUpgrade) awaitHealth(ctx workflow.Context) error {
	h := u.plan.Settings.Health
	if len(h.Checks) == 0 || u.health.passed == u.health.disturbed {
		return nil
	}
	if err := u.health.turn.Lock(ctx); err != nil {
		return err
	}
	defer u.health.turn.Unlock()
	return u.passHealth(ctx, h)
}

func (u *clusterUpgrade) passHealth(ctx workflow.Context, h upgrade.Health) error {
	seen := u.health.disturbed
	if u.health.passed == seen {
		return nil // it was another's turn before, and that is enough
	}
	const at = "Health gate"
	options := stepOptions("health", fmt.Sprintf("Wait until true for %s: %s", h.Soak, h.Names()), u.plan.Settings)
	options.ScheduleToCloseTimeout = 2*h.Timeout.Std() + patience(u.plan.Settings) // the gate's own time-out comes first
	options.StartToCloseTimeout = options.ScheduleToCloseTimeout
	err := u.holds.attempt(ctx, at, []upgrade.Choice{choiceRetry, choicePass}, u.keptByStage, func(*decided) error {
		u.health.wait = &upgrade.Wait{For: upgrade.ForHealth, At: at, Since: workflow.Now(ctx),
			Reason: fmt.Sprintf("until true for %s: %s; after %s a person is asked", h.Soak, h.Names(), h.Timeout)}
		u.changed(ctx)
		defer func() { u.health.wait = nil }()
		return u.unlessStopped(ctx, options, act.CheckHealth, activities.HealthInput{Cluster: u.plan.Cluster, Health: h})
	})
	if errors.Is(err, errPassed) {
		u.note(ctx, at+": gone on without it, as a person said")
		err = nil
	}
	if err == nil {
		u.health.passed = seen
	}
	u.changed(ctx)
	return err
}

// unlessStopped runs an activity that changes nothing, and gives it up when a person stops the upgrade.
func (u *clusterUpgrade) unlessStopped(ctx workflow.Context, o workflow.ActivityOptions, activity, in any) error {
	ctx, giveUp := workflow.WithCancel(ctx)
	defer giveUp()
	running := workflow.WithActivityOptions(ctx, o)
	done := workflow.ExecuteActivity(running, activity, in)
	if err := workflow.Await(ctx, func() bool { return done.IsReady() || u.steering.stop != nil }); err != nil {
		return err
	}
	if !done.IsReady() {
		return errStopped // which h.stopped makes the end of it
	}
	return done.Get(running, nil)
}
