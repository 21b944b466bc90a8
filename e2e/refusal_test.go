package e2e

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

// define makes a folder of definitions: the lab's own, and copies of it that are wrong in one thing each.
func (l *lab) define() {
	l.t.Helper()
	l.clusters = l.t.TempDir()
	own := filepath.Join(labHome(l.t), "run", "clusters")
	require.NoError(l.t, os.CopyFS(l.clusters, os.DirFS(own)))
	require.NoError(l.t, os.Chmod(l.file("id_ed25519"), 0o600))
	definition, err := os.ReadFile(l.file("lab.yaml"))
	require.NoError(l.t, err)
	variant := func(name string, pairs ...string) {
		pairs = append(pairs, "name: lab", "name: "+name)
		l.write(name+".yaml", strings.NewReplacer(pairs...).Replace(string(definition)))
	}
	variant("wrong-key", "./id_ed25519", "./other_key")
	l.keygen("other_key")
	variant("changed-host-key", "./known_hosts", "./other_hosts")
	l.keygen("host_key")
	public, err := os.ReadFile(l.file("host_key.pub"))
	require.NoError(l.t, err)
	known, err := os.ReadFile(l.file("known_hosts"))
	require.NoError(l.t, err)
	var other []string
	for line := range strings.Lines(string(known)) {
		host, _, _ := strings.Cut(line, " ")
		if strings.HasPrefix(host, "10.77.0.21") { // w1's key is another one now
			line = host + " " + string(public)
		}
		other = append(other, line)
	}
	l.write("other_hosts", strings.Join(other, ""))
	variant("unreachable", "  user: root", "  user: root\n  hosts: {w2: {address: 10.77.0.99}}")
	variant("no-kubeconfig", "./admin.conf", "./missing.conf")
	variant("no-api", "./admin.conf", "./no-api.conf")
	variant("wrong-user", "./admin.conf", "./wrong-user.conf")
	admin, err := os.ReadFile(l.file("admin.conf"))
	require.NoError(l.t, err)
	l.write("no-api.conf", strings.ReplaceAll(string(admin), "10.77.0.1:6443", "10.77.0.1:6444"))
	var anonymous []string
	for line := range strings.Lines(string(admin)) {
		if !strings.Contains(line, "client-certificate-data") && !strings.Contains(line, "client-key-data") {
			anonymous = append(anonymous, line)
		}
	}
	l.write("wrong-user.conf", strings.ReplaceAll(strings.Join(anonymous, "")+"    token: nobody\n", "\r", ""))
	l.write("misspelt.yaml", strings.Replace(string(definition), "name: lab", "name: misspelt\nmaxUnavailable: 1", 1))
}

func (l *lab) file(name string) string { return filepath.Join(l.clusters, name) }

func (l *lab) write(name, text string) {
	l.t.Helper()
	require.NoError(l.t, os.WriteFile(l.file(name), []byte(text), 0o600))
}

// refuseBadInput checks that whatever is wrong is said in one line, with the right exit code, and that nothing is touched.
func (l *lab) refuseBadInput() {
	l.t.Helper()
	before := l.untouched()
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"nowhere", "--to", to}, 2, []string{"nowhere", "it knows: ", "lab"}},
		{[]string{"lab", "--to", "newest"}, 2, []string{`"newest" is not a Kubernetes version, wanted one like v1.37.2`}},
		{[]string{"lab"}, 2, []string{"to"}},
		{[]string{"lab", "--to", "v1.35.4"}, 10, []string{"v1.36.3 to v1.35.4 is a downgrade"}},
		{[]string{"lab", "--to", to}, 10, []string{"etcd is 3.6.8", "etcd wants every member at 3.6.11 or newer", "or waive etcd-version"}},
		{[]string{"lab", "--to", "v1.38.0"}, 10, []string{"read the package repository", "/v1.38: apt-get update failed", "look whether the repository has that minor"}},
		{[]string{"lab", "--to", "v1.37.99"}, 10, []string{"has no kubeadm v1.37.99", "its newest is v1.37.2"}},
		{[]string{"wrong-key", "--to", to}, 10, []string{"root@10.77.0.21"}},
		{[]string{"changed-host-key", "--to", to}, 10, []string{"w1", "the host's key is now", "other_hosts"}},
		{[]string{"unreachable", "--to", to}, 10, []string{"w2", "10.77.0.99"}},
		{[]string{"no-kubeconfig", "--to", to}, 2, []string{"missing.conf"}},
		{[]string{"no-api", "--to", to}, 10, []string{"10.77.0.1:6444"}},
		{[]string{"wrong-user", "--to", to}, 10, []string{"credentials"}},
		{[]string{"misspelt", "--to", to}, 2, []string{"misspelt.yaml", `unknown field "maxUnavailable"`}},
	} {
		for _, command := range []string{"plan", "start"} {
			out, err := l.pawl(append([]string{command}, c.args...)...)
			require.Equal(l.t, c.code, exitCode(err), "pawl %s %v: %s", command, c.args, out)
			for _, want := range c.want {
				require.Contains(l.t, out, want, "pawl %s %v", command, c.args)
			}
			require.NotContains(l.t, out, "PRIVATE KEY")
			if c.code == 2 {
				require.Len(l.t, strings.Split(strings.TrimSpace(out), "\n"), 1, "one line: %s", out)
			}
			if command == "plan" {
				l.t.Logf("pawl %s %s (exit %d)\n%s", command, strings.Join(c.args, " "), c.code, out)
			}
		}
	}
	require.Equal(l.t, before, l.untouched())
}

// untouched is what an upgrade would change first.
func (l *lab) untouched() string {
	l.t.Helper()
	return l.ssh("w1", "cat", "/etc/apt/sources.list.d/kubernetes.list") +
		l.ssh("w1", "ls", "/var/cache/apt/archives", "/var/lib") +
		l.ssh("cp1", "ls", "/var/lib", "/etc/kubernetes") +
		l.ssh("cp1", "kubectl", "get", "nodes", "--no-headers", "-o", "custom-columns=NAME:.metadata.name,CORDONED:.spec.unschedulable,VERSION:.status.nodeInfo.kubeletVersion")
}
