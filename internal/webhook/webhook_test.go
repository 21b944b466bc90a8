package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
)

// file writes a file as an editor leaves it, with a line end.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, []byte(text+"\n"), 0o600))
	return name
}

func TestSend(t *testing.T) {
	var got *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got, body = r, string(text)
		_, _ = io.WriteString(w, "ok\n")
	}))
	defer server.Close()
	t.Setenv("WEBHOOK", server.URL+"/services/T0/B0/secret")
	for name, e := range map[string]Endpoint{
		"url":         {URL: server.URL + "/services/T0/B0/secret"},
		"file":        {URLFile: file(t, server.URL+"/services/T0/B0/secret"), HeaderFile: file(t, "Authorization: Bearer token-1")},
		"environment": {URLEnv: "WEBHOOK", Method: http.MethodPut},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, e.Check())
			said, err := e.Send(t.Context(), "key-1", map[string]string{"text": "hello"})
			require.NoError(t, err)
			require.Equal(t, "ok", said)
			require.Equal(t, "/services/T0/B0/secret", got.URL.Path)
			require.JSONEq(t, `{"text":"hello"}`, body)
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			require.Equal(t, "key-1", got.Header.Get("Idempotency-Key"))
			if e.HeaderFile != "" {
				require.Equal(t, "Bearer token-1", got.Header.Get("Authorization"))
			}
			if e.Method != "" {
				require.Equal(t, e.Method, got.Method)
			} else {
				require.Equal(t, http.MethodPost, got.Method)
			}
		})
	}
}

func TestWhatFailsSaysNoSecret(t *testing.T) {
	const path = "/services/T0/B0/s3cr3t"
	status := http.StatusOK
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "no", "path": r.URL.Path, "token": r.Header.Get("Authorization")})
	}))
	defer server.Close()
	secret := file(t, "Authorization: Bearer t0k3n")
	for name, c := range map[string]struct {
		status int
		e      Endpoint
		kind   fault.Kind
		says   string
	}{
		"refused":          {403, Endpoint{URL: server.URL + path, HeaderFile: secret}, fault.HookFailed, `call the webhook ops: it answers 403: {"error":"no","path":"[hidden]","token":"[hidden]"}`},
		"redirected":       {307, Endpoint{URL: server.URL + path, HeaderFile: secret}, fault.HookFailed, "it answers 307"},
		"not well":         {503, Endpoint{URL: server.URL + path, HeaderFile: secret}, fault.Unreachable, "it answers 503"},
		"too many":         {429, Endpoint{URL: server.URL + path, HeaderFile: secret}, fault.Unreachable, "it answers 429"},
		"nobody there":     {0, Endpoint{URL: "http://127.0.0.1:1" + path}, fault.Unreachable, "connection refused"},
		"no URL":           {0, Endpoint{URL: "hooks.slack.com" + path}, fault.InvalidInput, "its address is not a URL, wanted one like https://HOST/PATH"},
		"a broken URL":     {0, Endpoint{URL: "https://a:b:c" + path}, fault.InvalidInput, "its address is not a URL"},
		"no file":          {0, Endpoint{URLFile: "/nowhere/url"}, fault.InvalidInput, "open /nowhere/url: no such file or directory"},
		"no variable":      {0, Endpoint{URLEnv: "PAWL_TEST_NOTHING"}, fault.InvalidInput, "the worker's environment has no PAWL_TEST_NOTHING"},
		"no header":        {0, Endpoint{URL: server.URL, HeaderFile: file(t, "t0k3n")}, fault.InvalidInput, "has no header, wanted one line like Authorization: Bearer TOKEN"},
		"a header too odd": {0, Endpoint{URL: server.URL, HeaderFile: file(t, "A: b\nC: t0k3n")}, fault.InvalidInput, "has no header"},
	} {
		t.Run(name, func(t *testing.T) {
			status, c.e.Name = c.status, "ops"
			_, err := c.e.Send(t.Context(), "key", struct{}{})
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.kind, fault.KindOf(err))
			for _, hidden := range []string{"s3cr3t", "t0k3n"} {
				require.NotContains(t, err.Error(), hidden)
			}
			require.False(t, strings.Contains(err.Error(), "\n"))
		})
	}
	require.False(t, followed, "redirects are not followed")
}

func TestAskReadsTheAnswer(t *testing.T) {
	status := http.StatusAccepted
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	e := Endpoint{Name: "machines", URL: server.URL}
	body := map[string]string{"token": "t0k3n", "pad": strings.Repeat("x", 185) + "t0k3n"}
	got, err := e.Ask(t.Context(), "key", body, "t0k3n")
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, got.Status)
	require.Equal(t, 7*time.Second, got.RetryAfter)
	require.Contains(t, string(got.Body), `"token":"t0k3n"`)
	// Where the text is cut, it is cut after the secret was taken out.
	require.NotContains(t, got.Text, "t0k")

	status = http.StatusConflict
	got, err = e.Ask(t.Context(), "key", body, "t0k3n")
	require.Equal(t, http.StatusConflict, got.Status)
	require.Equal(t, fault.HookFailed, fault.KindOf(err))
	require.NotContains(t, err.Error(), "t0k")
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "-1": 0, "soon": 0, "Mon, 23 Nov 2026 07:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2026 06:00:00 GMT": 0,
	} {
		require.Equal(t, want, retryAfter(value, now), value)
	}
}

func TestAnAnswerThatBreaksOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "done")
	}))
	defer server.Close()
	_, err := Endpoint{URL: server.URL}.Ask(t.Context(), "key", struct{}{})
	require.Equal(t, fault.Unreachable, fault.KindOf(err), "who needs the answer asks again")
	said, err := Endpoint{URL: server.URL}.Send(t.Context(), "key", struct{}{})
	require.NoError(t, err, "what was sent was taken")
	require.Equal(t, "done", said)
}
