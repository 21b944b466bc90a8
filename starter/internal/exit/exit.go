// Package exit holds pawl's exit codes, and the error that carries one.
//
// Rule: scripts rely on the codes; they do not change.
package exit

import (
	"errors"
	"fmt"
)

// The codes.
const (
	Done           = 0
	Unexpected     = 1
	BadInput       = 2
	Refused        = 10
	AlreadyRunning = 11
	Held           = 12
	Unreachable    = 13
	Interrupted    = 130 // by SIGINT, as shells have it
)

// Table explains the codes, for help texts.
const Table = `Exit codes:
    0  done, or under way
    1  unexpected, or the upgrade failed
    2  bad input
   10  plan refused
   11  already running
   12  held for a person
   13  Temporal unreachable, or no worker polls
  130  interrupted (the upgrade goes on)`

// Error ends the command with a code. Text is one line for stderr; empty when everything has been said already.
type Error struct {
	Code int
	Text string
}

// Error returns the line.
func (e *Error) Error() string { return e.Text }

// Errorf makes an error with a code.
func Errorf(code int, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Silent makes an error of which everything has been said.
func Silent(code int) error { return &Error{Code: code} }

// Code is the code that err ends the command with.
func Code(err error) int {
	if err == nil {
		return Done
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Unexpected
}
