package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What a person adds to the runbook: notifications, hooks and health gates. Each is looked up in the cluster's definition
// by its name, anew each time, so that a definition that was put right is used by the next try.

// NotifyInput is one message to one place.
type NotifyInput struct {
	Cluster string          `json:"cluster"`
	To      string          `json:"to"` // name of the notification in the definition
	Message upgrade.Message `json:"message"`
	Key     string          `json:"key"` // the same for all attempts
}

// Notify sends a message. It may arrive twice, when its answer got lost.
func (a *Activities) Notify(ctx context.Context, in NotifyInput) error {
	webhook, err := a.Directory.Notification(in.Cluster, in.To)
	if err != nil {
		return err
	}
	_, err = webhook.Send(ctx, in.Key, a.linked(ctx, in.Message))
	return err
}

// linked fills in what the workflow cannot know: where Temporal's UI shows it.
func (a *Activities) linked(ctx context.Context, m upgrade.Message) upgrade.Message {
	if a.Link != nil {
		w := activity.GetInfo(ctx).WorkflowExecution
		m.Link = a.Link(w.ID, w.RunID)
	}
	return m.WithText()
}

// HookInput is one run of a hook.
type HookInput struct {
	Hook upgrade.Hook    `json:"hook"`
	Run  upgrade.HookRun `json:"run"`
	// Node and Address are the machine on which a command runs.
	Node    string `json:"node,omitempty"`
	Address string `json:"address,omitempty"`
}

// unit names what is made for a run of a hook: the same for all attempts of it.
func (in HookInput) unit() string {
	sum := sha256.Sum256([]byte(in.Run.Key))
	return hex.EncodeToString(sum[:])[:12]
}

// hookUnit is the systemd unit of a command.
func (in HookInput) hookUnit() string { return "pawl-hook-" + in.unit() }

// call is the body of an HTTP hook.
type call struct {
	upgrade.HookRun
	Hook string `json:"hook"`
	Text string `json:"text"`
}

// RunHook runs a hook, or waits for what an earlier attempt of the same run began, and returns the end of its output.
func (a *Activities) RunHook(ctx context.Context, in HookInput) (Outcome, error) {
	hook, err := a.Directory.Hook(in.Run.Cluster, in.Hook.Name)
	if err != nil {
		return Outcome{}, err
	}
	var said string
	switch {
	case len(hook.Command) > 0:
		var host Host
		if host, err = a.Directory.Host(in.Run.Cluster, in.Node, in.Address); err == nil {
			said, err = host.RunHook(ctx, in.hookUnit(), hook.Command, in.Run.Environment(), in.Hook.Timeout.Std())
		}
	case len(hook.Manifest) > 0:
		var api API
		if api, err = a.Directory.API(in.Run.Cluster); err == nil {
			said, err = api.RunJob(ctx, hook.Manifest, in.unit(), in.Run.Key, in.Run.Environment(), in.Hook.Timeout.Std())
		}
	default:
		body := call{HookRun: in.Run, Hook: in.Hook.Name, Text: fmt.Sprintf("%s: %s %s → %s: %s %s", in.Hook.Name, in.Run.Cluster, in.Run.From, in.Run.To, in.Run.Event, in.Run.Node)}
		body.Text = strings.TrimSpace(body.Text)
		said, err = hook.Webhook.Send(ctx, in.Run.Key, body)
	}
	return Outcome{Note: said}, err
}

// ForgetHook lets a machine forget the outcome of a command that has been taken note of.
func (a *Activities) ForgetHook(ctx context.Context, in HookInput) error {
	host, err := a.Directory.Host(in.Run.Cluster, in.Node, in.Address)
	if err != nil {
		return err
	}
	return host.ForgetHook(ctx, in.hookUnit())
}

// HealthInput is a gate to wait for.
type HealthInput struct {
	Cluster string         `json:"cluster"`
	Health  upgrade.Health `json:"health"`
}

const (
	// healthPause is the longest pause between two looks at a gate, and healthPauseMin the shortest. It is a fraction of
	// the soak time, so that a short break is seen.
	healthPause    = 10 * time.Second
	healthPauseMin = 200 * time.Millisecond
)

// CheckHealth waits until all checks have been true for the soak time without a break. An attempt that was cut off starts
// the soak anew: nobody looked meanwhile. When the time is over it says which are not true, and what each last saw.
func (a *Activities) CheckHealth(ctx context.Context, in HealthInput) (Outcome, error) {
	gate, err := a.Directory.Gate(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	deadline := activity.GetInfo(ctx).ScheduledTime.Add(in.Health.Timeout.Or(upgrade.DefaultHealthTimeout))
	pause := min(max(in.Health.Soak.Std()/5, healthPauseMin), healthPause)
	var since time.Time // when all were true first; zero when they are not
	for {
		began := time.Now()
		results := gate.Look(ctx)
		if ctx.Err() != nil {
			return Outcome{}, ctx.Err()
		}
		now := time.Now()
		switch why := upgrade.NotTrue(results); {
		case why != "":
			since = time.Time{}
			report(ctx, why)
			if now.After(deadline) {
				return Outcome{}, fault.New(fault.VerificationFailed, "wait for the health of", in.Cluster,
					fmt.Sprintf("within %s: %s", in.Health.Timeout, why), "put it right, then retry")
			}
		case since.IsZero():
			since = began
			fallthrough
		default:
			if soaked := now.Sub(since); soaked >= in.Health.Soak.Std() {
				return Outcome{}, nil
			} else {
				report(ctx, fmt.Sprintf("all checks are true, for %s of %s", soaked.Round(time.Second), in.Health.Soak))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// lookAtAdditions looks, without doing any harm, whether what a person has added to the runbook will work.
func (a *Activities) lookAtAdditions(ctx context.Context, cluster string, s upgrade.Settings, api API) []upgrade.Finding {
	var found []upgrade.Finding
	for _, n := range s.Notifications {
		webhook, err := a.Directory.Notification(cluster, n.Name)
		if err == nil {
			err = webhook.Check()
		}
		if err != nil {
			found = append(found, upgrade.Finding{ID: upgrade.Notifying, Severity: upgrade.SeverityWarning, Target: n.Name, Message: err.Error(),
				Remedy: "put it right, or nobody is notified there"})
		}
	}
	for _, h := range s.Hooks {
		if err := a.checkHook(ctx, cluster, h, api); err != nil {
			f := upgrade.Finding{ID: upgrade.HookProblem, Severity: upgrade.SeverityError, Target: h.Name, Message: err.Error(), Remedy: "put the hook right"}
			if h.MayFail {
				f.Severity = upgrade.SeverityWarning
			}
			found = append(found, f)
		}
	}
	if len(s.Health.Checks) == 0 {
		return found
	}
	gate, err := a.Directory.Gate(cluster)
	if err != nil {
		return append(found, upgrade.Finding{ID: upgrade.HealthGate, Severity: upgrade.SeverityError, Target: cluster, Message: err.Error()})
	}
	return append(found, upgrade.HealthFindings(gate.Look(ctx))...)
}

func (a *Activities) checkHook(ctx context.Context, cluster string, h upgrade.Hook, api API) error {
	hook, err := a.Directory.Hook(cluster, h.Name)
	switch {
	case err != nil:
		return err
	case len(hook.Manifest) > 0:
		return api.CheckJob(ctx, hook.Manifest)
	case hook.Webhook != nil:
		return hook.Webhook.Check()
	}
	return nil
}
