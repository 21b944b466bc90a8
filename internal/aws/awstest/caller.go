package awstest

import (
	"context"
	"testing"
	"time"
)

// Caller calls an adapter as the workflow does: again and again until it succeeds, each time as if after a restart.
type Caller[A any] struct {
	T       *testing.T
	Make    func() A
	Most    int // calls for one step, until it must have succeeded
	Context func() (context.Context, context.CancelFunc)
}

// patience is how long a call may last.
const patience = 20 * time.Second

// Plainly calls an adapter that nothing befalls.
func Plainly[A any](t *testing.T, a A) Caller[A] {
	return Caller[A]{T: t, Make: func() A { return a }, Most: 1, Context: func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), patience)
	}}
}

// Until calls a step until it succeeds.
func (c Caller[A]) Until(what string, do func(context.Context, A) error) {
	c.T.Helper()
	for n := 1; ; n++ {
		ctx, cancel := c.Context()
		err := do(ctx, c.Make())
		cancel()
		if err == nil {
			return
		}
		if n >= c.Most {
			c.T.Fatalf("%s: %v", what, err)
		}
	}
}
