package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exposure is what `systemd-analyze security` may find, of 100: all that is left is the network, and users that are no root.
const exposure = "20"

func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	switch {
	case err == nil:
	case os.Getenv("PAWL_TEST_REQUIRE_ALL") != "":
		t.Fatal(err)
	default:
		t.Skipf("SKIPPED, UNITS NOT VERIFIED: %v", err)
	}
	dir := t.TempDir()
	for _, unit := range []string{"pawl-worker.service", "pawl-worker@.service"} {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		// The program that they start is not installed here.
		there := strings.ReplaceAll(string(text), "/usr/local/bin/pawl-worker", "/bin/true")
		require.NoError(t, os.WriteFile(filepath.Join(dir, unit), []byte(there), 0o644))
	}
	for _, args := range [][]string{
		{"verify", filepath.Join(dir, "pawl-worker.service"), filepath.Join(dir, "pawl-worker@emea.service")},
		{"security", "--offline=yes", "--threshold=" + exposure, filepath.Join(dir, "pawl-worker.service")},
	} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		if args[0] == "verify" {
			require.Empty(t, string(out))
		}
	}
}

// TestTemplate: the template is the unit, but for what its queue makes different.
func TestTemplate(t *testing.T) {
	lines := func(file string) []string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var all []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") {
				all = append(all, line)
			}
		}
		return all
	}
	unit := strings.Join(lines("pawl-worker.service"), "")
	var own []string
	for _, line := range lines("pawl-worker@.service") {
		if !strings.Contains(unit, line) {
			own = append(own, strings.TrimSpace(line))
		}
	}
	require.Equal(t, []string{
		"Description=pawl worker for task queue %i", "ExecStart=/usr/local/bin/pawl-worker --clusters /etc/pawl/%i",
		"Environment=PAWL_TASK_QUEUE=%i", "EnvironmentFile=-/etc/pawl/%i.env", "StateDirectory=pawl/%i", "WorkingDirectory=/var/lib/pawl/%i",
	}, own)
	require.Len(t, lines("pawl-worker@.service"), len(lines("pawl-worker.service"))+2)
}
