package provision

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// maker is a server that makes machines: one for each key, whatever happens to its answers.
type maker struct {
	mu       sync.Mutex
	machines map[string]string // by key
	asked    []map[string]any
	keys     []string
	answer   func(w http.ResponseWriter, n int, text string) bool // false: as usual
}

func (m *maker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, _ := io.ReadAll(r.Body)
	var q map[string]any
	if err := json.Unmarshal(text, &q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.asked, m.keys = append(m.asked, q), append(m.keys, r.Header.Get("Idempotency-Key"))
	key := q["key"].(string)
	if q["action"] == "add" && m.machines[key] == "" {
		m.machines[key] = "m-1"
	}
	if m.answer != nil && m.answer(w, len(m.asked), string(text)) {
		return
	}
	if q["action"] == "add" {
		_ = json.NewEncoder(w).Encode(upgrade.Machine{ID: m.machines[key], Node: "n1", Address: "10.0.0.9"})
	}
}

func serve(t *testing.T, answer func(w http.ResponseWriter, n int, text string) bool) (*maker, *httptest.Server) {
	m := &maker{machines: map[string]string{}, answer: answer}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, server
}

func TestAnAddressIsAskedUntilItIsDone(t *testing.T) {
	m, server := serve(t, func(w http.ResponseWriter, n int, _ string) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusAccepted)
		}
		return n == 1
	})
	p := NewWebhook(WebhookConfig{URL: server.URL, Also: []string{"begin"}}, "machines")
	began := time.Now()
	got, err := p.Add(t.Context(), replacement, slot, join)
	require.NoError(t, err)
	require.Equal(t, machine, got)
	require.GreaterOrEqual(t, time.Since(began), time.Second, "it is not asked before it wants to be")
	require.Len(t, m.asked, 2)
	require.Equal(t, m.asked[0], m.asked[1])
	require.Equal(t, []string{replacement.Key(slot), replacement.Key(slot)}, m.keys)
	require.Equal(t, map[string]any{"endpoint": "api:6443", "token": token, "caCertHash": "sha256:00"}, m.asked[0]["join"])

	require.NoError(t, p.Remove(t.Context(), replacement, got))
	require.Equal(t, "remove", m.asked[2]["action"])
	require.NotContains(t, m.asked[2], "join")
	require.NotEqual(t, m.keys[0], m.keys[2])

	snapshot, err := p.Begin(t.Context(), replacement, nil)
	require.NoError(t, err)
	require.Nil(t, snapshot, "there may be none")
	require.NoError(t, p.Withdraw(t.Context(), replacement, got))
	require.Len(t, m.asked, 4, "what is not among its actions is not asked")
}

func TestAnAnswerThatGotLost(t *testing.T) {
	m, server := serve(t, func(w http.ResponseWriter, n int, _ string) bool {
		if n == 1 {
			panic(http.ErrAbortHandler) // made, but nobody hears of it
		}
		return false
	})
	p := NewWebhook(WebhookConfig{URL: server.URL}, "machines")
	_, err := p.Add(t.Context(), replacement, slot, join)
	require.Equal(t, fault.Unreachable, fault.KindOf(err))
	noSecret(t, err)
	got, err := p.Add(t.Context(), replacement, slot, join)
	require.NoError(t, err)
	require.Equal(t, "m-1", got.ID)
	require.Len(t, m.machines, 1)
}

func TestWhatAnAddressRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   fault.Kind
		says   string
	}{
		"refused":   {403, "", fault.PreflightFailed, "add a machine to pool workers in place of w1: call the webhook machines: it answers 403: "},
		"busy":      {409, "", fault.Conflict, "it answers 409"},
		"lost":      {410, "", fault.VerificationFailed, "it answers 410"},
		"not well":  {503, "", fault.Unreachable, "it answers 503"},
		"too many":  {429, "", fault.Unreachable, "it answers 429"},
		"no JSON":   {200, "<html>", fault.PreflightFailed, "its answer is no JSON: <html>"},
		"no id":     {200, "{}", fault.PreflightFailed, "the machine has the id"},
		"the token": {200, `{"id":"` + token + `"}`, fault.PreflightFailed, "the join token is in its answer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, server := serve(t, func(w http.ResponseWriter, _ int, text string) bool {
				w.WriteHeader(c.status)
				if c.body != "" {
					text = c.body
				}
				_, _ = io.WriteString(w, text)
				return true
			})
			file := filepath.Join(t.TempDir(), "url")
			require.NoError(t, os.WriteFile(file, []byte(server.URL+"/s3cr3t\n"), 0o600))
			_, err := NewWebhook(WebhookConfig{URLFile: file}, "machines").Add(t.Context(), replacement, slot, join)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.kind, fault.KindOf(err))
			require.NotContains(t, err.Error(), "s3cr3t")
			noSecret(t, err)
		})
	}
}

func TestNotYetForTooLong(t *testing.T) {
	_, server := serve(t, func(w http.ResponseWriter, _ int, _ string) bool {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "installing")
		return true
	})
	p := NewWebhook(WebhookConfig{URL: server.URL, Timeout: upgrade.Duration(200 * time.Millisecond)}, "machines")
	_, err := p.Add(t.Context(), replacement, slot, join)
	require.ErrorContains(t, err, "not done after 200ms")
	require.ErrorContains(t, err, "not yet done, it answers 202: installing")
	require.Equal(t, fault.CommandFailed, fault.KindOf(err))
}

func TestAnAddressThatCannotBeRead(t *testing.T) {
	found := NewWebhook(WebhookConfig{URLEnv: "PAWL_TEST_NOTHING"}, "machines").Check(t.Context(), replacement, nil)
	require.Len(t, found, 1)
	require.Contains(t, found[0].Message, "the worker's environment has no PAWL_TEST_NOTHING")
}

func TestPauses(t *testing.T) {
	for wanted, want := range map[time.Duration]time.Duration{0: usualPause, 7 * time.Second: 7 * time.Second, time.Hour: longestPause} {
		require.Equal(t, want, pause(wanted))
	}
}
