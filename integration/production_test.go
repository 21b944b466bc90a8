package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// production is whether tests run over PostgreSQL and Temporal's own server: make production.
func production() bool { return os.Getenv("PAWL_PRODUCTION") != "" }

// TestProduction: an upgrade while everything that pawl runs on is ended and started again, each in the middle of a step:
// either worker, PostgreSQL and Temporal, in good order and in an instant; then workers of a later build take over.
func TestProduction(t *testing.T) {
	t.Parallel()
	s := newInstalled(t, "production", bed.Options{ControlPlanes: 3, Workers: 10, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.1}, "workers: {maxUnavailable: 2}\n")
	for _, node := range s.names[3:] {
		s.Slow(node, 3) // workers' steps are short beside those of control planes
	}
	s.deploy("pair", 2, corev1.NodeSelectorOpIn)
	require.NoError(t, s.AwaitPods(t.Context()))
	moves, budgets, pair := s.watchMoves(), s.guardBudgets(), s.probe("pair")
	s.start()
	watch := s.command("watch", s.name)
	require.NoError(t, watch.Start())

	killed := s.struck("kill -9 of the worker", upgrade.UpgradeControlPlane, nil, s.killWorker)
	s.struck("PostgreSQL stopped", upgrade.UpgradeControlPlane, nil, func(inHand) { s.restartPostgres(fastStop) })
	s.struck("PostgreSQL crashed", upgrade.UpgradeControlPlane, nil, func(inHand) { s.restartPostgres(immediateStop) })
	s.struck("Temporal stopped", upgrade.InstallKubelet, nil, func(inHand) { s.restartTemporal(syscall.SIGTERM) })
	s.struck("kill -9 of Temporal", upgrade.DrainNode, nil, func(inHand) { s.restartTemporal(syscall.SIGKILL) })
	s.struck("kill -9 of the other worker", upgrade.DrainNode, killed, s.killWorker)
	for range s.on.workers {
		s.struck("a newer worker instead", anyStep, nil, func(inHand) { s.replaceWorker() })
	}

	require.NoError(t, watch.Wait(), "who watches sees its end, whatever is restarted meanwhile")
	budgets()
	s.requireUpgraded()
	s.requireDoneOnce(moves, "kubeadm upgrade")
	require.Zero(t, pair.failed(), "of %d requests", pair.asked())
	s.requireSound()
	s.awaitListed(upgrade.Done)
}

// TestRestoredBackup: Temporal's databases are lost in the middle of an upgrade, and come back as they were a node before.
// What was done since is found done.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	s := newInstalled(t, "restored", bed.Options{ControlPlanes: 1, Workers: 4, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.1}, "")
	moves := s.watchMoves()
	s.start()
	x := s.awaitInHand(upgrade.DrainNode, "w1", nil)
	for _, database := range []string{"temporal_visibility", "temporal"} { // one after the other, while all goes on
		require.NoError(t, s.on.db.client("temporal", "pg_dump", "-Fc", "-f", s.on.file(database+".dump"), database))
	}
	t.Logf("a backup while %s", x)
	x = s.awaitInHand(upgrade.InstallKubelet, "w3", nil)
	t.Logf("everything is lost while %s", x)

	began := time.Now()
	require.NoError(t, s.on.server.end(syscall.SIGKILL))
	require.NoError(t, s.on.db.lose())
	for _, database := range []string{"temporal", "temporal_visibility"} {
		require.NoError(t, s.on.db.client("temporal", "pg_restore", "--exit-on-error", "--no-owner", "--create", "-d", "postgres", s.on.file(database+".dump")))
	}
	require.NoError(t, s.on.startServer())
	t.Logf("Temporal answers %s later", time.Since(began).Round(time.Millisecond))
	s.watch(0)
	t.Logf("done %s later", time.Since(began).Round(time.Millisecond))
	s.requireUpgraded()
	s.requireDoneOnce(moves)
	for _, node := range []string{"w1", "w2", "w4"} {
		require.Equal(t, 1, s.begun(node, "kubeadm upgrade node"), node)
	}
	require.Equal(t, 2, s.begun("w3", "kubeadm upgrade node"), "nothing tells that it was configured, and its kubelet has not moved yet")
	s.requireSound()
	s.awaitListed(upgrade.Done)
}

// installed is a stage on an installation of its own.
type installed struct {
	*stage
	on    *installation
	names []string // of the nodes, control planes first
}

func newInstalled(t testing.TB, name string, o bed.Options, settings string) *installed {
	t.Helper()
	if !production() {
		t.Skip("SKIPPED: needs PostgreSQL and Temporal's own server: make production")
	}
	simtest.Programs(t, controlplane.Program, "pawl", "pawl-worker", "pawl-worker-next", "temporal-server", "temporal-sql-tool")
	began := time.Now()
	on, err := startInstallation()
	require.NoError(t, err)
	t.Cleanup(on.stop)
	t.Cleanup(func() {
		if t.Failed() {
			on.say(t)
		}
	})
	t.Logf("PostgreSQL, Temporal and two workers are up after %s", time.Since(began).Round(time.Millisecond))
	s := &installed{stage: newStageOn(t, on.dev, name, o, settings), on: on}
	nodes, _, err := s.Look(t.Context())
	require.NoError(t, err)
	for _, n := range nodes {
		s.names = append(s.names, n.Name)
	}
	return s
}

// inHand is a step of a node that a worker is at.
type inHand struct {
	node   string
	step   upgrade.Step
	worker *program
}

func (x inHand) String() string {
	return fmt.Sprintf("worker %d is at %s of %s", x.worker.cmd.Process.Pid, x.step, x.node)
}

// atWork is what workers are at now.
func (s *installed) atWork() (all []inHand) {
	for _, node := range s.names {
		d, err := s.on.temporal.DescribeWorkflowExecution(s.t.Context(), workflows.NodeUpgradeID(s.name, node), "")
		if err != nil {
			continue
		}
		for _, a := range d.GetPendingActivities() {
			if w := s.on.holder(a.GetLastWorkerIdentity()); w != nil && a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
				all = append(all, inHand{node, upgrade.Step(a.GetActivityId()), w})
			}
		}
	}
	return all
}

const anyStep upgrade.Step = ""

// awaitInHand waits until a worker is at a step: of a node, where one is named, and not this worker.
func (s *installed) awaitInHand(step upgrade.Step, node string, not *program) (x inHand) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		all := s.atWork()
		i := slices.IndexFunc(all, func(x inHand) bool {
			return (step == anyStep || x.step == step) && (node == "" || x.node == node) && x.worker != not
		})
		if i >= 0 {
			x = all[i]
		}
		return i >= 0
	}, 3*time.Minute, 5*time.Millisecond, "no worker is at %s any more", step)
	return x
}

// struck does something when a worker is at such a step, and waits until that is over.
func (s *installed) struck(what string, step upgrade.Step, not *program, do func(inHand)) *program {
	s.t.Helper()
	x := s.awaitInHand(step, "", not)
	at, began := x.String(), time.Now()
	do(x)
	back := time.Since(began)
	require.Eventually(s.t, func() bool {
		return s.stepOf(x.node, x.step).State == upgrade.Done
	}, 2*time.Minute, 20*time.Millisecond, "%s of %s goes on", x.step, x.node)
	s.t.Logf("%s, while %s: back after %s, that step done after %s", what, at, back.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if x.worker.cmd.ProcessState != nil && slices.Contains(s.on.workers, x.worker) {
		require.NoError(s.t, x.worker.start())
	}
	return x.worker
}

// stepOf is a node's step, as the upgrade says.
func (s *installed) stepOf(node string, step upgrade.Step) (found upgrade.StepStatus) {
	var status upgrade.Status
	out, _ := s.command("status", s.name, "-o", "json").Output()
	if json.Unmarshal(out, &status) == nil {
		for _, n := range status.Nodes {
			for _, st := range n.Steps {
				if n.Node == node && st.Step == step {
					found = st
				}
			}
		}
	}
	return found
}

func (s *installed) killWorker(x inHand) {
	require.NoError(s.t, x.worker.end(syscall.SIGKILL))
}

func (s *installed) restartPostgres(how syscall.Signal) {
	require.NoError(s.t, s.on.db.end(how))
	require.NoError(s.t, s.on.db.start())
}

func (s *installed) restartTemporal(how syscall.Signal) {
	require.NoError(s.t, s.on.server.end(how))
	require.NoError(s.t, s.on.startServer())
}

// replaceWorker starts a worker of a later build beside the others, and ends the oldest in good order when it works.
func (s *installed) replaceWorker() {
	s.t.Helper()
	old := s.on.workers[0]
	next, err := s.on.startWorker("pawl-worker-next")
	require.NoError(s.t, err)
	require.Eventually(s.t, func() bool {
		return slices.ContainsFunc(s.atWork(), func(x inHand) bool { return x.worker == next })
	}, 2*time.Minute, 5*time.Millisecond, "the new worker gets work")
	began := time.Now()
	require.NoError(s.t, old.end(syscall.SIGTERM))
	s.t.Logf("the old worker took %s to end", time.Since(began).Round(time.Millisecond))
	s.on.workers = s.on.workers[1:]
}

// requireDoneOnce requires that no node was cordoned, drained, or its packages and kubelet moved, more than once, nor
// commands repeated that begin so.
func (s *installed) requireDoneOnce(m *moves, besides ...string) {
	s.t.Helper()
	const install = "apt-get install --yes --allow-change-held-packages --no-remove --no-install-recommends " +
		"-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "
	for _, node := range s.names {
		for _, command := range append([]string{install + "kubeadm=", install + "kubelet=", "LC_ALL=C sudo -n -- systemctl restart kubelet.service"}, besides...) {
			require.Equal(s.t, 1, s.begun(node, command), "%s on %s", command, node)
		}
		require.Equal(s.t, 1, m.cordons(node), "cordons of %s", node)
	}
	s.t.Logf("%d pods were evicted, none from a node that was upgraded already", m.evictions(s.t))
}

// awaitListed waits until Temporal's index says so of the upgrade, with all of its nodes done.
func (s *installed) awaitListed(state upgrade.State) {
	s.t.Helper()
	var out string
	require.Eventually(s.t, func() bool {
		out, _ = s.pawl("list", "-o", "json")
		var all []struct {
			Cluster          string
			State            upgrade.State
			Nodes, NodesDone int
		}
		require.NoError(s.t, json.Unmarshal([]byte(out), &all), out)
		return len(all) == 1 && all[0].Cluster == s.name && all[0].State == state && all[0].Nodes == len(s.names) && all[0].NodesDone == all[0].Nodes
	}, time.Minute, 200*time.Millisecond)
	s.t.Log(out)
}

// requireSound requires that no worker met a history that it could not follow, and tells what they weigh.
func (s *installed) requireSound() {
	s.t.Helper()
	ctx := s.t.Context()
	var all []*workflowpb.WorkflowExecutionInfo
	for token := []byte(nil); ; {
		page, err := s.on.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{NextPageToken: token})
		require.NoError(s.t, err)
		if all, token = append(all, page.GetExecutions()...), page.GetNextPageToken(); len(token) == 0 {
			break
		}
	}
	require.NotEmpty(s.t, all)
	for _, w := range all {
		id, run := w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId()
		timedOut := 0
		for events := s.on.temporal.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
			e, err := events.Next()
			require.NoError(s.t, err)
			if failed := e.GetWorkflowTaskFailedEventAttributes(); failed != nil {
				require.NotEqual(s.t, enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, failed.GetCause(), "%s: %s", id, failed.GetFailure())
				s.t.Logf("%s: a workflow task failed: %s, %s", id, failed.GetCause(), failed.GetFailure().GetMessage())
			}
			if e.GetWorkflowTaskTimedOutEventAttributes() != nil {
				timedOut++
			}
		}
		s.t.Logf("%-30s %-9s %4d events %7d bytes, %d workflow tasks were given to another worker", id, w.GetStatus(), w.GetHistoryLength(), w.GetHistorySizeBytes(), timedOut)
	}
}
