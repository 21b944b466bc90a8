package codec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/pawl-dev/pawl/internal/fault"
)

// newKeys are lines of new keys with these ids.
func newKeys(t *testing.T, ids ...string) []string {
	t.Helper()
	var lines []string
	for _, id := range ids {
		line, err := NewKey(id)
		require.NoError(t, err)
		lines = append(lines, line)
	}
	return lines
}

func writeKeys(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return file
}

func load(t *testing.T, lines ...string) *Codec {
	t.Helper()
	c, err := Load(t.Context(), writeKeys(t, lines...), nil)
	require.NoError(t, err)
	return c
}

const secret = "drain w1 at 10.0.0.21"

func seal(t *testing.T, c *Codec) *commonpb.Payload {
	t.Helper()
	plain, err := converter.GetDefaultDataConverter().ToPayload(secret)
	require.NoError(t, err)
	sealed, err := c.Encode([]*commonpb.Payload{plain})
	require.NoError(t, err)
	require.NotContains(t, sealed[0].String(), secret)
	return sealed[0]
}

func open1(c *Codec, p *commonpb.Payload) (text string, err error) {
	plain, err := c.Decode([]*commonpb.Payload{p})
	if err != nil {
		return "", err
	}
	return text, converter.GetDefaultDataConverter().FromPayload(plain[0], &text)
}

func TestRoundTripAndRotation(t *testing.T) {
	lines := newKeys(t, "one", "two")
	old, both, next := load(t, lines[0]), load(t, "# the new one is known everywhere before it encrypts", "", lines[0], lines[1]), load(t, lines[1], lines[0])
	for _, from := range []*Codec{old, both} {
		require.Equal(t, "one", from.KeyID())
	}
	require.Equal(t, "two", next.KeyID())
	first, second := seal(t, old), seal(t, next)
	require.NotEqual(t, first.Data, seal(t, old).Data, "no two ciphertexts of the same are the same")
	for _, c := range []*Codec{both, next} {
		for _, p := range []*commonpb.Payload{first, second} {
			text, err := open1(c, p)
			require.NoError(t, err)
			require.Equal(t, secret, text)
		}
	}
	_, err := open1(old, second)
	require.EqualError(t, err, `decrypt a payload: it needs key "two", which is not among those that this process has`)
	_, err = open1(load(t, newKeys(t, "one")...), first)
	require.EqualError(t, err, `decrypt a payload with key "one": it was changed, or another key has that id`)
}

func TestWhatIsNotEncryptedIsLeftAsItIs(t *testing.T) {
	c := load(t, newKeys(t, "one")...)
	for _, v := range []any{"text", nil, []byte("bytes"), map[string]int{"a": 1}} {
		plain, err := converter.GetDefaultDataConverter().ToPayload(v)
		require.NoError(t, err)
		same, err := c.Decode([]*commonpb.Payload{plain})
		require.NoError(t, err)
		require.Same(t, plain, same[0])
	}
}

func TestTamperedPayloadsAreRefused(t *testing.T) {
	lines := newKeys(t, "one", "two")
	c := load(t, lines...)
	for i := range seal(t, c).Data {
		p := seal(t, c)
		p.Data[i] ^= 1
		_, err := open1(c, p)
		require.ErrorContains(t, err, "it was changed")
	}
	p := seal(t, c)
	p.Metadata[metadataKeyID] = []byte("two")
	_, err := open1(c, p)
	require.ErrorContains(t, err, "it was changed", "an id belongs to what it stands on")
	p = seal(t, c)
	p.Data = p.Data[:3]
	_, err = open1(c, p)
	require.ErrorContains(t, err, "it was changed")
}

func TestErrorsAreEncrypted(t *testing.T) {
	var o client.Options
	load(t, newKeys(t, "one")...).Apply(&o)
	f := o.FailureConverter.ErrorToFailure(temporal.NewApplicationError(secret, "DrainBlocked", secret))
	require.Equal(t, EncodedFailure, f.GetMessage())
	require.NotContains(t, f.String(), secret)
	require.ErrorContains(t, o.FailureConverter.FailureToError(f), secret)

	old := temporal.GetDefaultFailureConverter().ErrorToFailure(errors.New(secret))
	require.ErrorContains(t, o.FailureConverter.FailureToError(old), secret, "of a history from before")
}

func TestBadKeyFilesSayWhatWasWanted(t *testing.T) {
	good := newKeys(t, "one")[0]
	value := strings.TrimPrefix(good, "one base64:")
	for text, says := range map[string]string{
		"":                             "it holds no key",
		"# nothing\n":                  "it holds no key",
		value:                          "line 1: wanted ID base64:KEY or ID aws-kms:CIPHERTEXT",
		good + " more":                 "line 1: wanted ID",
		"one " + value:                 "line 1: key one begins with neither base64: nor aws-kms:",
		"\n\none base64:" + value[:20]: "line 3: key one has 15 bytes, wanted 32",
		"one base64:" + value[1:]:      "line 1: key one is not in base64",
		"one aws-kms:":                 "line 1: key one is empty",
		good + "\n" + good:             "line 2: the id one is there twice",
		"../one base64:" + value:       "line 1: wanted ID",
	} {
		_, err := Load(t.Context(), writeKeys(t, text), nil)
		require.ErrorContains(t, err, says, "%q", text)
		require.Equal(t, fault.InvalidInput, fault.KindOf(err))
		require.NotContains(t, err.Error(), value[:20], "no key is in an error")
		require.NotContains(t, err.Error(), "\n")
	}
	file := writeKeys(t, good)
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o644: false, 0o660: false, 0o604: false} {
		require.NoError(t, os.Chmod(file, mode))
		_, err := Load(t.Context(), file, nil)
		if ok {
			require.NoError(t, err, mode)
		} else {
			require.ErrorContains(t, err, fmt.Sprintf("its mode is %04o, so others can read or change it; chmod 600", mode))
		}
	}
	_, err := Load(t.Context(), "/no/such/keys", nil)
	require.EqualError(t, err, `read encryption keys /no/such/keys: no such file or directory; make one with "pawl codec new-key"`)
	keys, err := parseKeys([]byte(good))
	require.NoError(t, err)
	text, err := json.Marshal(keys[0])
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprint(keys), fmt.Sprintf("%+v %#v", keys[0], keys[0]), string(text)} {
		require.NotContains(t, shown, fmt.Sprintf("%d", keys[0].secret[:4]))
		require.NotContains(t, shown, value)
	}
	_, err = NewKey("a b")
	require.ErrorContains(t, err, `"a b" is no id`)
	require.Regexp(t, `^2026-11-28-[0-9a-f]{6}$`, NewKeyID(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)))
}

func FuzzParseKeys(f *testing.F) {
	line, err := NewKey("one")
	require.NoError(f, err)
	for _, seed := range []string{line, line + "\n# x\ntwo aws-kms:AAAA\n", "one base64:\x00", "", "\n\n \t", "one two three"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(keys) > 0 {
				t.Fatalf("%q: %v", err, keys)
			}
			return
		}
		seen := map[string]bool{}
		for _, k := range keys {
			if seen[k.ID] || !keyID.MatchString(k.ID) || (len(k.secret) == keySize) == (len(k.wrapped) > 0) {
				t.Fatalf("%v of %q", k, text)
			}
			seen[k.ID] = true
		}
	})
}

// unwrapper answers with what it has, or not at all.
type unwrapper map[string][]byte

func (u unwrapper) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if secret, ok := u[string(wrapped)]; ok {
		return secret, nil
	}
	return nil, errors.New("AWS refused kms:Decrypt: AccessDeniedException: not you")
}

func TestWrappedKeys(t *testing.T) {
	file := writeKeys(t, "one aws-kms:AAAA")
	_, err := Load(t.Context(), file, unwrapper{})
	require.EqualError(t, err, "unwrap encryption key one: AWS refused kms:Decrypt: AccessDeniedException: not you")
	require.Equal(t, fault.Unauthorized, fault.KindOf(err))
	_, err = Load(t.Context(), file, unwrapper{"\x00\x00\x00": []byte("short")})
	require.EqualError(t, err, "unwrap encryption key one: it has 5 bytes, wanted 32")
	c, err := Load(t.Context(), file, unwrapper{"\x00\x00\x00": bytes.Repeat([]byte{7}, keySize)})
	require.NoError(t, err)
	text, err := open1(c, seal(t, c))
	require.NoError(t, err)
	require.Equal(t, secret, text)
}

// TestServer asks as Temporal's UI does, from a browser's page, and as others would.
func TestServer(t *testing.T) {
	c := load(t, newKeys(t, "one")...)
	const ui = "https://temporal.example.org"
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{seal(t, c)}})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		access                 Access
		method, origin, header string
		code                   int
		allowed                string
	}{
		"the CLI":                       {Access{}, http.MethodPost, "", "", http.StatusOK, ""},
		"the UI":                        {Access{Origins: []string{ui}}, http.MethodPost, ui, "", http.StatusOK, ui},
		"the UI's browser asks whether": {Access{Origins: []string{ui}, Token: "t"}, http.MethodOptions, ui, "", http.StatusNoContent, ui},
		"another page":                  {Access{Origins: []string{ui}}, http.MethodPost, "https://evil.example", "", http.StatusForbidden, ""},
		"another page's browser asks":   {Access{Origins: []string{ui}}, http.MethodOptions, "https://evil.example", "", http.StatusForbidden, ""},
		"no page was named":             {Access{}, http.MethodPost, ui, "", http.StatusForbidden, ""},
		"without the token":             {Access{Origins: []string{ui}, Token: "t"}, http.MethodPost, ui, "", http.StatusUnauthorized, ui},
		"with another token":            {Access{Token: "t"}, http.MethodPost, "", "Bearer T", http.StatusUnauthorized, ""},
		"with the token":                {Access{Token: "t"}, http.MethodPost, "", "Bearer t", http.StatusOK, ""},
		"it only answers POST":          {Access{}, http.MethodGet, "", "", http.StatusNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/decode", bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.header != "" {
				r.Header.Set("Authorization", tc.header)
			}
			w := httptest.NewRecorder()
			c.Handler(tc.access).ServeHTTP(w, r)
			require.Equal(t, tc.code, w.Code, w.Body)
			require.Equal(t, tc.allowed, w.Header().Get("Access-Control-Allow-Origin"))
			if tc.code != http.StatusOK {
				require.NotContains(t, w.Body.String(), secret)
				return
			}
			var plain commonpb.Payloads
			require.NoError(t, protojson.Unmarshal(w.Body.Bytes(), &plain))
			require.Equal(t, `"`+secret+`"`, string(plain.Payloads[0].Data))
		})
	}
}
