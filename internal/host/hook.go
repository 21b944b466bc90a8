package host

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
)

// RunHook runs a command that a person added to the runbook as a job of the machine, as root, or waits for the one that
// runs already. It returns the end of its output. The outcome is kept until ForgetHook, so that whoever asks again for
// the same unit gets it and the command does not run twice. env is NAME=value.
func (h *Host) RunHook(ctx context.Context, unit string, argv, env []string, most time.Duration) (string, error) {
	end, err := h.on.RunJob(ctx, remote.Job{Unit: unit, Argv: argv, Env: env, Most: most, Keep: true})
	switch {
	case errors.Is(err, remote.ErrVanished): // it may have done its work: a person decides whether it runs again
		return "", fault.Wrap(fault.HookFailed, "run "+argv[0]+" on", h.node, err, "nobody knows whether it did its work")
	case err != nil:
		return "", err
	case end.Failure != "":
		return "", fault.New(fault.HookFailed, "run "+argv[0]+" on", h.node, "it failed ("+end.Failure+"): "+remote.Tail(end.Output), "")
	}
	return remote.Tail(end.Output), nil
}

// ForgetHook lets the machine forget the outcome of a hook. One that is not there is forgotten already.
func (h *Host) ForgetHook(ctx context.Context, unit string) error {
	s, err := h.on.JobState(ctx, unit)
	if err != nil || s.Active != "active" && s.Active != "failed" {
		return err
	}
	return h.on.ForgetJob(ctx, unit, s)
}
