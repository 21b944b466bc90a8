package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
)

func TestWhatDoesNotFitIsSaidWithItsPlace(t *testing.T) {
	for text, says := range map[string]string{
		"drain: {timout: 5m}":                       `drain: unknown field "timout", wanted one of timeout`,
		"workers: {pools: [{name: a, slector: b}]}": `workers.pools[0]: unknown field "slector", wanted one of name, selector, strategy,`,
		"drain: {timeout: 30}":                      `drain.timeout: "30" is not a duration, wanted one like 10m or 1h30m`,
		"drain: {timeout: [30m]}":                   "drain.timeout: is a list, wanted a duration like 10m or 1h30m",
		"drain: 30m":                                "drain: is a text, wanted a mapping of timeout",
		"workers: {maxUnavailable: 0%}":             `workers.maxUnavailable: is "0%", wanted a number from 1, or a percentage like 25%`,
		"workers: {maxUnavailable: [1]}":            "workers.maxUnavailable: is a list, wanted a number from 1, or a percentage like 25%",
		"workers: {pools: [{maxSurge: many}]}":      `workers.pools[0].maxSurge: is "many", wanted a number from 1`,
		"workers: {pools: [{canary: 1}]}":           "workers.pools[0].canary: is a number, wanted true or false",
		"ssh: {port: ssh}":                          "ssh.port: is a text, wanted a whole number",
		"ssh: {port: 22.5}":                         "ssh.port: is 22.5, wanted a whole number",
		"ssh: {hosts: [w1]}":                        "ssh.hosts: is a list, wanted a mapping",
		"ssh: {hosts: {w1: {address: {a: b}}}}":     "ssh.hosts.w1.address: is a mapping, wanted a text",
		"hooks: [{command: [a, [b]]}]":              "hooks[0].command[1]: is a list, wanted a text",
		"kubeadm: {ignorePreflightErrors: true}":    "kubeadm.ignorePreflightErrors: is true, wanted a list",
		"eks: {region: a, Region: b}":               "eks.region: is there twice, wanted once",
		"eks: {region: a, region: b}":               `line 1: key "region" is there twice, wanted once`,
		"notifications: https://hooks/s3cr3t":       "notifications: is a text, wanted a list",
		"hooks: [{http: https://hooks/s3cr3t}]":     "hooks[0].http: is a text, wanted a mapping of url, urlFile, urlEnv, headerFile, method",
		"name: !!int s3cr3t":                        "it is no YAML, wanted a mapping of fields",
		"name: {{ .Values.s3cr3t }}":                "it is no YAML, wanted a mapping of fields",
		"drain:\n\ttimeout: 5m":                     "line 2: found character that cannot start any token",
		"- name: a":                                 "is a list, wanted a mapping of name, taskQueue, provider,",
	} {
		t.Run(text, func(t *testing.T) {
			dir := write(t, "a", text)
			_, err := Load(dir, "a")
			said, ofFile := strings.CutPrefix(err.Error(), "read "+filepath.Join(dir, "a.yaml")+": ")
			require.True(t, ofFile, err)
			require.True(t, strings.HasPrefix(said, says), said)
			require.Equal(t, fault.InvalidInput, fault.KindOf(err))
			require.NotRegexp(t, "\n|s3cr3t|json|unmarshal|Go ", said)
		})
	}
}

func TestTextsMayBeWrittenAsNumbers(t *testing.T) {
	c, err := parse([]byte("name: 7\nssh: {user: true, jump: 10.0.0.1}\ndrain: {timeout: 0}\nhooks: [{command: [sleep, 10]}]\nwindows: {except: [2026-12-24]}\n"))
	require.NoError(t, err)
	require.Equal(t, "7", c.Name)
	require.Equal(t, "true", c.SSH.User)
	require.Equal(t, Jumps{{Address: "10.0.0.1"}}, c.SSH.Jump)
	require.Zero(t, c.Drain.Timeout)
	require.Equal(t, []string{"sleep", "10"}, c.Hooks[0].Command)
	require.Equal(t, []string{"2026-12-24"}, c.Windows.Except)
}
