package compose

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithEnv(env))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

// TestCompose reads the file as `docker compose config` does. No engine is there to run it.
func TestCompose(t *testing.T) {
	p, err := load(t, "PAWL_IMAGE=registry.example.com/ops/pawl:v1.2.3")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"postgresql", "schema", "temporal", "namespace", "ui", "worker-1", "worker-2"}, p.ServiceNames())
	for name, s := range p.Services {
		require.False(t, s.Privileged, name)
		require.Contains(t, s.CapDrop, "ALL", name)
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true", name)
		require.NotEmpty(t, s.Restart, name)
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s: nobody else reaches it", name)
		}
		for key, value := range s.Environment {
			if value != nil && regexp.MustCompile("(?i)passw|pwd|key$").MatchString(key) {
				require.True(t, strings.HasPrefix(*value, "/run/secrets/"), "%s: %s is in a file", name, key)
			}
		}
	}
	for _, name := range []string{"worker-1", "worker-2"} {
		w := p.Services[name]
		require.Equal(t, "65532:65532", w.User)
		require.True(t, w.ReadOnly)
		require.Equal(t, "registry.example.com/ops/pawl:v1.2.3", w.Image)
	}
	_, err = load(t)
	require.ErrorContains(t, err, "set PAWL_IMAGE")
}

// TestVersions: the images are of the server and UI that pawl is built and tested with.
func TestVersions(t *testing.T) {
	mod, err := os.ReadFile("../../temporal/go.mod")
	require.NoError(t, err)
	p, err := load(t, "PAWL_IMAGE=pawl:test")
	require.NoError(t, err)
	for service, want := range map[string][2]string{
		"temporal": {"temporalio/server", "go.temporal.io/server"}, "schema": {"temporalio/admin-tools", "go.temporal.io/server"},
		"namespace": {"temporalio/admin-tools", "go.temporal.io/server"}, "ui": {"temporalio/ui", "github.com/temporalio/ui-server/v2"},
	} {
		version := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(want[1]) + ` v(\S+)`).FindStringSubmatch(string(mod))
		require.NotNil(t, version, want[1])
		require.Equal(t, want[0]+":"+version[1], p.Services[service].Image)
	}
}

func TestScripts(t *testing.T) {
	for _, script := range []string{"schema.sh", "namespace.sh"} {
		out, err := exec.Command("sh", "-n", script).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}
