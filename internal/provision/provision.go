// Package provision gets machines for worker nodes from whoever a person names: a program on the worker, or a webhook.
// Both are asked the same, in JSON; docs/providers.md is their side of it.
//
// Rule: pawl's side of the contract is kept whatever the other does. The same thing is asked again under the same key, an
// answer is checked before it is believed, and the join token goes into the question and nowhere else: not into an
// argument, an environment, an answer that is kept, or an error.
package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// action is what is asked for.
type action string

const (
	actionCheck    action = "check"
	actionBegin    action = "begin"
	actionAdd      action = "add"
	actionWithdraw action = "withdraw"
	actionReadmit  action = "readmit"
	actionRemove   action = "remove"
	actionEnd      action = "end"
)

// ops are the actions in errors.
var ops = map[action]string{
	actionCheck: "check the provider of", actionBegin: "begin replacing machines of", actionAdd: "add a machine to",
	actionWithdraw: "withdraw a machine of", actionReadmit: "readmit a machine of", actionRemove: "remove a machine of", actionEnd: "end replacing machines of",
}

// defaultTimeout is how long one call may take.
const defaultTimeout = 15 * time.Minute

// request is what is asked.
type request struct {
	Action   action            `json:"action"`
	Key      string            `json:"key"` // the same whenever the same is asked
	Cluster  string            `json:"cluster"`
	Pool     string            `json:"pool"`
	Version  upgrade.Version   `json:"version"`
	Run      string            `json:"run"`
	Try      int               `json:"try,omitempty"`      // add
	Zone     string            `json:"zone,omitempty"`     // add: the old machine's
	Old      *upgrade.Machine  `json:"old,omitempty"`      // add
	Join     *upgrade.Join     `json:"join,omitempty"`     // add
	Machine  *upgrade.Machine  `json:"machine,omitempty"`  // withdraw, remove
	Machines []upgrade.Machine `json:"machines,omitempty"` // check, begin: those to be replaced
	Snapshot json.RawMessage   `json:"snapshot,omitempty"` // end: what begin answered
}

// asker asks once, and waits for the answer.
type asker interface {
	// does reports whether anything is to be done for the action.
	does(action) bool
	// ask returns the answer's JSON, nil if there is none.
	ask(ctx context.Context, q request) (json.RawMessage, error)
	// lacks says what is not there that asking needs. Nothing is asked.
	lacks() []error
}

// Provider gets and removes machines through somebody else. It satisfies the contract of activities.NodeProvider.
type Provider struct {
	asker   asker
	timeout time.Duration // of one call
}

// Check says what stands in the way of replacing these machines.
func (p *Provider) Check(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) []upgrade.Finding {
	wrong := p.asker.lacks()
	if len(wrong) == 0 {
		q := p.request(actionCheck, r)
		q.Machines = old
		if _, err := p.ask(ctx, q); err != nil {
			wrong = append(wrong, err)
		}
	}
	var found []upgrade.Finding
	for _, err := range wrong {
		found = append(found, upgrade.Finding{
			ID: upgrade.NodeProvider, Severity: upgrade.SeverityError, Target: r.Pool, Message: err.Error(), Remedy: "put the provider right",
		})
	}
	return found
}

// Begin readies the pool. The snapshot is what was answered; there may be none.
func (p *Provider) Begin(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) (json.RawMessage, error) {
	q := p.request(actionBegin, r)
	q.Machines = old
	return p.ask(ctx, q)
}

// Add gets the machine of the slot.
func (p *Provider) Add(ctx context.Context, r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) (upgrade.Machine, error) {
	q := p.request(actionAdd, r)
	q.Key, q.Try, q.Zone, q.Old, q.Join = r.Key(s), s.Try, s.Old.Zone, &s.Old, &j
	answer, err := p.ask(ctx, q)
	if err != nil {
		return upgrade.Machine{}, err
	}
	m, err := readMachine(answer, s.Old.Zone, secrets(q))
	if err != nil {
		return upgrade.Machine{}, q.fault(fault.PreflightFailed, err, "put the provider right; what it has made for the key "+q.Key+" is left as it is")
	}
	return m, nil
}

// TakesJoin reports that machines are given what they need to join.
func (p *Provider) TakesJoin() bool { return true }

// Readmit undoes Withdraw.
func (p *Provider) Readmit(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	return p.about(ctx, actionReadmit, r, m)
}

// Withdraw takes the machine out of load balancers.
func (p *Provider) Withdraw(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	return p.about(ctx, actionWithdraw, r, m)
}

// Remove ends the machine for good.
func (p *Provider) Remove(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	return p.about(ctx, actionRemove, r, m)
}

func (p *Provider) about(ctx context.Context, a action, r upgrade.Replacement, m upgrade.Machine) error {
	q := p.request(a, r)
	q.Key, q.Machine = keyOf(a, r, m.ID, m.Node, m.Address), &m
	_, err := p.ask(ctx, q)
	return err
}

// End puts the pool's settings back.
func (p *Provider) End(ctx context.Context, r upgrade.Replacement, snapshot json.RawMessage) error {
	q := p.request(actionEnd, r)
	q.Snapshot = snapshot
	_, err := p.ask(ctx, q)
	return err
}

func (p *Provider) request(a action, r upgrade.Replacement) request {
	return request{Action: a, Key: keyOf(a, r), Cluster: r.Cluster, Pool: r.Pool, Version: r.Version, Run: r.Run}
}

// keyOf names what is done, the same at every attempt; that of a slot is its own.
func keyOf(a action, r upgrade.Replacement, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{string(a), r.Cluster, r.Pool, r.Run}, of...), "\x00")))
	return "pawl-" + hex.EncodeToString(sum[:16])
}

// errTooLong ends a call that takes longer than it may.
var errTooLong = errors.New("time-out")

// ask asks what there is to ask, within the time-out.
func (p *Provider) ask(ctx context.Context, q request) (json.RawMessage, error) {
	if !p.asker.does(q.Action) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, errTooLong)
	defer cancel()
	answer, err := p.asker.ask(ctx, q)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(context.Cause(ctx), errTooLong):
		// What was begun may be going on; the key makes it safe to ask again.
		return nil, q.fault(fault.CommandFailed, fmt.Errorf("not done after %s (%w)", p.timeout, err), "raise the provider's timeout if it needs longer")
	}
	return nil, q.fault(fault.KindOf(err), err, "")
}

// fault says what was asked for whom.
func (q request) fault(kind fault.Kind, err error, remedy string) error {
	target := "pool " + q.Pool
	switch {
	case q.Old != nil:
		target += " in place of " + q.Old.Node
	case q.Machine != nil:
		name := q.Machine.Node
		if name == "" {
			name = q.Machine.ID
		}
		target += ", " + name
	}
	return fault.Wrap(kind, ops[q.Action], target, err, remedy)
}

var (
	nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	oneWord  = regexp.MustCompile(`^[!-~]{1,512}$`)
)

// readMachine reads the answer to add, and believes it only if it can be.
func readMachine(answer json.RawMessage, zone string, secrets []string) (upgrade.Machine, error) {
	var m upgrade.Machine
	if len(answer) == 0 {
		return m, errors.New(`it answers no machine, wanted JSON like {"id":"i-17","node":"w7","address":"10.0.0.7","zone":"a"}`)
	}
	text := scrub(string(answer), secrets)
	if text != string(answer) {
		return m, fmt.Errorf("the join token is in its answer: %s", short(text))
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		return m, fmt.Errorf("its answer is no machine: %s", short(text))
	}
	switch {
	case !oneWord.MatchString(m.ID):
		return m, fmt.Errorf("the machine has the id %q, wanted one word by which it can be removed", m.ID)
	case m.Node != "" && !nodeName.MatchString(m.Node):
		return m, fmt.Errorf("machine %s: %q is no node's name", m.ID, m.Node)
	case m.Zone != "" && zone != "" && m.Zone != zone:
		return m, fmt.Errorf("machine %s is in zone %q, wanted %q as the old one", m.ID, m.Zone, zone)
	}
	if m.Address != "" {
		if _, err := netip.ParseAddr(m.Address); err != nil {
			return m, fmt.Errorf("machine %s: %q is no IP address", m.ID, m.Address)
		}
	}
	if m.Zone == "" {
		m.Zone = zone
	}
	return m, nil
}
