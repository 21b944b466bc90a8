package activities

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestNotify(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	a.Link = func(workflow, run string) string { return "http://ui/" + workflow }
	m := upgrade.Message{Event: upgrade.EventHold, Cluster: "lab", From: v136, Target: v137, Node: "w1", Reason: "Drain: a < b & c", Choices: []upgrade.Choice{{Update: "retry"}, {Update: "skip"}}}
	_, err := env.ExecuteActivity(a.Notify, NotifyInput{Cluster: "lab", To: "ops", Message: m, Key: "run/1"})
	require.NoError(t, err)
	sent := w.sent[0].(upgrade.Message)
	require.Equal(t, "lab v1.36.3 → v1.37.2: held, waits for a person at w1: Drain: a &lt; b &amp; c (choices: retry, skip)\n<http://ui/default-test-workflow-id>", sent.Text)
	require.Equal(t, "Drain: a < b & c", sent.Reason)
	require.Equal(t, []string{"run/1"}, w.keys)

	w.errs = map[string][]error{"Send ops": {fault.New(fault.HookFailed, "call the webhook", "ops", "it answers 403", "")}}
	_, err = env.ExecuteActivity(a.Notify, NotifyInput{Cluster: "lab", To: "ops", Message: m})
	require.True(t, requireFault(t, err, fault.HookFailed).NonRetryable(), "a refusal stays one")
	w.errs = map[string][]error{"Send ops": {fault.New(fault.Unreachable, "call the webhook", "ops", "it answers 503", "")}}
	_, err = env.ExecuteActivity(a.Notify, NotifyInput{Cluster: "lab", To: "ops", Message: m})
	require.False(t, requireFault(t, err, fault.Unreachable).NonRetryable())
}

func TestHooks(t *testing.T) {
	w := &world{}
	w.hooks = map[string]Hook{
		"command": {Command: []string{"silence", "--for", "10m"}},
		"job":     {Manifest: []byte("kind: Job")},
		"call":    {Webhook: webhook{w, "call"}},
	}
	env, a := environment(t, w)
	in := func(name, key string) HookInput {
		return HookInput{
			Hook: upgrade.Hook{Name: name, Timeout: upgrade.Duration(time.Minute)}, Node: "w1", Address: "10.0.0.1",
			Run: upgrade.HookRun{Cluster: "lab", From: v136, To: v137, Event: upgrade.BeforeNode, Node: "w1", Part: upgrade.PartNode, Hop: 1, Key: key},
		}
	}
	notes := map[string]string{}
	for _, name := range []string{"command", "job", "call"} {
		for range 2 {
			v, err := env.ExecuteActivity(a.RunHook, in(name, "run/1"))
			require.NoError(t, err)
			var out Outcome
			require.NoError(t, v.Get(&out))
			notes[name] = out.Note
		}
	}
	require.Equal(t, map[string]string{"command": "said", "job": "logged", "call": "thanks"}, notes)
	const environment = " PAWL_CLUSTER=lab PAWL_NODE=w1 PAWL_FROM=v1.36.3 PAWL_TO=v1.37.2 PAWL_EVENT=beforeNode PAWL_PART=node"
	unit := in("", "run/1").hookUnit()
	require.Equal(t, unit+" 1m0s silence --for 10m"+environment, w.ran[0])
	require.Equal(t, w.ran[0], w.ran[1], "a second attempt finds the first's unit")
	require.Equal(t, "kind: Job "+in("", "run/1").unit()+" run/1 1m0s"+environment, w.ran[2])
	require.Equal(t, w.ran[2], w.ran[3])
	require.NotEqual(t, unit, in("", "run/2").hookUnit())
	require.Equal(t, []string{"run/1", "run/1"}, w.keys)
	body, err := json.Marshal(w.sent[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"cluster":"lab","from":"v1.36.3","to":"v1.37.2","event":"beforeNode","node":"w1","part":"node","hop":1,"key":"run/1","hook":"call","text":"call: lab v1.36.3 → v1.37.2: beforeNode w1"}`, string(body))

	_, err = env.ExecuteActivity(a.ForgetHook, in("command", "run/1"))
	require.NoError(t, err)
	require.Equal(t, "ForgetHook "+unit, w.calls[len(w.calls)-1])

	w.errs = map[string][]error{"RunHook": {fault.New(fault.HookFailed, "run silence on", "w1", "it failed (exit-code, status 3): no", "")}}
	_, err = env.ExecuteActivity(a.RunHook, in("command", "run/1"))
	require.True(t, requireFault(t, err, fault.HookFailed).NonRetryable(), "the command said no; it is not run again by itself")
}

// seen are the results of one look at two checks.
func seen(first, second bool) []upgrade.CheckResult {
	return []upgrade.CheckResult{{Name: "error rate", True: first, Value: "0.2"}, {Name: "api ready", True: second, Value: "unknown: connection refused"}}
}

func TestHealthMustLast(t *testing.T) {
	w := &world{looks: [][]upgrade.CheckResult{seen(true, false), seen(true, true), seen(false, true), seen(true, true)}}
	env, a := environment(t, w)
	soak := upgrade.Duration(500 * time.Millisecond)
	began := time.Now()
	_, err := env.ExecuteActivity(a.CheckHealth, HealthInput{Cluster: "lab", Health: upgrade.Health{Soak: soak, Timeout: upgrade.Duration(time.Minute), Checks: []upgrade.Check{{Name: "x"}}}})
	require.NoError(t, err)
	require.Greater(t, time.Since(began), soak.Std()+2*healthPauseMin, "a break starts the soak time anew")
	require.Len(t, w.looks, 1)
}

func TestHealthThatDoesNotComeIsAPersonsQuestion(t *testing.T) {
	w := &world{looks: [][]upgrade.CheckResult{seen(false, false)}}
	env, a := environment(t, w)
	in := HealthInput{Cluster: "lab", Health: upgrade.Health{Soak: upgrade.Duration(time.Second), Timeout: upgrade.Duration(300 * time.Millisecond)}}
	_, err := env.ExecuteActivity(a.CheckHealth, in)
	failed := requireFault(t, err, fault.VerificationFailed)
	require.True(t, failed.NonRetryable())
	require.Equal(t, "wait for the health of lab: within 300ms: error rate is not true (0.2), api ready is not true (unknown: connection refused); put it right, then retry", failed.Message())
}

func TestPlanLooksAtWhatWasAdded(t *testing.T) {
	w := &world{looks: [][]upgrade.CheckResult{seen(true, false)}, seen: upgrade.Cluster{Version: v136, Nodes: []upgrade.Node{{Name: "cp1", ControlPlane: true, Kubelet: v136}}}}
	w.settings = upgrade.Settings{
		Notifications: []upgrade.Notification{{Name: "ops"}, {Name: "log"}},
		Hooks: []upgrade.Hook{{Name: "job", When: upgrade.BeforeNode}, {Name: "call", When: upgrade.AfterNode, MayFail: true},
			{Name: "lb", When: upgrade.AfterHop, Kind: upgrade.CommandHook, Host: "lb1"}, {Name: "outside", When: upgrade.AfterHop, Host: "lb2", HostOutside: true}},
		Health: upgrade.Health{Checks: []upgrade.Check{{Name: "error rate"}, {Name: "api ready"}}},
	}
	w.hooks = map[string]Hook{"job": {Manifest: []byte("x")}, "call": {Webhook: webhook{w, "call"}}}
	w.errs = map[string][]error{
		"Check ops": {errors.New("no file")}, "CheckJob": {errors.New("no Job")}, "Check call": {errors.New("no header")},
	}
	env, a := environment(t, w)
	v, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: "v1.37.2", Waive: []string{upgrade.HealthGate}})
	require.NoError(t, err)
	var p upgrade.Plan
	require.NoError(t, v.Get(&p))
	var found []string
	for _, f := range p.Findings {
		switch f.ID {
		case upgrade.HookProblem, upgrade.Notifying, upgrade.HealthGate:
			found = append(found, string(f.Severity)+" "+f.String())
		}
	}
	require.Equal(t, []string{
		"error lb: its host lb1 is not a node of the cluster; name a node, or say under ssh.hosts where it is",
		"warning ops: no file; put it right, or nobody is notified there",
		"error job: no Job; put the hook right",
		"warning call: no header; put the hook right",
		"error api ready: the health gate is not true now: unknown: connection refused (waived)",
	}, found)
	require.NotContains(t, w.calls, "RunHook")
	require.Empty(t, w.sent, "nothing was done")
}
