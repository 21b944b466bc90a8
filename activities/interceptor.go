package activities

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/metrics"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// heartbeatEvery keeps well under the heartbeat time-out that workflows set, so that a killed worker is noticed quickly
// and a living one never is.
const heartbeatEvery = 2 * time.Second

// NewInterceptor gives every activity what all of them need: a heartbeat while it runs, the time it took, which attempt it was, errors
// translated for Temporal, a count of how it ended and, where there are events (else nil), a word at the node's object. It is
// the only place that decides what is tried again.
func NewInterceptor(events Events) interceptor.WorkerInterceptor {
	return &workerInterceptor{events: events}
}

type workerInterceptor struct {
	interceptor.WorkerInterceptorBase
	events Events
}

func (w *workerInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &activityInterceptor{events: w.events}
	i.Next = next
	return i
}

type activityInterceptor struct {
	interceptor.ActivityInboundInterceptorBase
	events Events
}

func (i *activityInterceptor) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	b := &beat{}
	ctx = context.WithValue(ctx, beatKey{}, b)
	beating, stop := context.WithCancel(ctx)
	defer stop()
	go b.run(beating)

	var took time.Duration
	result, err := showing(ctx, i.events, in, func() (any, error) {
		began := time.Now()
		defer func() { took = time.Since(began) }()
		return i.Next.ExecuteActivity(ctx, in)
	})
	if outcome, ok := result.(Outcome); ok {
		outcome.Worked = upgrade.Duration(took.Round(time.Millisecond))
		outcome.Attempt = int(activity.GetInfo(ctx).Attempt)
		if outcome.APIServer != nil && outcome.Attempt > 1 {
			outcome.APIServer.AtLeast = true // what earlier attempts saw is lost
		}
		result = outcome
	}
	count(ctx, in, took, err)
	return result, translate(ctx, err, result)
}

// count keeps how an attempt has ended, for dashboards.
func count(ctx context.Context, in *interceptor.ExecuteActivityInput, took time.Duration, err error) {
	step, outcome := StepOf(activity.GetInfo(ctx).ActivityType.Name), "done"
	switch {
	case err != nil && ctx.Err() != nil:
		outcome = "stopped"
	case err != nil:
		kind := string(fault.KindOf(err))
		outcome = strings.ToLower(kind[:1]) + kind[1:]
	default:
		metrics.StepDuration.Observe(activity.GetMetricsHandler(ctx), took, step)
	}
	metrics.StepAttempts.Add(activity.GetMetricsHandler(ctx), 1, clusterOf(in.Args), step, outcome)
}

// clusterOf is the cluster that an activity's input names, as nearly all do.
func clusterOf(args []any) string {
	if len(args) != 1 || reflect.TypeOf(args[0]).Kind() != reflect.Struct {
		return ""
	}
	if name := reflect.ValueOf(args[0]).FieldByName("Cluster"); name.IsValid() && name.Kind() == reflect.String {
		return name.String()
	}
	return ""
}

// StepOf is the step that an activity does: what nodes' plans call it, where it is one of those.
func StepOf(activityType string) string {
	if activityType == "" {
		return ""
	}
	return strings.ToLower(activityType[:1]) + activityType[1:]
}

// beat is an activity's heartbeat with what it last had to say.
type beat struct {
	mu      sync.Mutex
	details []any
}

type beatKey struct{}

// report tells Temporal, with the next heartbeat, what the activity is doing. It is a hint for people: heartbeats are
// throttled and may be lost.
func report(ctx context.Context, details any) {
	if b, ok := ctx.Value(beatKey{}).(*beat); ok {
		b.mu.Lock()
		b.details = []any{details}
		b.mu.Unlock()
	}
}

func (b *beat) run(ctx context.Context) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.mu.Lock()
			details := b.details
			b.mu.Unlock()
			activity.RecordHeartbeat(ctx, details...)
		}
	}
}

// attemptsWhenRefused is how often a command or request that said no is tried in all. Few, because the answer rarely
// changes; more than one, because an API server that has just started refuses for a moment what it will then allow.
const attemptsWhenRefused = 4

// translate turns a fault into what Temporal is to do: stop, or try again. The kind becomes the error's type, the
// outcome so far its details.
func translate(ctx context.Context, err error, outcome any) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) && !stopping(ctx) {
		return ctx.Err()
	}
	kind := fault.KindOf(err)
	final := false
	switch kind {
	case fault.InvalidInput, fault.NotFound, fault.SkewViolation, fault.PreflightFailed, fault.VerificationFailed, fault.DrainBlocked, fault.HookFailed:
		final = true
	case fault.CommandFailed, fault.Unauthorized, fault.Unexpected:
		final = activity.GetInfo(ctx).Attempt >= attemptsWhenRefused
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: final}
	if _, ok := outcome.(Outcome); ok {
		options.Details = []any{outcome}
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(kind), options)
}

// stopping reports whether the worker is shutting down: another will take the activity over.
func stopping(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}
