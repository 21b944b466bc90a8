// Package scenario makes things fail in a simulated cluster, by script.
//
// Rule: a fault is one line, and happens once. docs/simulation.md describes the lines.
package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/shell"

	"github.com/pawl-dev/pawl/internal/sim/machine"
)

// Fault is one line of a scenario: where, when, what.
type Fault struct {
	Line string // as it was written, for people

	Node string       // or Anywhere
	When machine.When // start: at once
	What []string     // the command or point that it waits for
	Do   string       // the name of the fault
	Arg  string
	For  time.Duration // wall-clock time; 0: for good, or as long as such a thing takes
}

// Anywhere stands for the first node to which the moment comes.
const Anywhere = "*"

// start is when a fault does not wait for anything.
const start machine.When = "start"

// faults are the known ones: whether they take an argument, and what it is.
var faults = map[string]string{
	"cut":           "",               // every SSH connection to the host is cut; what was begun goes on
	"hang":          "",               // the SSH server answers nothing, and goes on afterwards
	"reboot":        "",               // the host loses its power and comes back
	"kill":          "",               // the host loses its power for good
	"fill-disk":     "",               // no space left on the device
	"lock-packages": "",               // another package manager holds dpkg's lock
	"fail-kubelet":  "",               // the kubelet's healthz says no
	"fail-health":   "CHECK",          // a health check behind the API server's /readyz fails
	"api-down":      "",               // the node's API server cannot be reached
	"delay-kubelet": "",               // the kubelet takes longer to come up
	"slow":          "FACTOR",         // everything on the host takes longer
	"block-budget":  "NAMESPACE/NAME", // the budget allows no eviction
}

// timed are the faults that are nothing without a time.
var timed = []string{"hang", "delay-kubelet"}

// sudden are the faults that have no end, or end by themselves.
var sudden = []string{"cut", "kill"}

// Waits reports whether the fault waits for a moment.
func (f Fault) Waits() bool { return f.When != start }

// NeedsAPIServer reports whether the fault happens to the API server of a node.
func (f Fault) NeedsAPIServer() bool { return f.Do == "fail-health" || f.Do == "api-down" }

// Parse reads a scenario. Empty lines and what follows a # are passed over.
func Parse(text string) ([]Fault, error) {
	var all []Fault
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f, err := ParseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, f)
	}
	return all, nil
}

// ParseLine reads one fault:
//
//	NODE start FAULT [ARGUMENT] [for DURATION]
//	NODE before|during|after "COMMAND" FAULT [ARGUMENT] [for DURATION]
//	NODE at "POINT" FAULT [ARGUMENT] [for DURATION]
func ParseLine(line string) (Fault, error) {
	f := Fault{Line: line}
	words, err := shell.Fields(line, func(string) string { return "" })
	if err != nil || len(words) < 3 {
		return f, fmt.Errorf(`%q: wanted NODE WHEN FAULT, such as: w1 before "apt-get install" cut`, line)
	}
	f.Node, f.When = words[0], machine.When(words[1])
	words = words[2:]
	switch f.When {
	case start:
	case machine.Before, machine.During, machine.After, machine.At:
		f.What = strings.Fields(words[0])
		words = words[1:]
	default:
		return f, fmt.Errorf("%q: when is %q, wanted start, before, during, after or at", line, f.When)
	}
	if len(words) == 0 || !known(words[0]) {
		return f, fmt.Errorf("%q: no such fault; known are %s", line, strings.Join(names(), ", "))
	}
	f.Do, words = words[0], words[1:]
	if argument := faults[f.Do]; argument != "" {
		if len(words) == 0 {
			return f, fmt.Errorf("%q: %s wants %s", line, f.Do, argument)
		}
		f.Arg, words = words[0], words[1:]
	}
	if len(words) == 2 && words[0] == "for" {
		if f.For, err = time.ParseDuration(words[1]); err != nil || f.For <= 0 {
			return f, fmt.Errorf("%q: %q is not a duration like 20s", line, words[1])
		}
		words = nil
	}
	switch {
	case len(words) > 0:
		return f, fmt.Errorf("%q: %q is too much", line, strings.Join(words, " "))
	case f.For > 0 && slices.Contains(sudden, f.Do):
		return f, fmt.Errorf("%q: %s takes no time", line, f.Do)
	case f.For == 0 && slices.Contains(timed, f.Do):
		return f, fmt.Errorf("%q: %s wants a time, such as: for 20s", line, f.Do)
	}
	if f.Do == "slow" {
		if factor, err := strconv.ParseFloat(f.Arg, 64); err != nil || factor <= 0 {
			return f, fmt.Errorf("%q: %q is not a factor like 5", line, f.Arg)
		}
	}
	return f, nil
}

func known(fault string) bool {
	_, ok := faults[fault]
	return ok
}

func names() []string {
	var all []string
	for name := range faults {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// awaits reports whether the fault waits for this moment.
func (f Fault) awaits(node string, e machine.Event) bool {
	if f.Node != Anywhere && f.Node != node || f.When != e.When {
		return false
	}
	words := strings.Fields(withoutSudo(e.What))
	if e.When == machine.At {
		return strings.Contains(strings.Join(words, " "), strings.Join(f.What, " "))
	}
	return matches(f.What, words)
}

// matches reports whether a command begins with the first of the wanted words and has the others in it in this order,
// each as a word or the beginning of one: "apt-get install kubelet" is apt-get install --yes kubelet=1.37.2-1.1.
func matches(wanted, words []string) bool {
	if len(wanted) == 0 || len(words) == 0 || words[0] != wanted[0] {
		return false
	}
	wanted = wanted[1:]
	for _, word := range words[1:] {
		if len(wanted) > 0 && strings.HasPrefix(strings.Trim(word, "'"), wanted[0]) {
			wanted = wanted[1:]
		}
	}
	return len(wanted) == 0
}

// withoutSudo is the command that is meant.
func withoutSudo(line string) string {
	return strings.TrimPrefix(strings.TrimPrefix(line, "LC_ALL=C "), "sudo -n -- ")
}
