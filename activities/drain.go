package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/metrics"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// evictAgain is how long a drain waits for something to change before it tries the blocked pods again. Deletions and
// budget changes end the wait at once; the time only bounds what a missed event can cost.
const evictAgain = 5 * time.Second

// DrainNode cordons the node and evicts its pods, pass by pass, until none is left that has to go. Budgets are
// respected for ever: when the drain's time is over, a person is asked. A node whose kubelet is at the version already is
// left alone.
func (a *Activities) DrainNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return empty(ctx, api, in, api.Evict)
}

// StopPods is the same without asking budgets: each pod is deleted, and has its own grace to end in. It is for nodes all of
// which are out of service at the same time, where budgets would keep pods for ever.
func (a *Activities) StopPods(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return empty(ctx, api, in, api.Stop)
}

// moved reports whether the kubelet for whose sake the node would be drained and configured runs already, which is when a
// new plan would leave the node alone. It does where Temporal's history went back, as it does after a restore: all that
// was done then, in a history that is lost. A node that is removed, or of which more than the kubelet is replaced, has
// other reasons to be drained.
func moved(ctx context.Context, api API, in NodeInput) (bool, error) {
	if in.Successor != nil || in.Settings.ByHand() {
		return false, nil
	}
	return api.KubeletAt(ctx, in.Node, in.Version)
}

// empty cordons the node and makes pass after pass until no pod is left that has to go.
func empty(ctx context.Context, api API, in NodeInput, onePass func(context.Context, string) (upgrade.DrainPass, error)) (out Outcome, err error) {
	if done, err := moved(ctx, api, in); done || err != nil {
		return Outcome{}, err
	}
	if err := api.Cordon(ctx, in.Node, in.Owner); err != nil {
		return Outcome{}, err
	}
	deadline := activity.GetInfo(ctx).ScheduledTime.Add(in.Settings.Drain.Timeout.Std())
	var waits []upgrade.DrainWait
	var blocked time.Duration
	defer func() {
		out.Waits = upgrade.BoundWaits(waits)
		metrics.DrainBlocked.Observe(activity.GetMetricsHandler(ctx), blocked, in.Cluster)
	}()
	for {
		pass, err := onePass(ctx, in.Node)
		if err != nil {
			return Outcome{}, err
		}
		seen := time.Now()
		report(ctx, pass)
		countPass(ctx, in.Cluster, pass)
		if pass.Done() {
			return Outcome{}, nil
		}
		if seen.After(deadline) {
			return Outcome{}, drainBlocked(in, pass)
		}
		err = api.AwaitEviction(ctx, in.Node, pass, evictAgain)
		waits = upgrade.AddBlocked(waits, pass.Blocked, seen, time.Now())
		if len(pass.Blocked) > 0 {
			blocked += time.Since(seen)
		}
		if err != nil {
			return Outcome{}, err
		}
	}
}

// countPass counts what was asked for in one pass. What is kept by something else than a budget was not asked for.
func countPass(ctx context.Context, cluster string, pass upgrade.DrainPass) {
	refused := 0
	for _, b := range pass.Blocked {
		if b.Budget != "" {
			refused++
		}
	}
	metrics.Evictions.Add(activity.GetMetricsHandler(ctx), pass.Evicted, cluster, "accepted")
	metrics.Evictions.Add(activity.GetMetricsHandler(ctx), refused, cluster, "refused")
}

func drainBlocked(in NodeInput, pass upgrade.DrainPass) error {
	var left []string
	for _, b := range pass.Blocked {
		left = append(left, b.Pod+" "+b.Reason)
	}
	if pass.Terminating > 0 {
		left = append(left, fmt.Sprintf("%d pods are still terminating", pass.Terminating))
	}
	if pass.Evicted > 0 {
		left = append(left, fmt.Sprintf("%d pods were evicted only now", pass.Evicted))
	}
	return fault.New(fault.DrainBlocked, "drain", in.Node,
		fmt.Sprintf("not empty after %s: %s", in.Settings.Drain.Timeout, strings.Join(left, ", ")),
		"make room for the pods or relax the budget, then retry")
}

// DeletePodsInput names pods of a node.
type DeletePodsInput struct {
	Cluster string   `json:"cluster"`
	Node    string   `json:"node"`
	Pods    []string `json:"pods"` // namespace/name
}

// DeletePods deletes just these pods, whatever their budgets say. One that is on another node is refused, one that is
// gone is no matter.
func (a *Activities) DeletePods(ctx context.Context, in DeletePodsInput) error {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return err
	}
	for _, pod := range in.Pods {
		if err := api.DeletePod(ctx, in.Node, pod); err != nil {
			return err
		}
	}
	return nil
}

// UncordonNode makes the node schedulable again, if it was pawl that cordoned it.
func (a *Activities) UncordonNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, api.Uncordon(ctx, in.Node, in.Owner)
}
