package provision

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// script is a real program. Its arguments are "$1" and so on.
func script(text string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", text, "sh"}, args...)
}

func provider(c CommandConfig) *Provider { return NewCommand(c, "/") }

func TestAProgramIsAskedInJSONOnStdin(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	p := provider(CommandConfig{
		Add:    script(`echo booting; cat > "$1"; env > "$1.env"; echo done >&2; echo '{"id":"m-1","node":"n1","address":"10.0.0.9"}'; echo`, asked),
		Remove: script(`cat > "$1"`, asked),
		Begin:  script(`cat > "$1"; echo '{"size":3}'`, asked),
		End:    script(`cat > "$1"; echo restored`, asked),
		Check:  script(`cat > "$1"`, asked),
	})
	question := func() map[string]any {
		text, err := os.ReadFile(asked)
		require.NoError(t, err)
		require.NoError(t, os.Remove(asked))
		var q map[string]any
		require.NoError(t, json.Unmarshal(text, &q))
		require.Equal(t, "prod", q["cluster"])
		require.Equal(t, "workers", q["pool"])
		require.Equal(t, "v1.37.2", q["version"])
		require.Equal(t, "run-1", q["run"])
		return q
	}
	t.Setenv("TEMPORAL_API_KEY", "t3mporal")

	got, err := p.Add(t.Context(), replacement, slot, join)
	require.NoError(t, err)
	require.Equal(t, machine, got)
	q := question()
	require.Equal(t, "add", q["action"])
	require.Equal(t, replacement.Key(slot), q["key"])
	require.Equal(t, "a", q["zone"])
	require.Equal(t, map[string]any{"id": "old-1", "node": "w1", "address": "10.0.0.1", "zone": "a"}, q["old"])
	require.Equal(t, map[string]any{"endpoint": "api:6443", "token": token, "caCertHash": "sha256:00"}, q["join"])
	env, err := os.ReadFile(asked + ".env")
	require.NoError(t, err)
	for _, hidden := range []string{tokenHalf, "t3mporal"} {
		require.NotContains(t, string(env), hidden)
	}

	snapshot, err := p.Begin(t.Context(), replacement, []upgrade.Machine{slot.Old})
	require.NoError(t, err)
	require.JSONEq(t, `{"size":3}`, string(snapshot))
	require.Len(t, question()["machines"], 1)

	require.NoError(t, p.End(t.Context(), replacement, snapshot))
	q = question()
	require.Equal(t, map[string]any{"size": 3.0}, q["snapshot"])
	require.NotContains(t, q, "join")

	require.NoError(t, p.Remove(t.Context(), replacement, machine))
	q = question()
	require.Equal(t, "remove", q["action"])
	require.Equal(t, "m-1", q["machine"].(map[string]any)["id"])
	require.NotContains(t, q, "join")

	require.Empty(t, p.Check(t.Context(), replacement, nil))
	require.Equal(t, "check", question()["action"])

	require.NoError(t, p.Withdraw(t.Context(), replacement, machine), "nothing is to be done")
	require.NoFileExists(t, asked)
}

func TestHowAProgramEndsDecidesWhatHappensNext(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind fault.Kind
		says string
	}{
		"failed":            {`echo quota >&2; exit 1`, fault.CommandFailed, "add a machine to pool workers in place of w1: run sh: exit status 1: quota"},
		"not now":           {`echo throttled >&2; exit 75`, fault.Conflict, "exit status 75: throttled"},
		"a person's turn":   {`exit 78`, fault.PreflightFailed, "exit status 78"},
		"lost":              {`exit 69`, fault.VerificationFailed, "exit status 69"},
		"killed":            {`kill -9 $$`, fault.CommandFailed, "signal: killed"},
		"no machine":        {`exit 0`, fault.PreflightFailed, "it answers no machine"},
		"no JSON":           {`echo ready`, fault.PreflightFailed, "the last line of its output is no JSON: ready"},
		"token on stderr":   {`cat >&2; exit 1`, fault.CommandFailed, `"token":"[hidden]"`},
		"token on stdout":   {`echo "no $(cat)"`, fault.PreflightFailed, `"token":"[hidden]"`},
		"token, traced":     {`set -x; x=$(sed 's/.*"token":"\([^"]*\)".*/\1/'); : "${x#*.}"; false`, fault.CommandFailed, "[hidden]"},
		"token in answer":   {`sed 's/.*"token":"\([^"]*\)".*/{"id":"\1"}/'`, fault.PreflightFailed, "the join token is in its answer"},
		"much output":       {`yes | head -c 300000 >&2; echo the end >&2; exit 1`, fault.CommandFailed, "the end"},
		"stdin is not read": {`exec 0<&-; exit 3`, fault.CommandFailed, "exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := provider(CommandConfig{Add: script(c.text)}).Add(t.Context(), replacement, slot, join)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.kind, fault.KindOf(err))
			require.Less(t, len(err.Error()), 3*mostQuoted)
			noSecret(t, err)
		})
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	p := provider(CommandConfig{Add: []string{"no-such-program"}, Remove: []string{"./neither"}})
	_, err := p.Add(t.Context(), replacement, slot, join)
	require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
	require.ErrorContains(t, err, "it does not start")
	found := p.Check(t.Context(), replacement, nil)
	require.Len(t, found, 2)
	require.Contains(t, found[0].Message, `the program to add cannot be run: exec: "no-such-program"`)
	require.Contains(t, found[1].Message, `the program to remove cannot be run: exec: "/neither"`)
}

func TestACheckThatFailsIsAFinding(t *testing.T) {
	found := provider(CommandConfig{Add: script("true"), Remove: script("true"), Check: script("echo no quota >&2; exit 1")}).Check(t.Context(), replacement, nil)
	require.Len(t, found, 1)
	require.Equal(t, "workers", found[0].Target)
	require.Contains(t, found[0].Message, "no quota")
}

// until waits for what a process does.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	require.Eventually(t, true, 20*time.Second, 10*time.Millisecond, what)
}

// pids reads process numbers that a script wrote, one a line.
func pids(t *testing.T, file string) []int {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []int
	for line := range strings.Lines(string(text)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		require.NoError(t, err)
		all = append(all, n)
	}
	return all
}

// gone reports whether a process has ended, though perhaps nobody has taken note of it yet.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestKilledInTheMiddleAndAskedAgain(t *testing.T) {
	dir := t.TempDir()
	// What a machine is made of is written under its key before it is ready; the first call hangs there, with a child.
	add := script(`
key=$(sed 's/.*"key":"\([^"]*\)".*/\1/'); echo "$key" >> keys
if [ ! -e "$key" ]; then
  echo made > "$key"; echo $$ > pids; sleep 600 & echo $! >> pids; touch begun; wait
fi
printf '{"id":"%s"}\n' "$key"`)
	p := NewCommand(CommandConfig{Add: add}, dir)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Add(ctx, replacement, slot, join)
		ended <- err
	}()
	until(t, "it has begun", func() bool { _, err := os.Stat(filepath.Join(dir, "begun")); return err == nil })
	cancel()
	err := <-ended
	require.Equal(t, fault.OutcomeUnknown, fault.KindOf(err))
	for _, pid := range pids(t, filepath.Join(dir, "pids")) {
		require.True(t, gone(pid), "the whole group has ended when the call returns")
	}
	got, err := p.Add(t.Context(), replacement, slot, join)
	require.NoError(t, err)
	require.Equal(t, replacement.Key(slot), got.ID)
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat(got.ID+"\n", 2), string(keys), "the same key both times")
}

func TestATimeOutEndsWhatDoesNotListen(t *testing.T) {
	dir := t.TempDir()
	stubborn := script(`echo $$ > pids; sh -c 'trap "" TERM; echo $$ >> pids; while :; do sleep 0.1; done' & wait`)
	p := NewCommand(CommandConfig{Remove: stubborn, Timeout: upgrade.Duration(500 * time.Millisecond)}, dir)
	err := p.Remove(t.Context(), replacement, machine)
	require.ErrorContains(t, err, "remove a machine of pool workers, n1: not done after 500ms")
	require.ErrorContains(t, err, "raise the provider's timeout")
	require.Equal(t, fault.CommandFailed, fault.KindOf(err))
	for _, pid := range pids(t, filepath.Join(dir, "pids")) {
		require.True(t, gone(pid))
	}
}

func TestWhatAProgramLeavesBehindEndsWithIt(t *testing.T) {
	dir := t.TempDir()
	p := NewCommand(CommandConfig{Add: script(`sleep 600 & echo $! > pids; echo '{"id":"m-1"}'`)}, dir)
	got, err := p.Add(t.Context(), replacement, slot, join)
	require.NoError(t, err, "though its output is still open")
	require.Equal(t, "m-1", got.ID)
	require.True(t, gone(pids(t, filepath.Join(dir, "pids"))[0]))
}

func TestNothingIsStartedWhenTheContextHasEnded(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, NewCommand(CommandConfig{Remove: script("touch ran")}, dir).Remove(ctx, replacement, machine))
	require.NoFileExists(t, filepath.Join(dir, "ran"))
}
