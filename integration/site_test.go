package integration

import (
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/supervise"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// site is a simulated cluster, a Temporal of its own, and workers that the test starts and ends.
type site struct {
	*stage
	clusters string // definitions, with all that they name
	temporal client.Client
}

// newSite starts Temporal and makes a cluster of three nodes. No worker runs.
func newSite(t *testing.T, name, settings string) *site {
	t.Helper()
	simtest.Programs(t, controlplane.Program, "pawl", "pawl-worker", "pawl-temporal")
	address, err := endpoint.FreeAddress()
	require.NoError(t, err)
	s := &site{clusters: t.TempDir()}
	_, port, _ := net.SplitHostPort(address)
	s.stage = &stage{t: t, name: name, dev: &dev{address: address}}
	s.program("pawl-temporal", nil, "server", "start-dev", "--db-filename", filepath.Join(t.TempDir(), "temporal.db"), "--port", port, "--headless", "--log-level", "error")
	require.Eventually(t, func() bool {
		s.temporal, err = client.Dial(client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	t.Cleanup(s.temporal.Close)
	s.Bed, err = bed.Start(t.Context(), bed.Options{
		ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137},
		Name: name, Dir: t.TempDir(), Clusters: s.clusters, Definition: settings, Pace: pace, Say: func(line string) { t.Logf("%s %s", name, line) },
	})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// program runs a program until the returned function or the test's end ends it.
func (s *site) program(path string, env []string, args ...string) (end func()) {
	s.t.Helper()
	name := filepath.Join(s.t.TempDir(), path+".log")
	out, err := os.Create(name)
	require.NoError(s.t, err)
	defer out.Close() // the child has its own
	cmd := exec.Command(path, args...)
	cmd.Env = append(append(os.Environ(), "TEMPORAL_ADDRESS="+s.dev.address, "TEMPORAL_NAMESPACE=default", "TEMPORAL_CONFIG_FILE="+os.DevNull), env...)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(s.t, supervise.NewStarter().Start(cmd))
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		}
	}
	s.t.Cleanup(func() {
		end()
		if said, _ := os.ReadFile(name); s.t.Failed() {
			s.t.Logf("%s said:\n%s", path, said)
		}
	})
	return end
}

// worker starts a pawl-worker and returns when it polls.
func (s *site) worker(queue string, env []string, args ...string) (end func()) {
	s.t.Helper()
	kind := enumspb.TASK_QUEUE_TYPE_ACTIVITY
	before := s.polls(queue, kind)
	end = s.program("pawl-worker", env, append([]string{"--task-queue", queue}, args...)...)
	require.Eventually(s.t, func() bool { return s.polls(queue, kind) > before }, time.Minute, 50*time.Millisecond, "a worker polls %s", queue)
	return end
}

// polls is how many workers have polled a task queue.
func (s *site) polls(queue string, kind enumspb.TaskQueueType) int {
	s.t.Helper()
	d, err := s.temporal.DescribeTaskQueue(s.t.Context(), queue, kind)
	require.NoError(s.t, err)
	return len(d.GetPollers())
}

// promote makes a build of a deployment the current one. The server knows it once its workers have polled.
func (s *site) promote(deployment, build string) {
	s.t.Helper()
	handle := s.temporal.WorkerDeploymentClient().GetHandle(deployment)
	require.Eventually(s.t, func() bool {
		_, err := handle.SetCurrentVersion(s.t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
		return err == nil
	}, time.Minute, 200*time.Millisecond)
}

// history is a workflow's, as Temporal has it.
func (s *site) history(id string) (events []*historypb.HistoryEvent) {
	s.t.Helper()
	all := s.temporal.GetWorkflowHistory(s.t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for all.HasNext() {
		e, err := all.Next()
		require.NoError(s.t, err)
		events = append(events, e)
	}
	require.NotEmpty(s.t, events)
	return events
}
