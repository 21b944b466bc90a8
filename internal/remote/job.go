package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
)

// Job is a command that must not die with the connection: apt in the middle of unpacking, kubeadm between two
// manifests. It runs as a transient systemd unit (systemd-run(1)). RemainAfterExit keeps a successful unit loaded and
// a failed one stays loaded by itself, so its outcome waits for whoever asks: a pawl that was killed and started again
// finds the command still running or its true outcome, and never starts it a second time meanwhile. A reboot of the
// machine makes the unit vanish; then nobody knows the outcome and the caller looks at the real state.
type Job struct {
	Unit string // without ".service"; names the command and the version, so that a job is never taken for another
	Argv []string
	Env  []string      // NAME=value, beside what every job gets
	Most time.Duration // how long it may take; 0 is for ever
	// Keep: its outcome stays until ForgetJob. The command cannot tell that it has run already, so it must not run again for
	// an outcome that got lost on the way.
	Keep bool
}

// Ending is the outcome of a job.
type Ending struct {
	Failure string // why it failed, in systemd's words; empty when it succeeded
	Output  string // standard output and error, as the journal has them
}

// JobState is what systemd says of a unit.
type JobState struct {
	Load, Active, Result, Status, Invocation string

	Queued bool // systemd has taken the unit in but not begun it yet
}

// RunJob runs the job, or waits for the one that runs already, and returns its outcome once.
func (m *Machine) RunJob(ctx context.Context, j Job) (Ending, error) {
	if end, found, err := m.AwaitJob(ctx, j); found || err != nil {
		return end, err
	}
	argv := []string{
		"systemd-run", "--quiet", "--no-block", "--unit=" + j.Unit, "--property=Type=oneshot", "--property=RemainAfterExit=yes",
		// A unit starts in a nearly empty environment. needrestart would restart the container runtime after apt.
		"--setenv=HOME=/root", "--setenv=LC_ALL=C.UTF-8", "--setenv=DEBIAN_FRONTEND=noninteractive",
		"--setenv=NEEDRESTART_SUSPEND=1", "--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	for _, env := range j.Env {
		argv = append(argv, "--setenv="+env)
	}
	if j.Most > 0 { // RuntimeMaxSec= is for services that stay; the start of a oneshot is all of it
		argv = append(argv, fmt.Sprintf("--property=TimeoutStartSec=%dms", j.Most.Milliseconds()))
	}
	argv = append(argv, "--")
	for _, arg := range j.Argv {
		argv = append(argv, strings.ReplaceAll(arg, "$", "$$")) // systemd expands $VARIABLE in commands
	}
	r, err := m.Root(ctx, argv...)
	if err != nil {
		return Ending{}, err
	}
	end, found, err := m.AwaitJob(ctx, j)
	switch {
	case err != nil:
		return Ending{}, err
	case found: // started by us, or by another pawl in the same moment: systemd-run refuses a unit that exists
		return end, nil
	case r.ExitCode != 0:
		return Ending{}, m.Failed("start "+j.Unit, argv, r)
	}
	return Ending{}, m.vanished(j.Unit)
}

// AwaitJob waits for the end of a job that was started before, and forgets it unless it is to be kept. found is false
// when there is none.
func (m *Machine) AwaitJob(ctx context.Context, j Job) (end Ending, found bool, err error) {
	unit := j.Unit
	for first := true; ; first = false {
		s, err := m.JobState(ctx, unit)
		if err != nil {
			return Ending{}, found, err
		}
		switch {
		case s.Load == "not-found" || s.Active == "inactive" && !s.Queued:
			if first {
				return Ending{}, false, nil
			}
			return Ending{}, true, m.vanished(unit)
		case s.Active == "active" || s.Active == "failed":
			end, err := m.collectJob(ctx, j, s)
			return end, true, err
		}
		found = true // queued or activating: the command runs
		if err := Wait(ctx, m.Poll); err != nil {
			return Ending{}, true, fault.Wrap(fault.OutcomeUnknown, "wait for "+unit+" on", m.Name, err, "it goes on running on the host")
		}
	}
}

// collectJob reads a finished job's output and, unless it is to be kept, forgets the unit. When pawl is cut off before it is forgotten, the next
// run collects the same outcome again.
func (m *Machine) collectJob(ctx context.Context, j Job, s JobState) (Ending, error) {
	var end Ending
	if s.Active == "failed" {
		end.Failure = fmt.Sprintf("%s, status %s", s.Result, s.Status)
	}
	// journald takes messages in with a delay; --sync waits until all written so far are readable.
	if _, err := m.Root(ctx, "journalctl", "--sync"); err != nil {
		return Ending{}, err
	}
	// By invocation, not by unit name: an earlier job of the same name must not be read as this one's output.
	r, err := m.Root(ctx, "journalctl", "--no-pager", "--output=cat", "--lines=2000",
		"_SYSTEMD_INVOCATION_ID="+s.Invocation)
	if err != nil {
		return Ending{}, err
	}
	end.Output = r.Stdout
	if j.Keep {
		return end, nil
	}
	return end, m.ForgetJob(ctx, j.Unit, s)
}

// ForgetJob unloads a finished unit. `systemctl stop` ends nothing: the command has ended already.
func (m *Machine) ForgetJob(ctx context.Context, unit string, s JobState) error {
	verb := "stop"
	if s.Active == "failed" {
		verb = "reset-failed"
	}
	r, err := m.Root(ctx, "systemctl", verb, unit+".service")
	if err != nil || r.ExitCode == 0 {
		return err
	}
	// Somebody else has forgotten it meanwhile, which is as good.
	if now, err := m.JobState(ctx, unit); err != nil || now.Load == "not-found" {
		return err
	}
	return m.Failed("forget "+unit, []string{"systemctl " + verb}, r)
}

// JobState looks at a unit.
func (m *Machine) JobState(ctx context.Context, unit string) (JobState, error) {
	argv := []string{"systemctl", "show", "--property=LoadState,ActiveState,Job,Result,ExecMainStatus,InvocationID", unit + ".service"}
	r, err := m.User(ctx, argv...)
	if err != nil {
		return JobState{}, err
	}
	if r.ExitCode != 0 {
		return JobState{}, m.Failed("look at "+unit, argv, r)
	}
	f := Fields(r.Stdout)
	return JobState{
		Load: f["LoadState"], Active: f["ActiveState"], Result: f["Result"],
		Status: f["ExecMainStatus"], Invocation: f["InvocationID"], Queued: f["Job"] != "" && f["Job"] != "0",
	}, nil
}

// ErrVanished is why the outcome of a job is not known.
var ErrVanished = errors.New("the unit is gone before its end was seen: the host restarted, or somebody stopped it")

func (m *Machine) vanished(unit string) error {
	return fault.Wrap(fault.OutcomeUnknown, "wait for "+unit+" on", m.Name, ErrVanished, "")
}
