package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// hooksBefore are the stages of hooks that come before the hop, and hooksAfter those after it.
func (u *clusterUpgrade) hooksBefore() []stage {
	if u.status.Hop > 1 {
		return u.hookStages(upgrade.BeforeHop)
	}
	return u.hookStages(upgrade.BeforeUpgrade, upgrade.BeforeHop)
}

func (u *clusterUpgrade) hooksAfter(last bool) []stage {
	if !last {
		return u.hookStages(upgrade.AfterHop)
	}
	return u.hookStages(upgrade.AfterHop, upgrade.AfterUpgrade)
}

func (u *clusterUpgrade) hookStages(moments ...upgrade.HookMoment) []stage {
	var stages []stage
	for _, m := range moments {
		if slices.ContainsFunc(u.plan.Settings.Hooks, func(h upgrade.Hook) bool { return h.When == m }) {
			title := "Run the hooks " + upgrade.Hook{When: m}.At("", "")
			stages = append(stages, stage{title, func(ctx workflow.Context) error { return u.hook(ctx, m, upgrade.NodePlan{}) }})
		}
	}
	return stages
}

// hook runs the hooks of a moment, one after another; n is the node that is worked on, or none.
func (u *clusterUpgrade) hook(ctx workflow.Context, when upgrade.HookMoment, n upgrade.NodePlan) error {
	var part upgrade.Part
	if n.Node != "" {
		part = n.Part()
	}
	for _, h := range u.plan.Settings.Hooks {
		if n.Node == "" && !h.RunsAt(when, "") || n.Node != "" && !h.RunsAround(when, n) {
			continue
		}
		if n.Abstract() && workflow.GetVersion(ctx, "hooks-around-parts", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return nil
		}
		if err := u.runHook(ctx, h, n, part); err != nil {
			return err
		}
	}
	return nil
}

// runHook runs one hook to its end. One that fails is held for a person, unless it may fail.
func (u *clusterUpgrade) runHook(ctx workflow.Context, h upgrade.Hook, n upgrade.NodePlan, part upgrade.Part) error {
	at := fmt.Sprintf("Hook %s, %s", h.Name, h.At(n.Node, part))
	options := u.hookOptions(h, n, at)
	tries := 0
	err := u.holds.attempt(ctx, at, []upgrade.Choice{choiceRetry, choicePass}, u.keptByStage, func(*decided) error {
		tries++
		in := u.hookInput(ctx, h, n, part, tries)
		running := workflow.WithActivityOptions(ctx, options)
		err := workflow.ExecuteActivity(running, act.RunHook, in).Get(running, nil)
		if h.Kind == upgrade.CommandHook {
			u.forgetHook(ctx, in)
		}
		if err != nil && h.MayFail && !temporal.IsCanceledError(err) {
			u.note(ctx, at+": "+reason(err))
			return nil
		}
		return err
	})
	if errors.Is(err, errPassed) {
		u.note(ctx, at+": gone on without it, as a person said")
		return nil
	}
	return err
}

func (u *clusterUpgrade) hookInput(ctx workflow.Context, h upgrade.Hook, n upgrade.NodePlan, part upgrade.Part, try int) activities.HookInput {
	run := upgrade.HookRun{Cluster: u.plan.Cluster, Event: h.When, Node: n.Node, Part: part, Hop: u.status.Hop, From: u.status.From, To: u.plan.Target}
	if h.When != upgrade.BeforeUpgrade && h.When != upgrade.AfterUpgrade {
		run.From, run.To = u.hop().From, u.hop().To
	}
	if n.Node != "" {
		run.From = n.From
	}
	run.Key = fmt.Sprintf("%s/%d/%s/%s/%s/%s/%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, run.Hop, h.When, n.Node, part, h.Name, try)
	on := u.plan.HookHost(h, n)
	return activities.HookInput{Hook: h, Run: run, Node: on.Name, Address: on.Address}
}

// forgetHook lets the host forget the outcome, now that it is in the history: earlier, an attempt that was cut off would
// have run the command again. What stays behind when the host cannot be reached does no harm.
func (u *clusterUpgrade) forgetHook(ctx workflow.Context, in activities.HookInput) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary: "Forget " + in.Hook.Name + " on " + in.Node, StartToCloseTimeout: time.Minute,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 2},
	})
	if err := workflow.ExecuteActivity(ctx, act.ForgetHook, in).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Warn("the outcome of a hook is still on its host", "hook", in.Hook.Name, "node", in.Node, "error", err)
	}
}

// hookOptions let what the hook does have its time, and what does not answer be tried again for as long as for any step.
func (u *clusterUpgrade) hookOptions(h upgrade.Hook, n upgrade.NodePlan, summary string) workflow.ActivityOptions {
	id := "hook-" + h.Name
	if n.Node != "" {
		id += "-" + n.Node
	}
	o := stepOptions(id, summary, u.plan.Settings)
	if h.Kind == upgrade.HTTPHook {
		o.StartToCloseTimeout, o.ScheduleToCloseTimeout = min(time.Minute, h.Timeout.Std()), h.Timeout.Std()
		return o
	}
	o.ScheduleToCloseTimeout = 2*h.Timeout.Std() + patience(u.plan.Settings)
	o.StartToCloseTimeout = o.ScheduleToCloseTimeout
	return o
}
