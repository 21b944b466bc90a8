package upgrade

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEtcdThatIsTooOldForTheWay(t *testing.T) {
	for _, c := range []struct{ etcd, from, to, want string }{
		{"3.6.8-0", "v1.36.3", "v1.37.2", "etcd is 3.6.8; before 3.7.0, which kubeadm of v1.37 brings, etcd wants every member at 3.6.11 or newer"},
		{"3.6.11-0", "v1.36.3", "v1.37.2", ""},
		{"3.6.8-0", "v1.35.4", "v1.36.3", ""}, // not on the way
		{"3.6.8-0", "v1.37.0", "v1.37.2", ""}, // behind it already
		{"3.5.24-0", "v1.33.13", "v1.34.4", "etcd is 3.5.24; before 3.6.0, which kubeadm of v1.34 brings, etcd wants every member at 3.5.32 or newer"},
		{"", "v1.36.3", "v1.37.2", ""},       // external, or not seen
		{"latest", "v1.36.3", "v1.37.2", ""}, // nobody can tell
	} {
		n := nodeAt("cp1", true, MustVersion(c.from))
		n.EtcdImage = c.etcd
		got := ""
		for _, f := range checkEtcd(Plan{Current: MustVersion(c.from), Target: MustVersion(c.to), Nodes: []Node{n}}) {
			got = f.Message
			require.Equal(t, SeverityError, f.Severity)
			require.Contains(t, f.Source, "https://etcd.io/docs/")
		}
		require.Equal(t, c.want, got, "%s to %s", c.from, c.to)
	}
}
