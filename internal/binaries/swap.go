package binaries

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Swap puts the new binary of a change, which Fetch has brought, into the place of the old one by one rename, restarts its
// unit, and waits until it passes its gate. One that does not is swapped back: the old binary takes its place again and has
// to pass the gate itself, and the fault, fault.VerificationFailed, says so. The old binary stays beside the new one under
// a name with its version.
func (h *Host) Swap(ctx context.Context, change upgrade.BinaryChange) error {
	op := "swap " + change.Component
	c, err := h.find(ctx, op, change.Component)
	if err != nil {
		return err
	}
	if err := h.maySwap(ctx, op, c, change); err != nil {
		return err
	}
	if err := h.put(ctx, op, c, change.From, change.To); err != nil {
		return err
	}
	failure, err := h.serve(ctx, c, change.To)
	if err != nil || failure == nil {
		return err
	}
	return h.swapBack(ctx, op, c, change, failure)
}

// maySwap returns nil when the change can be begun, or was begun before.
func (h *Host) maySwap(ctx context.Context, op string, c component, change upgrade.BinaryChange) error {
	begun, err := h.sameFile(ctx, c.Path, versioned(c.Path, change.To))
	switch {
	case err != nil || begun:
		return err
	case c.Problem != "":
		return fault.New(fault.PreflightFailed, op+" on", h.node, c.Problem, "")
	case c.kind.unit && c.Unit.Name == "":
		return fault.New(fault.PreflightFailed, op+" on", h.node, "no unit of systemd starts "+c.Path, "")
	case c.OnDisk == change.To: // by whomever; it still has to pass the gate
		return nil
	case c.OnDisk != change.From:
		return fault.New(fault.PreflightFailed, op+" on", h.node,
			fmt.Sprintf("%s is %s, wanted %s or %s", c.Path, c.OnDisk, change.From, change.To), "look who changed it since the plan")
	}
	if err := h.noPackage(ctx, op, c); err != nil {
		return err
	}
	staged, err := h.staged(ctx, op, c, change.To)
	if err != nil {
		return err
	}
	if !staged {
		return fault.New(fault.PreflightFailed, op+" on", h.node, versioned(c.Path, change.To)+" is not there", "fetch it first")
	}
	if c.Component == upgrade.Etcd { // the others must bear it that this one restarts
		return h.etcdHealthy(ctx, c, upgrade.Version{})
	}
	return nil
}

// swapBack puts the old binary back after the new one has failed.
func (h *Host) swapBack(ctx context.Context, op string, c component, change upgrade.BinaryChange, failure error) error {
	fact := fmt.Sprintf("%s did not pass its gate (%s)", change.To, failure)
	old := versioned(c.Path, change.From)
	if there, err := h.on.Exists(ctx, old); err != nil {
		return err
	} else if !there {
		return fault.New(fault.VerificationFailed, op+" on", h.node, fact+", and there is no "+old+" to swap back", "put right what is wrong, and try again")
	}
	if err := h.put(ctx, op, c, change.To, change.From); err != nil {
		return &fault.Error{Kind: fault.KindOf(err), Op: op + " on", Target: h.node, Fact: fact + ", and it is not swapped back yet", Err: err}
	}
	again, err := h.serve(ctx, c, change.From)
	switch {
	case err != nil:
		return err
	case again != nil && change.Component == upgrade.Etcd && !change.From.SameMinor(change.To):
		return fault.New(fault.VerificationFailed, op+" on", h.node, fmt.Sprintf("%s; swapped back, but %s does not pass it, either (%s)", fact, change.From, again),
			"once all members were of the new minor, etcd does not go back; else see its log, or restore the snapshot")
	case again != nil:
		return fault.New(fault.VerificationFailed, op+" on", h.node, fmt.Sprintf("%s; swapped back, but %s does not pass it, either (%s)", fact, change.From, again),
			"see journalctl -u "+c.Unit.Name)
	}
	return fault.New(fault.VerificationFailed, op+" on", h.node, fmt.Sprintf("%s; swapped back, %s runs again", fact, change.From),
		"put right what is wrong, and try again")
}

// put makes the version to what is at the component's path, and keeps what was there under the name of from.
func (h *Host) put(ctx context.Context, op string, c component, from, to upgrade.Version) error {
	targets, err := h.along(ctx, c)
	if err != nil {
		return err
	}
	for _, target := range targets { // the component's own last: where it is new, all are
		file := versioned(target, to)
		there, err := h.on.Existing(ctx, file)
		if err != nil {
			return err
		}
		if len(there) == 0 { // of what goes along, a version may lack some
			continue
		}
		same, err := h.sameFile(ctx, target, file)
		if err != nil {
			return err
		}
		if same {
			continue
		}
		if err := h.keep(ctx, op, target, from); err != nil {
			return err
		}
		next := remote.Hidden(target)
		for _, argv := range [][]string{
			{"rm", "-f", next},
			{"ln", "--no-target-directory", "--physical", file, next},
			{"mv", "-T", "--force", next, target},
			{"sync", path.Dir(target)},
		} {
			if _, err := h.on.Must(ctx, op, argv...); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep gives what is at target a second name with its version, if it has none yet. A link is kept as a link.
func (h *Host) keep(ctx context.Context, op, target string, v upgrade.Version) error {
	kept := versioned(target, v)
	same, err := h.sameFile(ctx, target, kept)
	if err != nil || same {
		return err
	}
	// Another file of that name is of another build of the same version. What runs is what must be kept.
	part := remote.Hidden(kept)
	sum, err := h.sum(ctx, target)
	if err != nil {
		return err
	}
	if _, err := h.on.Must(ctx, op, "install", "-d", "-m", "700", path.Dir(h.folder), h.folder); err != nil {
		return err
	}
	if err := h.on.Write(ctx, h.sumFile(kept), "600", []byte(sum+"\n")); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"rm", "-f", part},
		{"ln", "--no-target-directory", "--physical", target, part},
		{"mv", "-T", "--force", part, kept},
	} {
		if _, err := h.on.Must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// sameFile reports whether both names are of one file; links are followed.
func (h *Host) sameFile(ctx context.Context, a, b string) (bool, error) {
	r, err := h.on.Root(ctx, "stat", "-L", "-c", "%d:%i", a, b)
	files := strings.Fields(r.Stdout)
	return len(files) == 2 && files[0] == files[1], err
}

// serve makes the unit run what is on disk now, and waits until it passes its gate. failure is why it does not; err is why
// nobody knows.
func (h *Host) serve(ctx context.Context, c component, v upgrade.Version) (failure, err error) {
	have, problem, err := h.saysVersion(ctx, c.kind, c.Path, false)
	switch {
	case err != nil:
		return nil, err
	case have != v:
		return errors.New(cmp.Or(problem, fmt.Sprintf("%s says that it is %s, wanted %s", c.Path, have, v))), nil
	case !c.kind.unit:
		return nil, nil
	}
	c.OnDisk = have
	before, err := h.restart(ctx, c)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(h.patience)
	good := "" // the invocation that has passed once
	for {
		state, err := h.unitState(ctx, c.Unit.Name)
		if err != nil {
			return nil, err
		}
		c.state = state
		failure = h.gate(ctx, c, v)
		switch {
		case failure != nil && !fault.Is(failure, fault.VerificationFailed):
			return nil, failure // of the way to the host, or of its tools
		case failure == nil && good == state.invocation:
			return nil, nil
		case failure == nil:
			good = state.invocation // and once more: many die soon after they have begun to serve
		default:
			good = ""
		}
		crashed := state.active == "failed" || state.restarts-before.restarts >= mostRestarts
		if failure != nil && state.invocation != before.invocation && crashed {
			return fmt.Errorf("%s ended %d times, is %s now, and said last: %s", c.Unit.Name, state.restarts-before.restarts+1, state.active, h.lastWords(ctx, state)), nil
		}
		if time.Now().After(deadline) && failure != nil {
			return fmt.Errorf("not within %s: %w", h.patience, failure), nil
		}
		if err := remote.Wait(ctx, h.on.Poll); err != nil {
			return nil, fault.Wrap(fault.OutcomeUnknown, "wait for "+c.Unit.Name+" on", h.node, err, "")
		}
	}
}

// mostRestarts is after how many restarts by systemd a component is taken for one that crashes over and over.
const mostRestarts = 3

// restart makes systemd start the unit anew, unless its process is of the file on disk already. It does not wait for it. It
// returns which invocation there was before, and from where restarts by systemd are counted.
func (h *Host) restart(ctx context.Context, c component) (before unitState, err error) {
	op := "restart " + c.Unit.Name
	state, err := h.unitState(ctx, c.Unit.Name)
	if err != nil {
		return before, err
	}
	c.state = state
	if state.active == "active" && !state.stale && state.pid != "0" {
		same, _, err := h.runsWhatIsThere(ctx, c)
		if err != nil || same {
			return unitState{restarts: state.restarts}, err
		}
	}
	if _, err := h.on.Must(ctx, op, "systemctl", "daemon-reload"); err != nil {
		return before, err
	}
	if state.active == "failed" || state.restarts > 0 { // else systemd may say that it was started too often
		if _, err := h.on.Must(ctx, op, "systemctl", "reset-failed", c.Unit.Name); err != nil {
			return before, err
		}
	}
	_, err = h.on.Must(ctx, op, "systemctl", "restart", "--no-block", c.Unit.Name)
	return unitState{invocation: state.invocation}, err
}

// complaint is a line that says why a component ended: klog's errors, Go's panics, cobra's and etcd's own words.
var complaint = regexp.MustCompile(`^[EF]\d{4} |(?i)\b(error|panic|fatal|fail(ed|ure))\b|flag provided but not defined`)

// lastWords is what the unit said last, in its last invocation if that has said anything yet. Components write their flags into
// their log, with values, which are left out.
func (h *Host) lastWords(ctx context.Context, u unitState) string {
	argv := []string{"journalctl", "--no-pager", "--output=cat", "--lines=40", "_SYSTEMD_UNIT=" + u.id} // without what systemd itself says of it
	r, err := h.on.Root(ctx, append(argv, "_SYSTEMD_INVOCATION_ID="+u.invocation)...)
	if err == nil && strings.TrimSpace(r.Stdout) == "" {
		r, err = h.on.Root(ctx, argv...)
	}
	if err != nil || r.ExitCode != 0 {
		return "see journalctl -u " + u.id
	}
	var words, complaints []string
	for line := range strings.Lines(r.Stdout) {
		line = strings.TrimSpace(line)
		if line == "" || strings.Contains(line, "FLAG:") || strings.HasPrefix(line, "-") {
			continue
		}
		words = append(words, line)
		if complaint.MatchString(line) {
			complaints = append(complaints, line)
		}
	}
	if len(complaints) > 0 {
		words = complaints[max(0, len(complaints)-2):]
	}
	return remote.Tail(strings.Join(words[max(0, len(words)-3):], "\n"))
}
