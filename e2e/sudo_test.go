package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// sudoUser is who pawl is on the nodes where it is not root.
const sudoUser = "pawl"

// asSudoUser makes pawl work as a fresh user of every node, who may run as root what is in the file that `pawl sudoers`
// writes with these arguments, and nothing else.
func (l *lab) asSudoUser(nodes []string, args ...string) {
	l.t.Helper()
	file, err := exec.Command(filepath.Join(l.bin, "pawl"), append([]string{"sudoers", "--user", sudoUser}, args...)...).Output()
	require.NoError(l.t, err, stderr(err))
	for _, node := range nodes {
		l.script(node, "set -e\nuseradd --create-home --shell /bin/sh "+sudoUser+"\ninstall -d -m 700 -o "+sudoUser+" -g "+sudoUser+" ~"+sudoUser+"/.ssh\n"+
			"{ printf 'restrict '; cat /root/.ssh/authorized_keys; } > ~"+sudoUser+"/.ssh/authorized_keys\n"+
			"cat > /etc/sudoers.d/pawl <<'END'\n"+string(file)+"END\nchmod 440 /etc/sudoers.d/pawl\nvisudo --check --quiet")
	}
	definition, err := os.ReadFile(l.file("lab.yaml"))
	require.NoError(l.t, err)
	l.write("lab.yaml", strings.Replace(string(definition), "user: root", "user: "+sudoUser, 1))
}

// requireFileIsMissed requires that a plan says so where a node has no such file, before anything is touched.
func (l *lab) requireFileIsMissed(node string) {
	l.t.Helper()
	l.ssh(node, "mv", "/etc/sudoers.d/pawl", "/root/pawl.sudoers")
	out, err := l.pawl("plan", "lab", "--to", to)
	require.Equal(l.t, 10, exitCode(err), out)
	require.Contains(l.t, out, node+": work as root on "+node+": sudo refuses what this pawl runs there")
	l.ssh(node, "mv", "/root/pawl.sudoers", "/etc/sudoers.d/pawl")
}

// requireNoRefusal requires that sudo has refused nothing to pawl's user since, and has let a good deal through.
func (l *lab) requireNoRefusal(nodes []string, since time.Time) {
	l.t.Helper()
	for _, node := range nodes {
		log := l.ssh(node, "journalctl", "--no-pager", "--output=cat", fmt.Sprintf("--since=@%d", since.Unix()), "_COMM=sudo")
		ran := 0
		for line := range strings.Lines(log) {
			if !strings.HasPrefix(strings.TrimSpace(line), sudoUser+" :") {
				continue
			}
			require.NotContains(l.t, line, "command not allowed", "on %s", node)
			require.NotContains(l.t, line, "a password is required", "on %s", node)
			ran++
		}
		require.Greater(l.t, ran, 10, "commands by sudo on %s", node)
		l.t.Logf("%s ran %d commands by sudo on %s, none was refused", sudoUser, ran, node)
	}
}

// setting is a value of the lab's definition.
func (l *lab) setting(key string) string {
	l.t.Helper()
	definition, err := os.ReadFile(l.file("lab.yaml"))
	require.NoError(l.t, err)
	for line := range strings.Lines(string(definition)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+": "); ok {
			return value
		}
	}
	require.Fail(l.t, "lab.yaml has no "+key)
	return ""
}

// script runs lines of shell on a node as root.
func (l *lab) script(node, lines string) {
	l.t.Helper()
	cmd := exec.Command(filepath.Join(l.bin, "pawl-lab"), "ssh", node, "sh")
	cmd.Stdin = strings.NewReader(lines)
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, "%s: %s", node, out)
}
