package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/internal/supervise"
)

// child is a program that is kept running.
type child struct {
	name     string
	path     string
	args     []string
	env      []string
	logFile  string
	patience time.Duration // how long it may take to end when asked to
}

const (
	firstPause  = 500 * time.Millisecond
	longest     = 30 * time.Second
	livedEnough = 30 * time.Second // after this, a death is not one of a row
)

// run starts the child and, each time that it dies, starts it again after a pause that grows while it keeps dying. When
// the context ends it ends the child and returns. A child that dies before it was up for the first time is given up:
// nothing but a person will change that.
func (c child) run(ctx context.Context, s *supervise.Starter, up <-chan struct{}, say func(string, ...any)) error {
	pause := firstPause
	for first := true; ; first = false {
		began, logged := time.Now(), size(c.logFile)
		err := c.once(ctx, s)
		if ctx.Err() != nil {
			return nil
		}
		why := c.lastWords(err, logged)
		if first && !closed(up) {
			return fmt.Errorf("dev: the %s does not start: %s", c.name, why)
		}
		if time.Since(began) > livedEnough {
			pause = firstPause
		}
		say("the %s died: %s; starting it again in %s", c.name, why, pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
	}
}

// lastWords is why a child died. One that exited has said it in its log; one that was killed had no chance to.
func (c child) lastWords(err error, logged int64) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		if line := lastLine(c.logFile, logged); line != "" {
			return line
		}
	}
	return fmt.Sprint(err)
}

// once runs the child until it ends, by itself or with the context.
func (c child) once(ctx context.Context, s *supervise.Starter) error {
	log, err := openLog(c.logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, log, log
	if err := s.Start(cmd); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if cmd.Process.Signal(syscall.SIGTERM) != nil {
		_ = cmd.Process.Kill()
	}
	select {
	case <-ended:
	case <-time.After(c.patience):
		_ = cmd.Process.Kill()
		<-ended
	}
	return ctx.Err()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// environment is the parent's, with Temporal's settings replaced: a person's temporal.toml may name the company's
// server, with its TLS and keys, and must not lead this worker there.
func environment(parent []string, settings map[string]string) []string {
	env := make([]string, 0, len(parent)+len(settings))
	for _, kv := range parent {
		if len(kv) < 9 || kv[:9] != "TEMPORAL_" {
			env = append(env, kv)
		}
	}
	for _, k := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"} {
		env = append(env, k+"="+settings[k])
	}
	return append(env, "TEMPORAL_CONFIG_FILE="+os.DevNull)
}
