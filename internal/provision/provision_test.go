package provision

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var _ activities.NodeProvider = (*Provider)(nil)

const (
	token     = "abcdef.0123456789abcdef"
	tokenHalf = "0123456789abcdef"
)

var (
	replacement = upgrade.Replacement{Cluster: "prod", Pool: "workers", Version: upgrade.MustVersion("v1.37.2"), Run: "run-1", Surge: 1}
	slot        = upgrade.Slot{Old: upgrade.Machine{ID: "old-1", Node: "w1", Address: "10.0.0.1", Zone: "a"}}
	join        = upgrade.Join{Endpoint: "api:6443", Token: token, CACertHash: "sha256:00"}
	machine     = upgrade.Machine{ID: "m-1", Node: "n1", Address: "10.0.0.9", Zone: "a"}
)

// noSecret fails where an error shows the token, or is more than a line.
func noSecret(t *testing.T, err error) {
	t.Helper()
	require.NotContains(t, err.Error(), tokenHalf)
	require.NotContains(t, err.Error(), "\n")
}

func TestAnAnswerIsCheckedBeforeItIsBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   upgrade.Machine
		wrong  string
	}{
		"whole":            {`{"id":"m-1","node":"n1","address":"10.0.0.9","zone":"a"}`, machine, ""},
		"only its id":      {`{"id":"m-1"}`, upgrade.Machine{ID: "m-1", Zone: "a"}, ""},
		"more than wanted": {`{"id":"m-1","state":"running"}`, upgrade.Machine{ID: "m-1", Zone: "a"}, ""},
		"IPv6":             {`{"id":"m-1","address":"fd00::9"}`, upgrade.Machine{ID: "m-1", Address: "fd00::9", Zone: "a"}, ""},
		"nothing":          {``, upgrade.Machine{}, "it answers no machine, wanted JSON like"},
		"no id":            {`{"node":"n1"}`, upgrade.Machine{}, `the machine has the id "", wanted one word`},
		"an id of lines":   {`{"id":"a\nb"}`, upgrade.Machine{}, `the machine has the id "a\nb", wanted one word`},
		"no node's name":   {`{"id":"m-1","node":"N 1"}`, upgrade.Machine{}, `machine m-1: "N 1" is no node's name`},
		"no address":       {`{"id":"m-1","address":"n1.example"}`, upgrade.Machine{}, `machine m-1: "n1.example" is no IP address`},
		"elsewhere":        {`{"id":"m-1","zone":"b"}`, upgrade.Machine{}, `machine m-1 is in zone "b", wanted "a" as the old one`},
		"a list":           {`[{"id":"m-1"}]`, upgrade.Machine{}, `its answer is no machine: [{"id":"m-1"}]`},
		"the token":        {`{"id":"m-1","node":"` + token + `"}`, upgrade.Machine{}, `the join token is in its answer: {"id":"m-1","node":"[hidden]"}`},
		"half the token":   {`{"id":"` + tokenHalf + `"}`, upgrade.Machine{}, `the join token is in its answer: {"id":"[hidden]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readMachine(json.RawMessage(c.answer), "a", secrets(request{Join: &join}))
			if c.wrong == "" {
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				return
			}
			require.ErrorContains(t, err, c.wrong)
			require.NotContains(t, err.Error(), tokenHalf)
		})
	}
}

func TestSecretsAreHiddenBeforeATextIsCut(t *testing.T) {
	text := token + strings.Repeat("x", mostQuoted-10)
	require.NotContains(t, short(scrub(text, secrets(request{Join: &join}))), "cdef")
}

func TestKeysTellWhatIsDoneApart(t *testing.T) {
	other := replacement
	other.Run = "run-2"
	keys := map[string]bool{}
	all := []string{
		keyOf(actionBegin, replacement), keyOf(actionEnd, replacement), keyOf(actionBegin, other),
		keyOf(actionRemove, replacement, "m-1", "n1", ""), keyOf(actionRemove, replacement, "m-2", "n1", ""),
		keyOf(actionWithdraw, replacement, "m-1", "n1", ""), keyOf(actionRemove, replacement, "", "m-1", "n1"),
	}
	for _, k := range all {
		require.LessOrEqual(t, len(k), 64)
		keys[k] = true
	}
	require.Len(t, keys, len(all))
}

func TestSettings(t *testing.T) {
	sh := []string{"sh", "-c", "true"}
	for name, c := range map[string]struct {
		settings interface{ Validate() error }
		wrong    string
	}{
		"commands":            {CommandConfig{Add: sh, Remove: sh}, ""},
		"no add":              {CommandConfig{Remove: sh}, ".add: missing"},
		"no remove":           {CommandConfig{Add: sh}, ".remove: missing"},
		"an empty program":    {CommandConfig{Add: sh, Remove: sh, End: []string{""}}, ".end: wanted a program"},
		"a negative time-out": {CommandConfig{Add: sh, Remove: sh, Timeout: -1}, ".timeout: -1ns, wanted more than none"},
		"webhook":             {WebhookConfig{URL: "http://x", Also: []string{"check", "end"}}, ""},
		"no URL":              {WebhookConfig{}, ": wanted one of url, urlFile and urlEnv"},
		"two URLs":            {WebhookConfig{URL: "http://x", URLEnv: "X"}, ": wanted one of url, urlFile and urlEnv"},
		"no such action":      {WebhookConfig{URL: "http://x", Also: []string{"add"}}, `.also[0]: "add", wanted some of`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.settings.Validate()
			if c.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.wrong)
		})
	}
}

func TestFaultsNameWhatWasWanted(t *testing.T) {
	q := request{Action: actionRemove, Pool: "workers", Machine: &upgrade.Machine{ID: "m-1"}}
	err := q.fault(fault.Conflict, errNotNow{}, "")
	require.EqualError(t, err, "remove a machine of pool workers, m-1: not now")
	require.Equal(t, fault.Conflict, fault.KindOf(err))
}

type errNotNow struct{}

func (errNotNow) Error() string { return "not now" }
