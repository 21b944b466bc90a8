package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/internal/webhook"
)

// WebhookConfig names an address that gets and removes machines. Exactly one of URL, URLFile and URLEnv is set: it may be a
// secret.
type WebhookConfig struct {
	URL        string           `json:"url"`
	URLFile    string           `json:"urlFile"`
	URLEnv     string           `json:"urlEnv"`
	HeaderFile string           `json:"headerFile"` // with one line: Authorization: Bearer TOKEN
	Also       []string         `json:"also"`       // what is asked besides add and remove: check, begin, withdraw, readmit, end
	Timeout    upgrade.Duration `json:"timeout"`    // until something is done, however often it is asked for; 15m if not given
}

// Validate says what is wrong, as what follows the place of the settings in a definition.
func (c WebhookConfig) Validate() error {
	set := 0
	for _, s := range []string{c.URL, c.URLFile, c.URLEnv} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		return errors.New(": wanted one of url, urlFile and urlEnv")
	}
	for i, a := range c.Also {
		if !slices.Contains([]action{actionCheck, actionBegin, actionWithdraw, actionReadmit, actionEnd}, action(a)) {
			return fmt.Errorf(".also[%d]: %q, wanted some of check, begin, withdraw, readmit, end", i, a)
		}
	}
	if c.Timeout < 0 {
		return fmt.Errorf(".timeout: %s, wanted more than none", c.Timeout)
	}
	return nil
}

// NewWebhook makes a provider of an address. name stands for the address in errors.
func NewWebhook(c WebhookConfig, name string) *Provider {
	h := hook{to: webhook.Endpoint{Name: name, URL: c.URL, URLFile: c.URLFile, URLEnv: c.URLEnv, HeaderFile: c.HeaderFile}}
	h.actions = []action{actionAdd, actionRemove}
	for _, a := range c.Also {
		h.actions = append(h.actions, action(a))
	}
	return &Provider{asker: h, timeout: c.Timeout.Or(defaultTimeout)}
}

// hook asks an address.
type hook struct {
	to      webhook.Endpoint
	actions []action
}

func (h hook) does(a action) bool { return slices.Contains(h.actions, a) }

func (h hook) lacks() []error {
	if err := h.to.Check(); err != nil {
		return []error{err}
	}
	return nil
}

// The pause before what is not yet done is asked for again, where the answer says nothing of it, and the longest.
const (
	usualPause   = 5 * time.Second
	longestPause = time.Minute
)

// ask asks until it is done.
func (h hook) ask(ctx context.Context, q request) (json.RawMessage, error) {
	for {
		answer, err := h.to.Ask(ctx, q.Key, q, secrets(q)...)
		switch {
		case err != nil:
			return nil, refused(answer.Status, err)
		case answer.Status != http.StatusAccepted:
			if !slices.Contains(answers, q.Action) || len(answer.Body) == 0 {
				return nil, nil
			}
			if !json.Valid(answer.Body) {
				return nil, fault.New(fault.PreflightFailed, "call the webhook", h.to.Name, "its answer is no JSON: "+answer.Text, "")
			}
			return answer.Body, nil
		}
		select {
		case <-ctx.Done():
			return nil, fault.New(fault.OutcomeUnknown, "call the webhook", h.to.Name, "not yet done, it answers 202: "+answer.Text, "")
		case <-time.After(pause(answer.RetryAfter)):
		}
	}
}

func pause(wanted time.Duration) time.Duration {
	if wanted <= 0 {
		return usualPause
	}
	return min(wanted, longestPause)
}

// refused gives a refusal the contract's kind. What may pass by itself, and what a person wrote, have theirs already.
func refused(status int, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.HookFailed {
		return err
	}
	again := *f
	switch status {
	case http.StatusConflict:
		again.Kind = fault.Conflict
	case http.StatusGone: // the machine of this key is lost; another is wanted
		again.Kind = fault.VerificationFailed
	default:
		again.Kind = fault.PreflightFailed
	}
	return &again
}
