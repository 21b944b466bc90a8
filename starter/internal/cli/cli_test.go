package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

// buffer is written by the command and read by the test at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// pawl runs the command in this process.
func pawl(args ...string) (code int, stdout, stderr string) {
	var out, errOut buffer
	code = Main(args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func expect(t *testing.T, wantCode int, wantOut, wantErr string, args ...string) {
	t.Helper()
	code, out, errOut := pawl(args...)
	if code != wantCode {
		t.Errorf("pawl %s: exit %d, wanted %d; stderr: %s", strings.Join(args, " "), code, wantCode, errOut)
	}
	if !strings.Contains(out, wantOut) {
		t.Errorf("pawl %s: wanted %q on stdout, got:\n%s", strings.Join(args, " "), wantOut, out)
	}
	if !strings.Contains(errOut, wantErr) {
		t.Errorf("pawl %s: wanted %q on stderr, got:\n%s", strings.Join(args, " "), wantErr, errOut)
	}
}

func TestBadInputNeedsNoServer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	for _, tc := range []struct{ args, want string }{
		{"plan lab", "plan lab: no target: say --to v1.37.2"},
		{"plan lab --to 1", `plan lab: "1" is not a Kubernetes version`},
		{"start lab --to latest", `start lab: "latest" is not a Kubernetes version`},
		{"plan lab --to v1.37.2 --through v1.36", `plan lab: --through: "v1.36" is not a Kubernetes version`},
		{"plan ../lab --to v1.37.2", `plan: "../lab" is not a cluster's name`},
		{"plan lab --to v1.37.2 -o xml", `--output "xml", wanted text, json or yaml`},
		{"start lab --to v1.37.2 -o yaml", `--output "yaml", wanted text or json`},
		{"inventory lab -o text", `--output "text", wanted json or yaml`},
		{"inventory ../lab", `inventory: "../lab" is not a cluster's name`},
		{"plan lab --inventory f --to v1.37.2", "plan: --inventory says which cluster: leave out lab"},
		{"plan --inventory no-such-file --to v1.37.2", "plan: read the inventory: open no-such-file: no such file"},
		{"plan --inventory testdata/not-an-inventory.yaml --to v1.37.2", `unknown field "nodes"`},
		{"plan --inventory testdata/empty.yaml --to v1.37.2", "it has no cluster; wanted what `pawl inventory CLUSTER` wrote"},
		{"plan --inventory testdata/inventory.yaml --to 1.37", `plan lab: "v1.37" names no release, wanted a version like v1.37.2`},
		{"plan", `arguments: got 0; usage: pawl plan CLUSTER --to VERSION|--policy POLICY [flags]; see "pawl plan --help"`},
		{"plan lab --two v1.37.2", `unknown flag: --two; see "pawl plan --help"`},
		{"upgrade lab", `unknown command "upgrade" for "pawl"; see "pawl --help"`},
		{"plna lab --to v1.37.2", `unknown command "plna" for "pawl" (did you mean plan?); see "pawl --help"`},
		{"codec foo", `unknown command "foo" for "pawl codec"; see "pawl codec --help"`},
		{"codec --foo", `unknown flag: --foo; see "pawl codec --help"`},
		{"list lab", "arguments: got 1; usage: pawl list [flags]"},
		{"retry", "arguments: got 0; usage: pawl retry CLUSTER [NODE] [flags]"},
		{"skip lab", "arguments: got 1; usage: pawl skip CLUSTER NODE --reason WHY [flags]"},
		{"skip lab w1", `skip lab w1: why? Give a reason, which is recorded: --reason "..."`},
		{"wait lab w1 --for 2h", "wait lab w1: why?"},
		{"wait lab w1 --reason x", "wait: for how long? say --for 2h"},
		{"delete-pods lab w1 shop/web-1", "delete-pods lab w1: why?"},
		{"delete-pods lab w1 web-1 --reason x", `delete-pods: "web-1" is no pod, wanted NAMESPACE/POD`},
		{"delete-pods lab w1 shop/ --reason x", `"shop/" is no pod`},
		{"skip-drain lab w1", "skip-drain lab w1: why?"},
		{"pass lab", "pass lab: why?"},
		{"abort lab", "abort lab: why?"},
		{"open-window lab", "open-window lab: why?"},
		{"open-window lab --for -2h --reason x", "open-window: --for is -2h0m0s, wanted a duration such as 2h"},
		{"retarget lab --to v1.37.2", "retarget lab: why?"},
		{"dev --clusters /nonexistent/clusters", "dev: no folder /nonexistent/clusters"},
		{"dev --port 80000", "dev: --port is 80000, wanted 1 to 65535"},
		{"dev --port 65000", "dev: --ui-port is 66000, wanted 1 to 65535; the UI's is by default 1000 more than the server's"},
		{"dev --port 0", "dev: --port is 0, wanted 1 to 65535"},
	} {
		code, _, errOut := pawl(strings.Fields(tc.args)...)
		if code != exit.BadInput || !strings.Contains(errOut, tc.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("pawl %s: exit %d, %q; wanted exit 2 and one line with %q", tc.args, code, errOut, tc.want)
		}
	}
}

func TestUnreachableTemporal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	t.Setenv("TEMPORAL_ADDRESS", address)
	began := time.Now()
	code, _, errOut := pawl("status", "lab")
	want := "pawl: connect to Temporal at " + address + `: connection refused; start one with "pawl dev", or set TEMPORAL_ADDRESS` + "\n"
	if code != exit.Unreachable || errOut != want {
		t.Errorf("exit %d, %q; wanted 13, %q", code, errOut, want)
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestNoWorker(t *testing.T) {
	s := sharedServer(t)
	t.Setenv("TEMPORAL_NAMESPACE", "idle")
	want := "plan lab: no pawl-worker is polling task queue pawl of namespace idle at " + s.address + `; start one, or "pawl dev"`
	began := time.Now()
	expect(t, exit.Unreachable, "", want, "plan", "lab", "--to", "v1.37.2")
	if took := time.Since(began); took < 8*time.Second || took > 20*time.Second {
		t.Errorf("took %s, wanted about 10s", took)
	}
}

func TestStatusWithoutWorker(t *testing.T) {
	s := sharedServer(t)
	idle, err := client.NewClientFromExisting(s.client, client.Options{Namespace: "idle"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idle.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: workflows.ClusterUpgradeID("orphan"),
		TaskQueue: workflows.TaskQueue}, workflows.ClusterUpgradeName, workflows.ClusterUpgradeInput{Cluster: "orphan"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEMPORAL_NAMESPACE", "idle")
	expect(t, exit.Unreachable, "", "status orphan: no pawl-worker is polling task queue pawl", "status", "orphan")
}

func TestUnknownNamespace(t *testing.T) {
	sharedServer(t)
	t.Setenv("TEMPORAL_NAMESPACE", "nowhere")
	expect(t, exit.BadInput, "", `has no namespace "nowhere"`, "plan", "lab", "--to", "v1.37.2")
}

func TestPlanCommand(t *testing.T) {
	sharedServer(t)
	expect(t, exit.Done, "lab: v1.36.3 -> v1.37.2, 1 hop, 2 nodes", "", "plan", "lab", "--to", "1.37.2")
	expect(t, exit.Refused, "w1: the node is not Ready", "", "plan", "unready", "--to", "v1.37.2")
	expect(t, exit.Done, "nothing to do", "", "plan", "current", "--to", "v1.37.2")
	expect(t, exit.Done, `"name": "life"`, "", "inventory", "life")
	expect(t, exit.BadInput, "", "find cluster ghost: no clusters/ghost.yaml", "inventory", "ghost")
	code, _, errOut := pawl("plan", "ghost", "--to", "v1.37.2")
	if want := "pawl: plan ghost: no clusters/ghost.yaml; describe the cluster there\n"; code != exit.BadInput || errOut != want {
		t.Errorf("exit %d, %q; wanted 2, %q", code, errOut, want)
	}
	expect(t, exit.Refused, "", "pawl: observe dark: the API server at 10.0.0.1:6443 does not answer\n", "plan", "dark", "--to", "v1.37.2")

	_, out, _ := pawl("plan", "lab", "--to", "v1.37.2", "-o", "json")
	var p upgrade.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil || p.Cluster != "lab" || len(p.Hops) != 1 {
		t.Errorf("the JSON is no plan: %v\n%s", err, out)
	}
}

func TestStartRefusesWhatIsNotToBeStarted(t *testing.T) {
	s := sharedServer(t)
	expect(t, exit.Refused, "", "nothing was started", "start", "unready", "--to", "v1.37.2")
	expect(t, exit.BadInput, "", "plan ghost: no clusters/ghost.yaml", "start", "ghost", "--to", "v1.37.2")
	expect(t, exit.Done, "nothing to do", "", "start", "current", "--to", "v1.37.2", "--watch")
	for _, cluster := range []string{"unready", "ghost", "current"} {
		if _, err := s.client.DescribeWorkflowExecution(context.Background(), workflows.ClusterUpgradeID(cluster), ""); err == nil {
			t.Errorf("an upgrade of %s was started", cluster)
		}
	}
}

func TestUnknownUpgrade(t *testing.T) {
	s := sharedServer(t)
	for _, command := range []string{"status", "watch", "report"} {
		expect(t, exit.BadInput, "", "status never: no upgrade of never is known to Temporal at "+s.address, command, "never")
	}
	expect(t, exit.BadInput, "", "retry never: no upgrade of never is running", "retry", "never")
	expect(t, exit.BadInput, "", "retry never w1: node w1 of never is not being upgraded", "retry", "never", "w1")
}

// TestAnUpgradeFromStartToEnd walks the commands through the life of one upgrade.
func TestAnUpgradeFromStartToEnd(t *testing.T) {
	s := sharedServer(t)
	id := workflows.ClusterUpgradeID("life")
	expect(t, exit.Done, "life: started v1.36.3 -> v1.37.2\n", "", "start", "life", "--to", "v1.37.2")
	began := time.Now()
	expect(t, exit.AlreadyRunning, "", "start life: an upgrade to v1.37.2 is running since", "start", "life", "--to", "v1.36.9")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the refusal took %s, wanted at once", took)
	}
	expect(t, exit.Done, "running", "", "status", "life")

	// A node is under way: its own workflow knows more than the cluster's.
	plan := upgrade.NodePlan{Node: "w1", Role: upgrade.Worker, From: upgrade.MustVersion("v1.36.3"),
		To: upgrade.MustVersion("v1.37.2"), Steps: upgrade.KubeadmSteps(upgrade.Worker, false)}
	node := plan.NewStatus(1)
	node.State, node.Workflow = upgrade.Running, workflows.NodeUpgradeID("life", "w1")
	status := upgrade.Status{Cluster: "life", State: upgrade.Running, Hop: 1, Hops: 1, MaxUnavailable: upgrade.AtMost(1),
		From: plan.From, Target: plan.To, Nodes: []upgrade.NodeStatus{node}}
	s.signal(t, id, status)
	child := plan.NewStatus(1)
	child.State = upgrade.Running
	child.Steps[0] = upgrade.StepStatus{Step: upgrade.InstallKubeadm, State: upgrade.Done, Started: began, Ended: time.Now()}
	child.Steps[2] = upgrade.StepStatus{Step: upgrade.DrainNode, State: upgrade.Running, Started: time.Now()}
	if _, err := s.client.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{
		ID: node.Workflow, TaskQueue: workflows.TaskQueue}, workflows.NodeUpgradeName, child); err != nil {
		t.Fatal(err)
	}

	var out, errOut buffer
	ended := make(chan int)
	go func() { ended <- Main([]string{"watch", "life"}, &out, &errOut) }()
	await(t, &out, "w1 payments/api-2 blocked by PodDisruptionBudget payments/api")
	await(t, &out, "w1 retrying, attempt 2: evict: the API server does not answer")
	await(t, &out, "w1 Install kubeadm done")
	expect(t, exit.BadInput, "", "retry life w1: nothing is held here", "retry", "life", "w1")

	child.State, child.Held = upgrade.Held, "drain w1: payments/api-2 blocked"
	child.Wait = &upgrade.Wait{For: upgrade.ForDecision, Node: "w1", At: "Drain", Choices: []upgrade.Choice{{Update: "retry", Does: "try again"}, {Update: "deletePods", Does: "delete"}}}
	s.signal(t, node.Workflow, child)
	if code := <-ended; code != exit.Held {
		t.Errorf("watch ended with %d, wanted 12", code)
	}
	for _, want := range []string{"pawl retry life w1  ", `pawl delete-pods life w1 NAMESPACE/POD... --reason "..."  delete`, `pawl abort life --reason "..."  `} {
		if !strings.Contains(errOut.String(), want) {
			t.Errorf("watch did not say %q:\n%s", want, errOut.String())
		}
	}
	expect(t, exit.Held, "drain w1: payments/api-2 blocked", "", "status", "life")
	expect(t, exit.Done, "life w1: trying again\n", "", "retry", "life", "w1", "--reason", "budget relaxed")
	expect(t, exit.Done, "running", "", "status", "life")
	expect(t, exit.BadInput, "", "retry life: nothing is held without a reason", "retry", "life")
	expect(t, exit.Done, "trying again", "", "retry", "life", "--reason", "budget relaxed")

	child.State, child.Held, child.Wait = upgrade.Done, "", nil
	s.signal(t, node.Workflow, child)
	var jsonOut buffer
	go func() { ended <- Main([]string{"watch", "life", "-o", "json"}, &jsonOut, &errOut) }()
	await(t, &jsonOut, `"cluster":"life"`)
	status.State, status.Nodes[0].State = upgrade.Done, upgrade.Done
	s.signal(t, id, status)
	if code := <-ended; code != exit.Done {
		t.Errorf("watch ended with %d, wanted 0", code)
	}
	for _, line := range strings.Split(strings.TrimSpace(jsonOut.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %s", line)
		}
	}
	expect(t, exit.Done, "done", "", "status", "life")
	expect(t, exit.Done, "/var/lib/pawl/backup on each control plane node", "", "report", "life")
	expect(t, exit.Done, `"overhead"`, "", "report", "life", "-o", "json")
	expect(t, exit.Done, "<!DOCTYPE html>", "", "report", "life", "-o", "html")
	file := filepath.Join(t.TempDir(), "ticket.html")
	expect(t, exit.Done, "", "wrote "+file, "report", "life", "-o", "html", "--out", file)
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "</html>") {
		t.Errorf("no page in %s: %v", file, err)
	}
	expect(t, exit.BadInput, "", "wanted text, json or html", "report", "life", "-o", "pdf")
	// The id is free again.
	expect(t, exit.Done, "started", "", "start", "life", "--to", "v1.37.2")
}

func TestFailedUpgrade(t *testing.T) {
	s := sharedServer(t)
	expect(t, exit.Done, "started", "", "start", "bad", "--to", "v1.37.2")
	s.signal(t, workflows.ClusterUpgradeID("bad"), upgrade.Status{Cluster: "bad", State: upgrade.Failed, Message: "it went wrong"})
	expect(t, exit.Unexpected, "it went wrong", "", "watch", "bad")
	expect(t, exit.Unexpected, "it went wrong", "", "status", "bad")
}

func TestTerminatedUpgradeIsNotRunning(t *testing.T) {
	s := sharedServer(t)
	expect(t, exit.Done, "started", "", "start", "gone", "--to", "v1.37.2")
	if err := s.client.TerminateWorkflow(context.Background(), workflows.ClusterUpgradeID("gone"), "", "test"); err != nil {
		t.Fatal(err)
	}
	expect(t, exit.Unexpected, "aborted", "", "status", "gone")
}

func TestReasonIsWelcomeWhereItIsNotNeeded(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	for _, command := range []string{"retry", "approve", "pause", "resume", "fleet retry", "fleet pause", "fleet resume"} {
		expect(t, exit.Unreachable, "", "connect to Temporal", append(strings.Fields(command), "lab")...)
	}
}

func TestVersion(t *testing.T) {
	expect(t, exit.Done, versionText(), "", "version")
	expect(t, exit.Done, versionText(), "", "--version")
}

func TestHelpExplainsExitCodes(t *testing.T) {
	expect(t, exit.Done, exit.Table, "", "--help")
}

func TestEveryCommandIsDescribed(t *testing.T) {
	var check func(*cobra.Command)
	check = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			if c.Short == "" || c.Long == "" || c.Example == "" {
				t.Errorf("%s has no Short, Long or Example", c.CommandPath())
			}
			check(c)
		}
	}
	check(rootCommand())
}

// await waits until the output has the text.
func await(t *testing.T, out *buffer, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in:\n%s", text, out.String())
		}
	}
}
