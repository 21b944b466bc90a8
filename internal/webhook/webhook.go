// Package webhook sends JSON to addresses that may be secrets: notifications, and hooks that are HTTP calls.
//
// Rule: an address may open a door by itself (Slack's do), so neither it nor a header that goes with it is ever part of
// an error. One call is one request: who calls decides whether to try again.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
)

// Endpoint says where a webhook is. Exactly one of URL, URLFile and URLEnv is set.
type Endpoint struct {
	Name       string // for errors
	URL        string
	URLFile    string // file with the URL on its one line
	URLEnv     string // environment variable with the URL
	HeaderFile string // file with one more header on its one line, "Authorization: Bearer TOKEN"; "" for none
	Method     string // "" is POST
}

// requestTimeout bounds one request.
const requestTimeout = 15 * time.Second

// client follows no redirects: where they lead nobody has named, and a POST would become a GET.
var client = &http.Client{
	Timeout:       requestTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Check reads what names the address, and sends nothing.
func (e Endpoint) Check() error {
	_, err := e.open()
	return err
}

// address is what the files and variables of an endpoint say.
type address struct {
	url           *url.URL
	header, value string
	secrets       []string // further ones
}

func (e Endpoint) open() (address, error) {
	var a address
	text, err := e.text()
	if err != nil {
		return a, e.fault(fault.InvalidInput, err.Error())
	}
	// The error of a URL that does not parse shows it.
	if a.url, err = url.Parse(strings.TrimSpace(text)); err != nil || a.url.Host == "" || a.url.Scheme != "http" && a.url.Scheme != "https" {
		return a, e.fault(fault.InvalidInput, "its address is not a URL, wanted one like https://HOST/PATH")
	}
	if e.HeaderFile == "" {
		return a, nil
	}
	line, err := os.ReadFile(e.HeaderFile)
	if err != nil {
		return a, e.fault(fault.InvalidInput, err.Error())
	}
	var ok bool
	a.header, a.value, ok = strings.Cut(strings.TrimSpace(string(line)), ":")
	if a.value = strings.TrimSpace(a.value); !ok || a.value == "" || strings.ContainsAny(a.header, " \t") || strings.ContainsAny(a.value, "\r\n") {
		return a, e.fault(fault.InvalidInput, e.HeaderFile+" has no header, wanted one line like Authorization: Bearer TOKEN")
	}
	return a, nil
}

func (e Endpoint) text() (string, error) {
	switch {
	case e.URLFile != "":
		text, err := os.ReadFile(e.URLFile)
		return string(text), err
	case e.URLEnv != "":
		text := os.Getenv(e.URLEnv)
		if text == "" {
			return "", fmt.Errorf("the worker's environment has no %s", e.URLEnv)
		}
		return text, nil
	}
	return e.URL, nil
}

// answerKept is how much of an answer is read.
const answerKept = 4096

// Answer is what was answered, also with a refusal.
type Answer struct {
	Status     int           // 0: nobody answered
	Body       []byte        // its beginning, as it came
	Text       string        // the same for people: short, on one line, without what is secret
	RetryAfter time.Duration // when to ask again; 0 where nothing is said of it
}

func (a Answer) taken() bool { return a.Status/100 == 2 }

// Send sends body as JSON once, and returns what was answered. key is the same for all attempts to send the same thing:
// the header Idempotency-Key. A refusal is a HookFailed; what may pass by itself is Unreachable.
func (e Endpoint) Send(ctx context.Context, key string, body any) (string, error) {
	answer, err := e.Ask(ctx, key, body)
	if err != nil && !answer.taken() {
		return "", err
	}
	return answer.Text, nil // also where only the answer's text broke off
}

// Ask is Send for whoever reads the answer. secrets are what else of the body must not be part of an error.
func (e Endpoint) Ask(ctx context.Context, key string, body any, secrets ...string) (Answer, error) {
	to, err := e.open()
	if err != nil {
		return Answer{}, err
	}
	to.secrets = secrets
	text, err := json.Marshal(body)
	if err != nil {
		return Answer{}, e.fault(fault.Unexpected, err.Error())
	}
	method := e.Method
	if method == "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, to.url.String(), bytes.NewReader(text))
	if err != nil {
		return Answer{}, e.fault(fault.InvalidInput, to.redact(err.Error()))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "pawl")
	request.Header.Set("Idempotency-Key", key)
	if to.header != "" {
		request.Header.Set(to.header, to.value)
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, e.fault(fault.Unreachable, to.redact(cause(err).Error()))
	}
	defer func() { _ = response.Body.Close() }()
	answer := Answer{Status: response.StatusCode, RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now())}
	answer.Body, err = io.ReadAll(io.LimitReader(response.Body, answerKept))
	answer.Text = short(to.redact(string(answer.Body)))
	if answer.taken() {
		if err != nil {
			return answer, e.fault(fault.Unreachable, "its answer breaks off: "+to.redact(err.Error()))
		}
		return answer, nil
	}
	kind := fault.HookFailed
	switch code := response.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		kind = fault.Unreachable
	}
	fact := fmt.Sprintf("it answers %d", response.StatusCode)
	if answer.Text != "" {
		fact += ": " + answer.Text
	}
	return answer, e.fault(kind, fact)
}

// retryAfter reads the header of that name: seconds, or a date. Source: RFC 9110, 10.2.3.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

func (e Endpoint) fault(kind fault.Kind, fact string) error {
	return fault.New(kind, "call the webhook", e.Name, fact, "")
}

// cause leaves out what net/http puts before an error: the method and the URL.
func cause(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// redact takes out of a text what must not be seen, wherever it comes from.
func (a address) redact(text string) string {
	secrets := []string{a.url.String(), a.url.RequestURI(), a.url.Path, a.url.RawQuery, a.value}
	if _, token, ok := strings.Cut(a.value, " "); ok { // "Bearer TOKEN"
		secrets = append(secrets, token)
	}
	if password, ok := a.url.User.Password(); ok {
		secrets = append(secrets, password)
	}
	for _, secret := range append(secrets, a.secrets...) {
		if len(secret) > 1 { // more than "/"
			text = strings.ReplaceAll(text, secret, "[hidden]")
		}
	}
	return text
}

// short is an answer on one line.
func short(text string) string {
	const most = 200
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
