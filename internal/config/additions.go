package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/health"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What a person adds to the runbook: who is told of what, what runs at which moment, and what must be true between nodes.

// Notification is a place that is told of events.
type Notification struct {
	Name string `json:"name"`
	Endpoint
	Events []upgrade.Event `json:"events"` // none: all
}

// Endpoint says where a webhook is. The URL may be a secret, so it may stand in a file or in the worker's environment.
type Endpoint struct {
	URL        string `json:"url"`
	URLFile    string `json:"urlFile"`
	URLEnv     string `json:"urlEnv"`
	HeaderFile string `json:"headerFile"` // with one line: Authorization: Bearer TOKEN
}

// Hook is something that runs at a moment of the upgrade: a command, a Job or an HTTP call.
type Hook struct {
	Name      string             `json:"name"`
	When      upgrade.HookMoment `json:"when"`
	Parts     []upgrade.Part     `json:"parts"`   // of nodes' hooks; none: all
	Command   []string           `json:"command"` // argv, run as root
	Host      string             `json:"host"`    // where; empty: the node's own, or the first control plane node's
	Job       string             `json:"job"`     // file with the manifest
	HTTP      *Call              `json:"http"`
	Timeout   upgrade.Duration   `json:"timeout"`
	OnFailure string             `json:"onFailure"`
}

// Call is an HTTP call.
type Call struct {
	Endpoint
	Method string `json:"method"`
}

// Health is what must be true between nodes.
type Health struct {
	Soak       upgrade.Duration `json:"soak"`
	Timeout    upgrade.Duration `json:"timeout"`
	Prometheus Prometheus       `json:"prometheus"`
	Checks     []health.Check   `json:"checks"`
}

// Prometheus is where PromQL is answered.
type Prometheus struct {
	Address         string `json:"address"`
	BearerTokenFile string `json:"bearerTokenFile"`
}

// What happens after a hook failed, and defaults.
const (
	onFailureHold     = "hold"
	onFailureContinue = "continue"

	defaultHookTimeout = 5 * time.Minute
	defaultSoak        = time.Minute
	// maxHookTimeout keeps one attempt of a hook within what one activity may take.
	maxHookTimeout = 24 * time.Hour
	maxNameLength  = 60
)

// completeAdditions fills in defaults and makes paths absolute.
func (c *Cluster) completeAdditions(dir string) {
	absolute := func(paths ...*string) {
		for _, path := range paths {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(dir, *path)
			}
		}
	}
	for i := range c.Notifications {
		e := &c.Notifications[i].Endpoint
		absolute(&e.URLFile, &e.HeaderFile)
	}
	for i := range c.Hooks {
		h := &c.Hooks[i]
		absolute(&h.Job)
		if h.HTTP != nil {
			absolute(&h.HTTP.URLFile, &h.HTTP.HeaderFile)
			orString(&h.HTTP.Method, "POST")
		}
		orDuration(&h.Timeout, defaultHookTimeout)
		orString(&h.OnFailure, onFailureHold)
	}
	absolute(&c.Health.Prometheus.BearerTokenFile)
	orDuration(&c.Health.Soak, defaultSoak)
	orDuration(&c.Health.Timeout, upgrade.DefaultHealthTimeout)
}

// checkAdditions says what is wrong with them, the first thing.
func (c *Cluster) checkAdditions() error {
	var names []string
	for i, n := range c.Notifications {
		at := fmt.Sprintf("notifications[%d]", i)
		if err := errors.Join(checkName(at, n.Name, &names), n.check(at)); err != nil {
			return first(err)
		}
		for _, e := range n.Events {
			if !slices.Contains(upgrade.Events, e) {
				return fmt.Errorf("%s.events: %q is no event, wanted some of %s", at, e, list(upgrade.Events))
			}
		}
	}
	names = nil
	for i, h := range c.Hooks {
		at := fmt.Sprintf("hooks[%d]", i)
		if err := errors.Join(checkName(at, h.Name, &names), h.check(at)); err != nil {
			return first(err)
		}
	}
	return c.Health.check()
}

// first is the first of joined errors: a message is one line.
func first(err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()[0]
	}
	return err
}

func checkName(at, name string, known *[]string) error {
	switch {
	case strings.TrimSpace(name) == "" || len(name) > maxNameLength || strings.ContainsAny(name, "\r\n"):
		return fmt.Errorf("%s.name: is %q, wanted a name of at most %d characters, for people", at, name, maxNameLength)
	case slices.Contains(*known, name):
		return fmt.Errorf("%s.name: there are two with the name %q", at, name)
	}
	*known = append(*known, name)
	return nil
}

func (e Endpoint) check(at string) error {
	given := 0
	for _, where := range []string{e.URL, e.URLFile, e.URLEnv} {
		if where != "" {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("%s: wanted one of url, urlFile and urlEnv", at)
	}
	if e.URL != "" && !isURL(e.URL) {
		return fmt.Errorf("%s.url: is no URL, wanted one like https://HOST/PATH", at) // it is not shown: it may be a secret
	}
	return nil
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func (h Hook) check(at string) error {
	acts := 0
	for _, has := range []bool{len(h.Command) > 0, h.Job != "", h.HTTP != nil} {
		if has {
			acts++
		}
	}
	switch {
	case !slices.Contains(upgrade.HookMoments, h.When):
		return fmt.Errorf("%s.when: is %q, wanted one of %s", at, h.When, list(upgrade.HookMoments))
	case acts != 1:
		return fmt.Errorf("%s: wanted one of command, job and http", at)
	case len(h.Command) > 0 && h.Command[0] == "":
		return fmt.Errorf("%s.command: its first word is empty, wanted a program and its arguments, as a list", at)
	case h.Host != "" && len(h.Command) == 0:
		return fmt.Errorf("%s.host: is %q, and only a command runs on a host", at, h.Host)
	case len(h.Parts) > 0 && !h.When.OfNode():
		return fmt.Errorf("%s.parts: are of nodes, and the hook runs at %s", at, h.When)
	case h.OnFailure != onFailureHold && h.OnFailure != onFailureContinue:
		return fmt.Errorf("%s.onFailure: is %q, wanted %s or %s", at, h.OnFailure, onFailureHold, onFailureContinue)
	case h.Timeout < upgrade.Duration(time.Second) || h.Timeout > upgrade.Duration(maxHookTimeout):
		return fmt.Errorf("%s.timeout: is %s, wanted between 1s and %s", at, h.Timeout, maxHookTimeout)
	}
	for _, p := range h.Parts {
		if !slices.Contains(upgrade.Parts, p) {
			return fmt.Errorf("%s.parts: %q is none, wanted some of %s", at, p, list(upgrade.Parts))
		}
	}
	if h.HTTP == nil {
		return nil
	}
	if methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}; !slices.Contains(methods, h.HTTP.Method) {
		return fmt.Errorf("%s.http.method: is %q, wanted one of %s", at, h.HTTP.Method, list(methods))
	}
	return h.HTTP.check(at + ".http")
}

func (h Health) check() error {
	switch {
	case h.Soak < 0 || h.Soak > h.Timeout:
		return fmt.Errorf("health.soak: is %s, wanted at most health.timeout (%s)", h.Soak, h.Timeout)
	case h.Timeout < upgrade.Duration(time.Second) || h.Timeout > upgrade.Duration(maxHookTimeout):
		return fmt.Errorf("health.timeout: is %s, wanted between 1s and %s", h.Timeout, maxHookTimeout)
	case h.Prometheus.Address != "" && !isURL(h.Prometheus.Address):
		return fmt.Errorf("health.prometheus.address: is no URL, wanted one like http://prometheus.monitoring:9090")
	}
	var names []string
	for i, c := range h.Checks {
		at := fmt.Sprintf("health.checks[%d]", i)
		if err := checkName(at, c.Name, &names); err != nil {
			return err
		}
		if err := h.checkCheck(c); err != nil {
			return fmt.Errorf("%s (%s)%w", at, c.Name, err)
		}
	}
	return nil
}

// checkCheck says what is wrong with a check, as what follows its place in the definition.
func (h Health) checkCheck(c health.Check) error {
	if (c.PromQL == "") == (c.CEL == "") {
		return errors.New(": wanted one of promql and cel")
	}
	if c.PromQL != "" {
		if h.Prometheus.Address == "" {
			return errors.New(".promql: needs health.prometheus.address")
		}
		if c.Objects != nil {
			return errors.New(".objects: belong to cel")
		}
		if err := health.CheckPromQL(c.PromQL); err != nil {
			return fmt.Errorf(".promql: %w", err)
		}
		return nil
	}
	switch o := c.Objects; {
	case o == nil || o.APIVersion == "" || o.Kind == "":
		return errors.New(".objects: wanted apiVersion and kind, and a name or not")
	case o.Name != "" && o.Selector != "":
		return errors.New(".objects: wanted a name or a selector, not both")
	case o.Kind == "Secret":
		return errors.New(".objects: pawl reads no Secrets")
	}
	if err := health.Compile(c.CEL, c.Objects.Name != ""); err != nil {
		return fmt.Errorf(".cel: %w", err)
	}
	return nil
}

// list is names for a line of text.
func list[T ~string](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, string(one))
	}
	return strings.Join(texts, ", ")
}

// addTo tells a plan of the additions, without what is secret or long.
func (c *Cluster) addTo(s *upgrade.Settings) {
	for _, n := range c.Notifications {
		s.Notifications = append(s.Notifications, upgrade.Notification{Name: n.Name, Events: n.Events})
	}
	for _, h := range c.Hooks {
		s.Hooks = append(s.Hooks, upgrade.Hook{
			Name: h.Name, When: h.When, Kind: h.kind(), Timeout: h.Timeout, Parts: h.Parts, Host: h.Host,
			HostOutside: h.Host != "" && c.SSH.Hosts[h.Host].Address != "", MayFail: h.OnFailure == onFailureContinue,
		})
	}
	if len(c.Health.Checks) == 0 {
		return
	}
	s.Health = upgrade.Health{Soak: c.Health.Soak, Timeout: c.Health.Timeout}
	for _, check := range c.Health.Checks {
		by := "PromQL"
		if check.CEL != "" {
			by = "CEL"
		}
		s.Health.Checks = append(s.Health.Checks, upgrade.Check{Name: check.Name, By: by})
	}
}

func (h Hook) kind() upgrade.HookKind {
	switch {
	case h.Job != "":
		return upgrade.JobHook
	case h.HTTP != nil:
		return upgrade.HTTPHook
	}
	return upgrade.CommandHook
}
