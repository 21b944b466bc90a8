package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
)

// A job is a command that must not die with the connection: apt in the middle of unpacking, kubeadm between two
// manifests. It runs as a transient systemd unit (systemd-run(1)). RemainAfterExit keeps a successful unit loaded and
// a failed one stays loaded by itself, so its outcome waits for whoever asks: a pawl that was killed and started again
// finds the command still running or its true outcome, and never starts it a second time meanwhile. A reboot of the
// machine makes the unit vanish; then nobody knows the outcome and the caller looks at the real state.
type job struct {
	unit string // without ".service"; names the command and the version, so that a job is never taken for another
	argv []string
	env  []string      // NAME=value, beside what every job gets
	most time.Duration // how long it may take; 0 is for ever
	// keep: its outcome stays until forget. The command cannot tell that it has run already, so it must not run again for
	// an outcome that got lost on the way.
	keep bool
}

// ending is the outcome of a job.
type ending struct {
	failure string // why it failed, in systemd's words; empty when it succeeded
	output  string // standard output and error, as the journal has them
}

// jobState is what systemd says of a unit.
type jobState struct {
	load, active, result, status, invocation string

	queued bool // systemd has taken the unit in but not begun it yet
}

// runJob runs the job, or waits for the one that runs already, and returns its outcome once.
func (h *Host) runJob(ctx context.Context, j job) (ending, error) {
	if end, found, err := h.awaitJob(ctx, j); found || err != nil {
		return end, err
	}
	argv := []string{
		"systemd-run", "--quiet", "--no-block", "--unit=" + j.unit, "--description=pawl: " + strings.Join(j.argv[:min(3, len(j.argv))], " "),
		"--property=Type=oneshot", "--property=RemainAfterExit=yes",
		// A unit starts in a nearly empty environment. needrestart would restart the container runtime after apt.
		"--setenv=HOME=/root", "--setenv=LC_ALL=C.UTF-8", "--setenv=DEBIAN_FRONTEND=noninteractive",
		"--setenv=NEEDRESTART_SUSPEND=1", "--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	for _, env := range j.env {
		argv = append(argv, "--setenv="+env)
	}
	if j.most > 0 { // RuntimeMaxSec= is for services that stay; the start of a oneshot is all of it
		argv = append(argv, fmt.Sprintf("--property=TimeoutStartSec=%dms", j.most.Milliseconds()))
	}
	argv = append(argv, "--")
	for _, arg := range j.argv {
		argv = append(argv, strings.ReplaceAll(arg, "$", "$$")) // systemd expands $VARIABLE in commands
	}
	r, err := h.root(ctx, argv...)
	if err != nil {
		return ending{}, err
	}
	end, found, err := h.awaitJob(ctx, j)
	switch {
	case err != nil:
		return ending{}, err
	case found: // started by us, or by another pawl in the same moment: systemd-run refuses a unit that exists
		return end, nil
	case r.ExitCode != 0:
		return ending{}, h.failed("start "+j.unit, argv, r)
	}
	return ending{}, h.vanished(j.unit)
}

// awaitJob waits for the end of a job that was started before, and forgets it unless it is to be kept. found is false
// when there is none.
func (h *Host) awaitJob(ctx context.Context, j job) (end ending, found bool, err error) {
	unit := j.unit
	for first := true; ; first = false {
		s, err := h.jobState(ctx, unit)
		if err != nil {
			return ending{}, found, err
		}
		switch {
		case s.load == "not-found" || s.active == "inactive" && !s.queued:
			if first {
				return ending{}, false, nil
			}
			return ending{}, true, h.vanished(unit)
		case s.active == "active" || s.active == "failed":
			end, err := h.collectJob(ctx, j, s)
			return end, true, err
		}
		found = true // queued or activating: the command runs
		if err := wait(ctx, h.poll); err != nil {
			return ending{}, true, fault.Wrap(fault.OutcomeUnknown, "wait for "+unit+" on", h.node, err, "it goes on running on the host")
		}
	}
}

// collectJob reads a finished job's output and, unless it is to be kept, forgets the unit. When pawl is cut off before it is forgotten, the next
// run collects the same outcome again.
func (h *Host) collectJob(ctx context.Context, j job, s jobState) (ending, error) {
	var end ending
	if s.active == "failed" {
		end.failure = fmt.Sprintf("%s, status %s", s.result, s.status)
	}
	// journald takes messages in with a delay; --sync waits until all written so far are readable.
	if _, err := h.root(ctx, "journalctl", "--sync"); err != nil {
		return ending{}, err
	}
	// By invocation, not by unit name: an earlier job of the same name must not be read as this one's output.
	r, err := h.root(ctx, "journalctl", "--no-pager", "--output=cat", "--lines=2000",
		"_SYSTEMD_INVOCATION_ID="+s.invocation)
	if err != nil {
		return ending{}, err
	}
	end.output = r.Stdout
	if j.keep {
		return end, nil
	}
	return end, h.forgetJob(ctx, j.unit, s)
}

// forgetJob unloads a finished unit. `systemctl stop` ends nothing: the command has ended already.
func (h *Host) forgetJob(ctx context.Context, unit string, s jobState) error {
	verb := "stop"
	if s.active == "failed" {
		verb = "reset-failed"
	}
	r, err := h.root(ctx, "systemctl", verb, unit+".service")
	if err != nil || r.ExitCode == 0 {
		return err
	}
	// Somebody else has forgotten it meanwhile, which is as good.
	if now, err := h.jobState(ctx, unit); err != nil || now.load == "not-found" {
		return err
	}
	return h.failed("forget "+unit, []string{"systemctl " + verb}, r)
}

func (h *Host) jobState(ctx context.Context, unit string) (jobState, error) {
	argv := []string{"systemctl", "show", "--property=LoadState,ActiveState,Job,Result,ExecMainStatus,InvocationID", unit + ".service"}
	r, err := h.user(ctx, argv...)
	if err != nil {
		return jobState{}, err
	}
	if r.ExitCode != 0 {
		return jobState{}, h.failed("look at "+unit, argv, r)
	}
	f := fields(r.Stdout)
	return jobState{
		load: f["LoadState"], active: f["ActiveState"], result: f["Result"],
		status: f["ExecMainStatus"], invocation: f["InvocationID"], queued: f["Job"] != "" && f["Job"] != "0",
	}, nil
}

// errVanished is why the outcome of a job is not known.
var errVanished = errors.New("the unit is gone before its end was seen: the host restarted, or somebody stopped it")

func (h *Host) vanished(unit string) error {
	return fault.Wrap(fault.OutcomeUnknown, "wait for "+unit+" on", h.node, errVanished, "")
}
