package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/recording"
	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/controlplane"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/sim/scenario"
	"github.com/pawl-dev/pawl/internal/sim/simtest"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// pace is the factor on everything that takes time on a simulated node.
const pace = 0.01

// to is where all upgrades go.
const to = "v1.37.2"

// one is the `pawl dev` that most tests share, as one engineer's clusters do; for `make production` it is an installation.
var one struct {
	sync.Once
	*dev
	stop func()
	err  error
}

// startOne starts it.
func startOne() {
	if !production() {
		if one.dev, one.err = startDev(); one.err == nil {
			one.stop = one.dev.stop
		}
		return
	}
	var s *installation
	if s, one.err = startInstallation(); one.err == nil {
		one.dev, one.stop = s.dev, s.stop
	}
}

func TestMain(m *testing.M) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		_ = os.Setenv(name, "test") // for workers that talk to fakes of AWS
	}
	code := m.Run()
	if one.stop != nil {
		one.stop()
	}
	os.Exit(code)
}

// stage is a simulated cluster, and pawl beside it.
type stage struct {
	*bed.Bed
	t    testing.TB
	name string
	dev  *dev
	env  []string // of the CLI
}

// newStage makes a cluster. It knows the definition's lines of settings, and what shape is wanted.
func newStage(t testing.TB, name string, o bed.Options, settings string) *stage {
	t.Helper()
	simtest.Programs(t, controlplane.Program, "pawl", "pawl-worker", "pawl-temporal")
	one.Do(startOne)
	require.NoError(t, one.err)
	return newStageOn(t, one.dev, name, o, settings)
}

// newStageAlone makes a cluster with a `pawl dev` of its own, which may be killed.
func newStageAlone(t testing.TB, name string, o bed.Options, settings string) *stage {
	t.Helper()
	simtest.Programs(t, controlplane.Program, "pawl", "pawl-worker", "pawl-temporal")
	d, err := startDev()
	require.NoError(t, err)
	t.Cleanup(d.stop)
	return newStageOn(t, d, name, o, settings)
}

func newStageOn(t testing.TB, d *dev, name string, o bed.Options, settings string) *stage {
	t.Helper()
	o.Name, o.Dir, o.Clusters, o.Definition, o.Pace = name, t.TempDir(), d.clusters(), settings, cmp.Or(o.Pace, pace)
	o.Say = func(line string) { t.Logf("%s %s", name, line) }
	b, err := bed.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(b.Stop)
	s := &stage{Bed: b, t: t, name: name, dev: d}
	s.awaitWorker()
	return s
}

// pawl runs the CLI as a person does, and returns its output and exit code.
func (s *stage) pawl(args ...string) (string, int) {
	s.t.Helper()
	cmd := s.command(args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(s.t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (s *stage) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "pawl", args...)
	cmd.Env = append(append(os.Environ(), "TEMPORAL_ADDRESS="+s.dev.address, "TEMPORAL_NAMESPACE="+cmp.Or(s.dev.namespace, client.DefaultNamespace), "TEMPORAL_CONFIG_FILE="+os.DevNull), s.env...)
	return cmd
}

// scenario adds faults, a line each.
func (s *stage) scenario(lines string) {
	s.t.Helper()
	faults, err := scenario.Parse(lines)
	require.NoError(s.t, err)
	require.NoError(s.t, s.Fault(s.t.Context(), faults...))
}

// wanted are a command's arguments. The etcd that kubeadm v1.36.3 brings is older than etcd wants before v1.37.2, here as
// on real nodes.
func (s *stage) wanted(command string) []string {
	return []string{command, s.name, "--to", to, "--waive", upgrade.EtcdVersion}
}

// start starts an upgrade.
func (s *stage) start() {
	s.t.Helper()
	out, code := s.pawl(s.wanted("start")...)
	require.Equal(s.t, 0, code, out)
}

// awaitWorker waits until the shared worker answers.
func (s *stage) awaitWorker() {
	s.t.Helper()
	const noWorker = 13
	deadline := time.Now().Add(2 * time.Minute)
	for {
		out, code := s.pawl("plan", s.name, "--to", to)
		if code != noWorker {
			return // whatever it says, the test asks again
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dev.dir, "dev.log"))
			s.t.Fatalf("pawl dev does not answer: %s\n%s", out, log)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// watch follows the upgrade until it has ended or is held, and requires that it is left so.
func (s *stage) watch(wantCode int) {
	s.t.Helper()
	out, code := s.pawl("watch", s.name)
	if code != wantCode {
		state, _ := s.pawl("status", s.name)
		s.t.Fatalf("pawl watch: exit code %d, want %d\n%s\n%s\nfaults that have not happened: %v", code, wantCode, out, state, s.Waiting())
	}
	s.t.Logf("pawl watch %s\n%s", s.name, out)
}

// held requires that the upgrade waits for a person, and that it says why.
func (s *stage) held(says ...string) {
	s.t.Helper()
	s.watch(12)
	out, code := s.pawl("status", s.name)
	require.Equal(s.t, 12, code, out)
	for _, want := range says {
		require.Contains(s.t, out, want)
	}
}

// retry lets what is held go on.
func (s *stage) retry(node ...string) {
	s.t.Helper()
	out, code := s.pawl(append(append([]string{"retry", s.name}, node...), "--reason", "put right")...)
	require.Equal(s.t, 0, code, out)
}

// requirePlanFromInventory requires that the plan from a recorded inventory is the cluster's.
func (s *stage) requirePlanFromInventory() {
	s.t.Helper()
	inventory, code := s.pawl("inventory", s.name)
	require.Equal(s.t, 0, code, inventory)
	file := filepath.Join(s.t.TempDir(), "inventory.json")
	require.NoError(s.t, os.WriteFile(file, []byte(inventory), 0o600))
	var plans [2]upgrade.Plan
	for i, args := range [][]string{s.wanted("plan"), {"plan", "--inventory", file, "--to", to, "--waive", upgrade.EtcdVersion}} {
		out, code := s.pawl(append(args, "-o", "json")...)
		require.Equal(s.t, 0, code, out)
		require.NoError(s.t, json.Unmarshal([]byte(out), &plans[i]))
	}
	require.Equal(s.t, plans[0].Hops, plans[1].Hops)
	require.Equal(s.t, plans[0].Findings, plans[1].Findings)
	require.Equal(s.t, plans[0].Forecast, plans[1].Forecast)
	require.Len(s.t, plans[0].Forecast.Drains, plans[0].Drains)
	for _, d := range plans[0].Forecast.Drains {
		require.True(s.t, d.Smooth(), "nothing is in the way of a drain of this cluster: %+v", d)
	}
	for _, f := range plans[0].Findings { // of a cluster with nothing wrong
		require.Equal(s.t, upgrade.EtcdVersion, f.ID, f.String())
		require.True(s.t, f.Waived, f.String())
	}
	require.NotContains(s.t, inventory, "PRIVATE KEY")
	require.NotContains(s.t, inventory, "token")
}

// requireMeasured requires that the next plan is estimated from what this upgrade took.
func (s *stage) requireMeasured(step upgrade.Step, workers int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		var p upgrade.Plan
		out, _ := s.pawl(append(s.wanted("plan"), "-o", "json")...)
		require.NoError(s.t, json.Unmarshal([]byte(out), &p), out)
		return slices.ContainsFunc(p.Measured, func(m upgrade.MeasuredStep) bool {
			return m.Step == step && !m.ControlPlane && m.Count == workers && m.Mean > 0
		})
	}, 30*time.Second, time.Second, "Temporal lists what has ended after a while")
}

// report is what `pawl report -o json` says.
func (s *stage) report() (r struct{ upgrade.Status }) {
	s.t.Helper()
	out, code := s.pawl("report", s.name, "-o", "json")
	require.Equal(s.t, 0, code, out)
	require.NoError(s.t, json.Unmarshal([]byte(out), &r))
	return r
}

// requireUpgraded asks the cluster and its machines whether everything is as it must be after an upgrade, and the report
// whether all was done but for the steps that a person passed over: "w4 drainNode".
func (s *stage) requireUpgraded(passedOver ...string) {
	s.t.Helper()
	ctx := s.t.Context()
	nodes, err := s.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	require.NoError(s.t, err)
	for _, n := range nodes.Items {
		require.Equal(s.t, to, n.Status.NodeInfo.KubeletVersion, n.Name)
		require.False(s.t, n.Spec.Unschedulable, "%s is schedulable", n.Name)
		require.NotContains(s.t, n.Annotations, "pawl.dev/cordoned-by", n.Name)
	}
	for _, n := range nodes.Items {
		s.requireHolds(n.Name)
		require.Equal(s.t, to+"\n", s.run(n.Name, "kubeadm version -o short"), n.Name)
	}
	pods, err := s.Client().CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "tier=control-plane"})
	require.NoError(s.t, err)
	for _, p := range pods.Items {
		if p.Labels["component"] != "etcd" {
			require.True(s.t, strings.HasSuffix(p.Spec.Containers[0].Image, ":"+to), "%s runs %s", p.Name, p.Spec.Containers[0].Image)
		}
	}
	require.NoError(s.t, s.AwaitPods(ctx))
	for _, n := range s.report().Nodes {
		require.Equal(s.t, upgrade.Done, n.State, "%s in hop %d: nothing is skipped silently", n.Node, n.Hop)
		for _, step := range n.Steps {
			want := upgrade.Done
			if slices.Contains(passedOver, n.Node+" "+string(step.Step)) {
				want = upgrade.Skipped
			}
			require.Equal(s.t, want, step.State, "%s of %s", step.Step, n.Node)
		}
	}
}

// requireHolds requires that nothing on a machine moves the packages by itself.
func (s *stage) requireHolds(node string) {
	s.t.Helper()
	line, want := "apt-mark showhold", "kubeadm\nkubectl\nkubelet\n"
	switch s.Machine(node).Options().Distro {
	case machine.Rocky:
		line, want = "grep exclude /etc/yum.repos.d/kubernetes.repo", "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n"
	case machine.SUSE:
		line, want = "zypper locks", "1 | kubeadm | package | (any)\n2 | kubectl | package | (any)\n3 | kubelet | package | (any)\n"
	}
	require.Equal(s.t, want, s.run(node, line), "holds of %s", node)
}

// run runs a command line on a machine as root.
func (s *stage) run(node, line string) string {
	s.t.Helper()
	var out, errs strings.Builder
	code := s.Machine(node).Run(s.t.Context(), line, "root", strings.NewReader(""), &out, &errs)
	require.Equal(s.t, 0, code, "%s on %s: %s", line, node, errs.String())
	return out.String()
}

// begun counts the commands that have begun on a machine with this beginning.
func (s *stage) begun(node, beginning string) int {
	s.t.Helper()
	lines, err := s.Commands(node)
	require.NoError(s.t, err)
	n := 0
	for _, line := range lines {
		if strings.HasPrefix(line, beginning) {
			n++
		}
	}
	return n
}

// guardBudgets watches all budgets until the test ends and fails it when one is ever broken.
func (s *stage) guardBudgets() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	broken := map[string]bool{}
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			budgets, err := s.Client().PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err == nil {
				for _, b := range budgets.Items {
					if b.Status.ObservedGeneration == b.Generation && b.Status.CurrentHealthy < b.Status.DesiredHealthy {
						broken[fmt.Sprintf("%s/%s: %d healthy, wanted %d", b.Namespace, b.Name, b.Status.CurrentHealthy, b.Status.DesiredHealthy)] = true
					}
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() {
		cancel()
		<-ended
		require.Empty(s.t, broken, "budgets are kept")
	}
}

// requireListed requires that `pawl list` knows where the upgrade is held.
func (s *stage) requireListed(state upgrade.State, heldAt string) {
	s.t.Helper()
	out, code := s.pawl("list", "-o", "json")
	require.Equal(s.t, 0, code, out)
	var all []struct {
		Cluster, HeldAt string
		State           upgrade.State
	}
	require.NoError(s.t, json.Unmarshal([]byte(out), &all), out)
	for _, l := range all {
		if l.Cluster == s.name {
			require.Equal(s.t, [2]string{string(state), heldAt}, [2]string{string(l.State), l.HeldAt}, out)
			return
		}
	}
	s.t.Fatalf("%s is not listed: %s", s.name, out)
}

// requireCordoned requires that a node takes no pods while it waits for a person.
func (s *stage) requireCordoned(node string) {
	s.t.Helper()
	n, err := s.Client().CoreV1().Nodes().Get(s.t.Context(), node, metav1.GetOptions{})
	require.NoError(s.t, err)
	require.True(s.t, n.Spec.Unschedulable, "%s stays cordoned", node)
}

// record keeps the histories of the newest upgrade and of nodes' parts of it, for the replay tests, where PAWL_RECORD says.
// "" is the upgrade itself.
func (s *stage) record(label string, nodes ...string) {
	s.t.Helper()
	for _, node := range nodes {
		name, id := node, workflows.NodeUpgradeID(s.name, node)
		if node == "" {
			name, id = "cluster", workflows.ClusterUpgradeID(s.name)
		}
		s.recordRun(label+"-"+name, id, "")
	}
}

// recordRun keeps the history of one workflow's run, the newest where none is named.
func (s *stage) recordRun(label, workflow, run string) {
	s.t.Helper()
	dir := os.Getenv("PAWL_RECORD")
	if dir == "" {
		return
	}
	c, err := client.Dial(client.Options{HostPort: s.dev.address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(s.t, err)
	defer c.Close()
	require.NoError(s.t, recording.Write(s.t.Context(), c, dir, label, workflow, run))
}
