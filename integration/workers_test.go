package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// TestSites: the worker of the workflows has the cluster's definition and none of the files that it names; what touches the
// cluster is done by a worker at its site, and while there is none, people are told which task queue lacks one.
func TestSites(t *testing.T) {
	t.Parallel()
	s := newSite(t, "far", "taskQueue: site-b\n")
	central := t.TempDir()
	definition, err := os.ReadFile(filepath.Join(s.clusters, "far.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(central, "far.yaml"), definition, 0o600))
	s.worker(workflows.TaskQueue, nil, "--clusters", central, "--deployment", "central", "--build-id", "one")
	s.promote("central", "one") // the site's own is not versioned

	for _, command := range []string{"plan", "start"} {
		out, code := s.pawl(s.wanted(command)...)
		require.Equal(t, 13, code, out)
		require.Equal(t, "pawl: plan far: no pawl-worker is polling task queue site-b of namespace default at "+s.dev.address+
			"; start one beside the cluster: pawl-worker --task-queue site-b\n", out)
	}
	_, err = s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: workflows.ClusterUpgradeID("far"), TaskQueue: workflows.TaskQueue},
		workflows.ClusterUpgradeName, workflows.ClusterUpgradeInput{Cluster: "far", TargetVersion: to, Waive: []string{upgrade.EtcdVersion}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		out, _ := s.pawl("status", "far")
		return strings.Contains(out, "for a pawl-worker that polls task queue site-b")
	}, time.Minute, time.Second)

	s.worker("site-b", []string{"PAWL_TASK_QUEUE=ignored", "PAWL_CLUSTERS=" + s.clusters})
	s.watch(0)
	s.requireUpgraded()
	ran := 0
	for _, id := range []string{workflows.ClusterUpgradeID("far"), workflows.NodeUpgradeID("far", "cp1"), workflows.NodeUpgradeID("far", "w1"), workflows.NodeUpgradeID("far", "w2")} {
		for _, e := range s.history(id) {
			if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
				want := "site-b"
				if a.GetActivityType().GetName() == "LocateCluster" {
					want = workflows.TaskQueue
				}
				require.Equal(t, want, a.GetTaskQueue().GetName(), a.GetActivityId())
				ran++
			}
		}
	}
	require.Greater(t, ran, 15)
}

// TestWorkerVersioning: with versioned workers and no current version nothing runs, and people are told so. An upgrade that
// is under way goes on with the next build when that becomes the current one, or, if it is pinned, with its own.
func TestWorkerVersioning(t *testing.T) {
	t.Parallel()
	for behavior, ranBy := range map[string][]string{"auto-upgrade": {"one", "two"}, "pinned": {"one"}} {
		t.Run(behavior, func(t *testing.T) {
			t.Parallel()
			name := "rollout-" + behavior
			s := newSite(t, name, "")
			build := func(id string) (end func()) {
				return s.worker(workflows.TaskQueue, nil, "--clusters", s.clusters, "--deployment", "pawl", "--build-id", id, "--versioning", behavior)
			}
			endFirst := build("one")
			out, code := s.pawl(s.wanted("plan")...)
			require.Equal(t, 13, code, out)
			require.Contains(t, out, "plan "+name+": the pawl-workers that poll task queue pawl belong to deployment pawl, of which no version is the current one; "+
				"temporal worker deployment set-current-version --namespace default --deployment-name pawl --build-id one")
			s.promote("pawl", "one")
			out, code = s.pawl(append(s.wanted("start"), "--approve", "workers")...)
			require.Equal(t, 0, code, out)
			s.held("2 workers are drained")

			build("two")
			s.promote("pawl", "two")
			if len(ranBy) > 1 {
				endFirst()
			}
			out, code = s.pawl("approve", name, "--reason", "go")
			require.Equal(t, 0, code, out)
			s.watch(0)
			s.requireUpgraded()
			require.Equal(t, ranBy, buildsOf(s.history(workflows.ClusterUpgradeID(name))))
			require.Equal(t, ranBy[len(ranBy)-1:], buildsOf(s.history(workflows.NodeUpgradeID(name, "w2"))), "what begins in an upgrade goes where it is")
		})
	}
}

// buildsOf are the builds that have run a workflow, one behind the other.
func buildsOf(events []*historypb.HistoryEvent) []string {
	var builds []string
	for _, e := range events {
		if done := e.GetWorkflowTaskCompletedEventAttributes(); done != nil {
			if id := done.GetDeploymentVersion().GetBuildId(); len(builds) == 0 || builds[len(builds)-1] != id {
				builds = append(builds, id)
			}
		}
	}
	return builds
}

// TestEncryption: Temporal has nothing of an upgrade but ids and search attributes; the CLI can read it, and Temporal's UI by
// the codec server; what was there before stays readable.
func TestEncryption(t *testing.T) {
	t.Parallel()
	s := newSite(t, "secretive", `hooks:
  - {name: early, when: beforeHop, command: [sh, -c, 'echo "no entry at 203.0.113.7"; exit 3']}
  - {name: late, when: afterUpgrade, command: [sh, -c, 'echo "nobody home at 203.0.113.8"; exit 3']}
`)
	endPlain := s.worker(workflows.TaskQueue, nil, "--clusters", s.clusters)
	s.start()
	s.held("no entry at 203.0.113.7") // in the plain
	endPlain()

	keys := filepath.Join(t.TempDir(), "keys")
	line, code := s.pawl("codec", "new-key", "--id", "first")
	require.Equal(t, 0, code, line)
	require.NoError(t, os.WriteFile(keys, []byte(line), 0o600))
	s.env = []string{"PAWL_ENCRYPTION_KEYS=" + keys}
	s.worker(workflows.TaskQueue, s.env, "--clusters", s.clusters)
	for range 2 {
		out, code := s.pawl("pass", "secretive", "--reason", "said in confidence")
		require.Equal(t, 0, code, out)
		if _, code = s.pawl("watch", "secretive"); code == 0 {
			break
		}
		s.held("nobody home at 203.0.113.8")
	}
	s.requireUpgraded()
	out, code := s.pawl("status", "secretive")
	require.Equal(t, 0, code, out)
	out, code = s.pawl("report", "secretive")
	require.Contains(t, out, "said in confidence", "exit code %d", code)

	whole := s.history(workflows.ClusterUpgradeID("secretive"))
	require.Contains(t, readable(t, whole), "no entry at 203.0.113.7", "it began in the plain")
	require.NotContains(t, readable(t, whole), "nobody home")
	require.NotContains(t, readable(t, whole), "said in confidence")
	ofNode := s.history(workflows.NodeUpgradeID("secretive", "w1"))
	text := readable(t, ofNode)
	t.Logf("what can be read of a node's part: %s", text)
	for _, hidden := range []string{"198.18.", "drainTimeout", "settings", "owner", "kubelet v1", "uncordoned"} {
		require.NotContains(t, text, hidden)
	}

	s.env = nil
	out, code = s.pawl("status", "secretive")
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "what Temporal has of it is encrypted; name the file of keys in PAWL_ENCRYPTION_KEYS")

	address, err := endpoint.FreeAddress()
	require.NoError(t, err)
	const ui = "http://127.0.0.1:8233"
	s.program("pawl", nil, "codec", "serve", "--encryption-keys", keys, "--listen", address, "--origin", ui)
	input := ofNode[0].GetWorkflowExecutionStartedEventAttributes().GetInput()
	body, err := protojson.Marshal(input)
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/decode", bytes.NewReader(body))
		require.NoError(c, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", ui)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(c, err)
		defer answer.Body.Close()
		require.Equal(c, http.StatusOK, answer.StatusCode)
		require.Equal(c, ui, answer.Header.Get("Access-Control-Allow-Origin"))
		text, err := io.ReadAll(answer.Body)
		require.NoError(c, err)
		var plain commonpb.Payloads
		require.NoError(c, protojson.Unmarshal(text, &plain))
		require.Contains(c, string(plain.GetPayloads()[0].GetData()), `"node":"w1"`)
	}, 30*time.Second, 100*time.Millisecond)
}

// readable is all that somebody can read who has these events and no key: their own fields, and what payloads are not
// encrypted.
func readable(t *testing.T, events []*historypb.HistoryEvent) string {
	t.Helper()
	var text strings.Builder
	for _, e := range events {
		fields, err := protojson.Marshal(e)
		require.NoError(t, err)
		text.Write(fields)
		err = proxy.VisitPayloads(t.Context(), e, proxy.VisitPayloadsOptions{
			Visitor: func(c *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
				for _, p := range payloads {
					if string(p.GetMetadata()["encoding"]) != "binary/encrypted" {
						fmt.Fprintf(&text, "\n%s of %T: %s\n", e.GetEventType(), c.Parent, p.GetData())
					}
				}
				return payloads, nil
			},
		})
		require.NoError(t, err)
	}
	return text.String()
}
