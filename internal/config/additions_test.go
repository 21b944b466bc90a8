package config

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const additions = `kubeconfig: k
ssh: {knownHostsFile: h, hosts: {lb: {address: 10.0.0.5}}}
notifications:
  - {name: ops, urlFile: ./slack, headerFile: ./token, events: [hold, done]}
  - {name: log, urlEnv: LOG_URL}
hooks:
  - {name: silence, when: beforeNode, parts: [node, kubelet], command: [/usr/local/bin/silence, --for, 10m], timeout: 30s}
  - {name: tell the balancer, when: afterHop, command: [reload], host: lb, onFailure: continue}
  - {name: smoke test, when: afterUpgrade, job: ./smoke.yaml}
  - {name: change ticket, when: beforeUpgrade, http: {url: "https://tickets/api", method: PUT, headerFile: ./token}}
health:
  soak: 2m
  prometheus: {address: "http://prometheus.monitoring:9090", bearerTokenFile: ./prom}
  checks:
    - {name: error rate, promql: 'sum(rate(http_requests_total{code=~"5.."}[2m])) < 1'}
    - {name: api ready, objects: {apiVersion: apps/v1, kind: Deployment, namespace: payments, name: api}, cel: 'object.status.readyReplicas >= 2'}
    - {name: no pod pending, objects: {apiVersion: v1, kind: Pod, namespace: payments, selector: app=api}, cel: 'objects.all(o, o.status.phase == "Running")'}
`

func TestAdditions(t *testing.T) {
	dir := write(t, "a", additions)
	c, err := Load(dir, "a")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "slack"), c.Notifications[0].URLFile)
	require.Equal(t, filepath.Join(dir, "token"), c.Notifications[0].HeaderFile)
	require.Equal(t, filepath.Join(dir, "smoke.yaml"), c.Hooks[2].Job)
	require.Equal(t, filepath.Join(dir, "prom"), c.Health.Prometheus.BearerTokenFile)
	s := c.Settings()
	require.Equal(t, []upgrade.Notification{{Name: "ops", Events: []upgrade.Event{upgrade.EventHold, upgrade.EventDone}}, {Name: "log"}}, s.Notifications)
	require.Equal(t, []string{
		"before the upgrade: change ticket (http, at most 5m0s)",
		"between nodes, and after the last: error rate (PromQL) true for 2m0s, waited for at most 30m0s",
		"between nodes, and after the last: api ready (CEL) true for 2m0s, waited for at most 30m0s",
		"between nodes, and after the last: no pod pending (CEL) true for 2m0s, waited for at most 30m0s",
		"before each node (node, kubelet): silence (command, at most 30s)",
		"after each hop: tell the balancer (command on lb, at most 5m0s, may fail)",
		"after the upgrade: smoke test (job, at most 5m0s)",
	}, s.Order())
	require.True(t, s.Hooks[1].HostOutside)
	require.Equal(t, 2*time.Minute, s.Health.Soak.Std())
	require.Equal(t, upgrade.Settings{}.Health, s.OfSteps().Health)
	require.Nil(t, s.OfSteps().Hooks)
}

func TestADefinitionWithoutAdditionsHasNone(t *testing.T) {
	c, err := Load(write(t, "a", "kubeconfig: k\nssh: {knownHostsFile: h}"), "a")
	require.NoError(t, err)
	s := c.Settings()
	require.Empty(t, s.Order())
	s.Pools = nil // there always is one
	require.Equal(t, s.OfSteps(), s)
}

func TestBadAdditionsSayWhatWasWanted(t *testing.T) {
	const good = "kubeconfig: k\nssh: {knownHostsFile: h}\n"
	notification := func(s string) string { return good + "notifications: [{" + s + "}]" }
	hook := func(s string) string { return good + "hooks: [{" + s + "}]" }
	check := func(s string) string {
		return good + "health: {prometheus: {address: 'http://p'}, checks: [{name: c, " + s + "}]}"
	}
	for name, c := range map[string]struct{ text, want string }{
		"no name":               {notification("url: 'http://a'"), `notifications[0].name: is "", wanted a name`},
		"no url":                {notification("name: a"), "notifications[0]: wanted one of url, urlFile and urlEnv"},
		"two urls":              {notification("name: a, url: 'http://a', urlFile: b"), "notifications[0]: wanted one of url, urlFile and urlEnv"},
		"a url that is none":    {notification("name: a, url: hooks.slack.com/s3cr3t"), "notifications[0].url: is no URL, wanted one like https://HOST/PATH"},
		"event":                 {notification("name: a, urlFile: b, events: [end]"), `notifications[0].events: "end" is no event, wanted some of start, hold, approval`},
		"unknown field":         {notification("name: a, urlFile: b, header: x"), `notifications[0]: unknown field "header", wanted one of name, url, urlFile, urlEnv, headerFile, events`},
		"twice":                 {good + "notifications: [{name: a, urlFile: b}, {name: a, urlFile: b}]", `notifications[1].name: there are two with the name "a"`},
		"no moment":             {hook("name: a, command: [b]"), `hooks[0].when: is "", wanted one of beforeUpgrade, beforeHop, beforeNode, afterNode, afterHop, afterUpgrade`},
		"nothing to do":         {hook("name: a, when: beforeNode"), "hooks[0]: wanted one of command, job and http"},
		"two things to do":      {hook("name: a, when: beforeNode, command: [b], job: c"), "hooks[0]: wanted one of command, job and http"},
		"a line":                {hook("name: a, when: beforeNode, command: 'b c'"), "hooks[0].command: is a text, wanted a list"},
		"an empty word":         {hook("name: a, when: beforeNode, command: ['']"), "hooks[0].command: its first word is empty"},
		"a job's host":          {hook("name: a, when: beforeNode, job: b, host: c"), `hooks[0].host: is "c", and only a command runs on a host`},
		"parts of a hop":        {hook("name: a, when: beforeHop, job: b, parts: [node]"), "hooks[0].parts: are of nodes, and the hook runs at beforeHop"},
		"part":                  {hook("name: a, when: beforeNode, job: b, parts: [drain]"), `hooks[0].parts: "drain" is none, wanted some of components, kubelet, node, configuration`},
		"on failure":            {hook("name: a, when: beforeNode, job: b, onFailure: stop"), `hooks[0].onFailure: is "stop", wanted hold or continue`},
		"hook's timeout":        {hook("name: a, when: beforeNode, job: b, timeout: 48h"), "hooks[0].timeout: is 48h0m0s, wanted between 1s and 24h0m0s"},
		"method":                {hook("name: a, when: beforeNode, http: {urlFile: b, method: post}"), `hooks[0].http.method: is "post", wanted one of GET, POST`},
		"a call without a url":  {hook("name: a, when: beforeNode, http: {}"), "hooks[0].http: wanted one of url, urlFile and urlEnv"},
		"soak":                  {good + "health: {soak: 2h, timeout: 1h}", "health.soak: is 2h0m0s, wanted at most health.timeout (1h0m0s)"},
		"prometheus":            {good + "health: {prometheus: {address: 'prom:9090'}}", "health.prometheus.address: is no URL"},
		"no expression":         {check("objects: {apiVersion: v1, kind: Pod}"), "health.checks[0] (c): wanted one of promql and cel"},
		"no prometheus":         {good + "health: {checks: [{name: c, promql: up}]}", "health.checks[0] (c).promql: needs health.prometheus.address"},
		"promql that is open":   {check("promql: 'sum(up'"), "health.checks[0] (c).promql: ( is not closed"},
		"promql with objects":   {check("promql: up, objects: {kind: Pod}"), "health.checks[0] (c).objects: belong to cel"},
		"no objects":            {check("cel: 'true'"), "health.checks[0] (c).objects: wanted apiVersion and kind"},
		"name and selector":     {check("cel: 'true', objects: {apiVersion: v1, kind: Pod, name: a, selector: b=c}"), "health.checks[0] (c).objects: wanted a name or a selector, not both"},
		"secrets":               {check("cel: 'true', objects: {apiVersion: v1, kind: Secret}"), "health.checks[0] (c).objects: pawl reads no Secrets"},
		"cel that is none":      {check("cel: 'objects.all(', objects: {apiVersion: v1, kind: Pod}"), "health.checks[0] (c).cel: Syntax error"},
		"cel of the other kind": {check("cel: 'has(object.spec)', objects: {apiVersion: v1, kind: Pod}"), "health.checks[0] (c).cel: undeclared reference to 'object'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, "a", c.text), "a")
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "s3cr3t")
		})
	}
}
