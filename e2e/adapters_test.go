package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
)

// testAdapters runs the adapters' own tests against the lab's API and its last worker. They skip themselves elsewhere;
// here none may be skipped.
func (l *lab) testAdapters() {
	l.t.Helper()
	for _, c := range []struct{ pkg, tests, ran string }{
		{"kube", "^TestCluster$/^lab$", "^ *--- PASS: TestCluster/lab "},
		{"host", "^TestMachine/^lab$", "^ *--- PASS: TestMachine[^/]*/lab "},
	} {
		binary := filepath.Join(l.t.TempDir(), c.pkg+".test")
		out, err := exec.Command("go", "test", "-c", "-o", binary, "../internal/"+c.pkg).CombinedOutput()
		require.NoError(l.t, err, string(out))
		cmd := l.inLab(binary, "-test.v", "-test.run="+c.tests)
		cmd.Dir = filepath.Join("..", "internal", c.pkg)
		cmd.Env = append(os.Environ(), "PAWL_TEST_KUBECONFIG="+l.file("admin.conf"), "PAWL_LAB_CLUSTERS="+l.clusters,
			"PAWL_LAB_CLUSTER=lab", "PAWL_LAB_NODE=w2", "PAWL_LAB_ADDRESS=10.77.0.22", "PAWL_LAB_TARGET="+to)
		out, err = cmd.CombinedOutput()
		require.NoError(l.t, err, string(out))
		require.NotContains(l.t, string(out), "SKIP", "every test of the %s adapter has what it needs here", c.pkg)
		require.Regexp(l.t, "(?m)"+c.ran, string(out), "the %s adapter was tested here", c.pkg)
		l.t.Log(strings.Join(regexp.MustCompile(`(?m)^ *--- .*$`).FindAllString(string(out), -1), "\n"))
	}
}
