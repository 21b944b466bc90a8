// Package fault names the ways in which a step of an upgrade can go wrong.
//
// Rule: every error that can reach a person is one line, "op target: fact", followed by the remedy where one is known,
// and carries a Kind that decides what happens next (stop, hold for a person, retry, look again). The kind is data:
// nothing in pawl reads the wording of an error to decide anything.
package fault

import (
	"errors"
	"strings"
)

// Kind is the class of a fault. Each kind has one treatment, the same everywhere.
type Kind string

// The kinds, with what happens next.
const (
	InvalidInput       Kind = "InvalidInput"       // stop: what a person wrote is wrong
	SkewViolation      Kind = "SkewViolation"      // stop: the version skew policy forbids it
	Unauthorized       Kind = "Unauthorized"       // few retries: a key, token or host key was refused
	PreflightFailed    Kind = "PreflightFailed"    // hold: something must be put right before the step
	VerificationFailed Kind = "VerificationFailed" // hold: the step ran, its effect is not what it must be
	HookFailed         Kind = "HookFailed"         // hold: what a person added to the runbook said no
	Unreachable        Kind = "Unreachable"        // retry, bounded: nothing answered, so nothing was done
	Conflict           Kind = "Conflict"           // retry, bounded: somebody else is busy with it
	DrainBlocked       Kind = "DrainBlocked"       // next pass until the deadline, then hold
	CommandFailed      Kind = "CommandFailed"      // few retries: a command ran and said no
	OutcomeUnknown     Kind = "OutcomeUnknown"     // observe again: it may or may not have happened
	NotFound           Kind = "NotFound"           // stop: the thing named does not exist
	Unexpected         Kind = "Unexpected"         // few retries: an error that nobody classified
)

// Error is a classified fault. Fact says what was found and, where it helps, what was wanted. Err is the cause;
// it is part of the message, so it must hold no secret.
type Error struct {
	Kind   Kind
	Op     string // what was being done: "drain", "install kubeadm"
	Target string // to what: a node, host, cluster, file
	Fact   string // what is the case
	Remedy string // what a person can do about it; may be empty
	Err    error  // the cause; may be nil
}

// Error renders the fault on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Target != "" {
		b.WriteString(" " + e.Target)
	}
	b.WriteString(": " + e.Fact)
	if e.Err != nil {
		if e.Fact != "" {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return oneLine(b.String())
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes a fault without a cause.
func New(kind Kind, op, target, fact, remedy string) *Error {
	return &Error{Kind: kind, Op: op, Target: target, Fact: fact, Remedy: remedy}
}

// Wrap makes a fault around a cause. It returns nil when there is no cause.
func Wrap(kind Kind, op, target string, err error, remedy string) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Op: op, Target: target, Err: err, Remedy: remedy}
}

// KindOf returns the kind of the outermost fault in err's chain, or Unexpected.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Unexpected
}

// Is reports whether the outermost fault in err's chain is one of the kinds.
func Is(err error, kinds ...Kind) bool {
	if err == nil {
		return false
	}
	k := KindOf(err)
	for _, want := range kinds {
		if k == want {
			return true
		}
	}
	return false
}

// oneLine joins the lines of s, so that a command's output never breaks a log or a table.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, " | ")
}
