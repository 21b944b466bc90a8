// Package scenario makes things fail in a simulated cluster, by script.
//
// Rule: a fault is one line, and happens once. docs/simulation.md describes the lines.
package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pawl-dev/pawl/internal/sim/machine"
)

// Fault is one line of a scenario: where, when, what.
type Fault struct {
	Line string // as it was written, for people

	Node string       // "*" is the first node to which it happens
	When machine.When // start: at once
	What []string     // the command or point that it waits for
	Do   string       // the name of the fault
	Arg  string
	For  time.Duration // wall-clock time; 0: for good, or as long as such a thing takes
}

// start is when a fault does not wait for anything.
const start machine.When = "start"

// faults are the known ones, each with the argument that it wants, or "".
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

// timed are the faults that are nothing without a time, momentary those that have none.
var (
	timed     = []string{"hang", "delay-kubelet"}
	momentary = []string{"cut", "kill"}
)

// Anywhere stands for the first node to which the moment comes.
const Anywhere = "*"

// Waits reports whether the fault waits for a moment.
func (f Fault) Waits() bool { return f.When != start }

// NeedsAPIServer reports whether the fault happens to the API server of a node.
func (f Fault) NeedsAPIServer() bool { return f.Do == "fail-health" || f.Do == "api-down" }

// NeedsNode reports whether it matters which node the fault is for.
func (f Fault) NeedsNode() bool { return f.Do != "block-budget" }

// Parse reads a scenario. Empty lines and what follows a # that begins a word are passed over.
func Parse(text string) ([]Fault, error) {
	var all []Fault
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = withoutComment(line); line == "" {
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
	several := strings.Contains(strings.TrimSpace(line), "\n")
	if !several {
		line = withoutComment(line)
	}
	f := Fault{Line: line}
	words, _, ok := split(line)
	if !ok || several || len(words) < 3 || words[0] == "" {
		return f, fmt.Errorf(`%q: wanted NODE WHEN FAULT, such as: w1 before "apt-get install" cut`, line)
	}
	f.Node, f.When = words[0], machine.When(words[1])
	words = words[2:]
	switch f.When {
	case start:
	case machine.Before, machine.During, machine.After, machine.At:
		if f.What = strings.Fields(words[0]); len(f.What) == 0 {
			return f, fmt.Errorf("%q: %s what? Wanted a command or a point in quotes", line, f.When)
		}
		words = words[1:]
	default:
		return f, fmt.Errorf("%q: when is %q, wanted start, before, during, after or at", line, f.When)
	}
	if len(words) == 0 {
		return f, fmt.Errorf("%q: no fault; known are %s", line, strings.Join(names(), ", "))
	}
	f.Do, words = words[0], words[1:]
	argument, known := faults[f.Do]
	if !known {
		return f, fmt.Errorf("%q: no such fault as %q; known are %s", line, f.Do, strings.Join(names(), ", "))
	}
	if argument != "" {
		if len(words) == 0 || words[0] == "" || words[0] == "for" {
			return f, fmt.Errorf("%q: %s wants %s", line, f.Do, argument)
		}
		f.Arg, words = words[0], words[1:]
	}
	var err error
	if len(words) == 2 && words[0] == "for" {
		if f.For, err = time.ParseDuration(words[1]); err != nil || f.For <= 0 {
			return f, fmt.Errorf("%q: %q is not a duration like 20s", line, words[1])
		}
		words = nil
	}
	if len(words) > 0 {
		return f, fmt.Errorf("%q: %q is too much", line, strings.Join(words, " "))
	}
	if err := f.check(); err != nil {
		return f, fmt.Errorf("%q: %w", line, err)
	}
	return f, nil
}

// check looks at whether the parts of a fault fit each other.
func (f Fault) check() error {
	switch {
	case f.For == 0 && slices.Contains(timed, f.Do):
		return fmt.Errorf("%s wants a time, such as: for 20s", f.Do)
	case f.For > 0 && slices.Contains(momentary, f.Do):
		return fmt.Errorf("%s takes no time", f.Do)
	case f.Do == "slow" && !isFactor(f.Arg):
		return fmt.Errorf("%q is not a factor like 5", f.Arg)
	case f.Do == "block-budget" && !isBudget(f.Arg):
		return fmt.Errorf("%q is not NAMESPACE/NAME", f.Arg)
	case f.When == start && f.Node == Anywhere && f.NeedsNode():
		return fmt.Errorf("at the start, %s wants a node", f.Do)
	}
	return nil
}

func isFactor(text string) bool {
	factor, err := strconv.ParseFloat(text, 64)
	return err == nil && factor > 0 && !math.IsInf(factor, 0) // NaN is not above 0
}

func isBudget(text string) bool {
	namespace, name, _ := strings.Cut(text, "/")
	return namespace != "" && name != "" && !strings.Contains(name, "/")
}

// withoutComment is the line without what follows a # that begins a word, and without blanks around it.
func withoutComment(line string) string {
	_, end, _ := split(line)
	return strings.TrimSpace(line[:end])
}

// split cuts a line into words. Single or double quotes keep blanks together; nothing else has a meaning, since what is
// in them is to be compared with a command and not to be run. end is where a comment begins; ok is whether every quote
// has its end.
func split(line string) (words []string, end int, ok bool) {
	var word strings.Builder
	var quote rune
	inside := false
	for i, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case unicode.IsSpace(c):
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		case c == '#' && !inside:
			return words, i, true
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words, len(line), quote == 0
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
