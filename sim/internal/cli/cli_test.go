package cli

import (
	"io"
	"strings"
	"testing"
)

func TestBadInput(t *testing.T) {
	for args, want := range map[string]string{
		"up --max-unavailable 0":     "--max-unavailable 0: wanted at least 1",
		"up --name A":                `--name "A": wanted lower case letters, digits and dashes`,
		"demo --name ../x":           `--name "../x": wanted`,
		"up --version v1.20.0":       "--version v1.20.0: wanted v1.32.0 or later, as the models are",
		"up --version newest":        `--version: "newest" is not a Kubernetes version`,
		"up --control-planes 0":      "--control-planes 0: wanted at least 1",
		"up --pace 0":                "--pace 0: wanted more than 0",
		"up --scenario no-such-file": "read scenario: open no-such-file",
		"up now":                     `arguments: got 1; usage: pawl-sim up [flags]; see "pawl-sim up --help"`,
		"commands":                   "arguments: got 0; usage: pawl-sim commands NODE [flags]",
		"ssh w1":                     "arguments: got 1; usage: pawl-sim ssh NODE COMMAND... [flags]",
		"fault":                      "arguments: got 0; usage: pawl-sim fault LINE [flags]",
		"demo --workers 1 --rpm 2":   "no more RPM hosts than workers",
		"up --next v1.36.3,v1.37":    `--next: "v1.37" is not a Kubernetes version`,
	} {
		root, words := newRoot(), strings.Fields(args)
		root.SetArgs(append([]string{words[0], "--dir", t.TempDir()}, words[1:]...))
		root.SetOut(io.Discard)
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("pawl-sim %s: %v; wanted one line with %q", args, err, want)
		}
	}
}
