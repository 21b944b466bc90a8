package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/workflows"
)

func TestBadFleetNeedsNoServer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	file, broken := filepath.Join(t.TempDir(), "fleet.json"), filepath.Join(t.TempDir(), "broken.json")
	for name, text := range map[string]string{file: `{"fleet":"prod","targetVersion":"v1.37.2","waves":[["a"]],"soaks":"1h"}`, broken: `{"fleet":`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ args, want string }{
		{"start prod --to v1.37.2", "fleet start: waves: there are none"},
		{"start prod --to 1 --wave a", `fleet start: targetVersion: "1" is not a Kubernetes version`},
		{"plan prod --to v1.37.2 --wave a --wave b,a", "fleet plan: waves: a is named twice"},
		{"start prod --to v1.37.2 --wave a --max-held -1", "fleet start: maxHeld: is -1, wanted at least 0"},
		{"start prod --to v1.37.2 --wave a --approve lunch", `"lunch" is no point`},
		{"start", "fleet start: wanted FLEET and flags, or --file alone"},
		{"start prod -f " + file, "fleet start: wanted FLEET and flags, or --file alone"},
		{"start -f " + file, `unknown field "soaks"; wanted {"fleet":"NAME"`},
		{"start -f no-such-file", "no such file"},
		{"start -f " + broken, "fleet start: read " + broken + ": unexpected end of JSON input"},
		{"plan -f " + file + " --to v1.37.2 --wave a --soak 1h -o json", "fleet plan: --file says all of it: leave out --soak, --to, --wave"},
		{"start -f " + file + " --through v1.36.3 --waive x --approve hop --max-concurrent 2 --max-held 1 -w", "leave out --approve, --max-concurrent, --max-held, --through, --waive"},
		{"start prod --to v1.37.2 --wave a --max-concurrent 0", "fleet start: --max-concurrent is 0, wanted at least 1"},
		{"sart prod --to v1.37.2", `unknown command "sart" for "pawl fleet" (did you mean start?)`},
		{"start prod --to v1.37.2 --wave a -o yaml", `--output "yaml", wanted text or json`},
		{"skip prod", "arguments: got 1; usage: pawl fleet skip FLEET CLUSTER --reason WHY [flags]"},
		{"skip prod eu1", `skip fleet prod: why? Give a reason, which is recorded: --reason "..."`},
		{"abort prod", "abort fleet prod: why?"},
	} {
		code, _, errOut := pawl(append([]string{"fleet"}, strings.Fields(tc.args)...)...)
		if code != exit.BadInput || !strings.Contains(errOut, tc.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("pawl fleet %s: exit %d, %q; wanted exit 2 and one line with %q", tc.args, code, errOut, tc.want)
		}
	}
}

func TestEveryFleetCommandIsDescribed(t *testing.T) {
	for _, c := range fleetCommand().Commands() {
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("pawl fleet %s has no Short, Long or Example", c.Name())
		}
	}
}

func TestFleetPlan(t *testing.T) {
	sharedServer(t)
	args := []string{"fleet", "plan", "prod", "--to", "v1.37.2", "--wave", "lab", "--wave"}
	expect(t, exit.Done, "2     current  v1.37.2  v1.37.2  0     0       less than 1m  nothing to do", "", append(args, "current")...)
	expect(t, exit.Refused, "error   unready: w1: the node is not Ready", "", append(args, "unready,ghost")...)
	expect(t, exit.Refused, "error   ghost: plan ghost: no clusters/ghost.yaml", "", append(args, "unready,ghost")...)
	_, out, _ := pawl(append(args, "ghost", "-o", "json")...)
	var plans []struct {
		Cluster, Error string
		Plan           upgrade.Plan
	}
	if err := json.Unmarshal([]byte(out), &plans); err != nil || len(plans) != 2 || len(plans[0].Plan.Hops) != 1 || plans[1].Error == "" {
		t.Errorf("%v\n%s", err, out)
	}
	t.Setenv("TEMPORAL_NAMESPACE", "idle")
	expect(t, exit.Unreachable, "", "no pawl-worker is polling task queue pawl", append(args, "current")...)
}

// TestFleetLife walks a fleet's upgrade, the real one, over stand-ins for the upgrades of its clusters.
func TestFleetLife(t *testing.T) {
	s := sharedServer(t)
	expect(t, exit.BadInput, "", "no upgrade of fleet world is known", "fleet", "status", "world")
	expect(t, exit.BadInput, "", "retry fleet world: no upgrade of fleet world is running", "fleet", "retry", "world")
	start := []string{"fleet", "start", "world", "--to", "v1.37.2", "--wave", "first", "--wave", "second,third"}
	expect(t, exit.Done, "fleet world: started to v1.37.2, 3 clusters in 2 waves", "", start...)
	expect(t, exit.AlreadyRunning, "", "its upgrade is running already", start...)
	expect(t, exit.BadInput, "", "no cluster has failed", "fleet", "retry", "world")
	ended := make(chan int)
	var out, errOut buffer
	go func() { ended <- Main([]string{"fleet", "watch", "world"}, &out, &errOut) }()
	await(t, &out, "first running")

	end := func(cluster string, state upgrade.State, message string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if code, _, _ := pawl("status", cluster); code == exit.Done || time.Now().After(deadline) {
				break
			}
		}
		s.signal(t, workflows.ClusterUpgradeID(cluster), upgrade.Status{Cluster: cluster, State: state, Message: message})
	}
	end("first", upgrade.Failed, "plan first: refused")
	if code := <-ended; code != exit.Held {
		t.Errorf("watch ended with %d, wanted 12", code)
	}
	await(t, &out, "first failed: plan first: refused")
	await(t, &out, "pawl fleet retry world first")
	expect(t, exit.Held, "nothing new begins: 1 cluster held or failed, 0 allowed", "", "fleet", "status", "world")
	expect(t, exit.BadInput, "", "skip fleet world: why? Give a reason", "fleet", "skip", "world", "first")
	expect(t, exit.Done, "fleet world: to be started again: first", "", "fleet", "retry", "world", "--reason", "put right")
	end("first", upgrade.Done, "")
	expect(t, exit.Done, "fleet world: nothing new begins", "", "fleet", "pause", "world")
	expect(t, exit.Done, "pawl fleet resume world", "", "fleet", "status", "world")
	expect(t, exit.Done, "fleet world: going on", "", "fleet", "resume", "world")

	var jsonOut buffer
	go func() { ended <- Main([]string{"fleet", "watch", "world", "-o", "json"}, &jsonOut, &errOut) }()
	await(t, &jsonOut, `"cluster":"second"`)
	end("second", upgrade.Done, "")
	expect(t, exit.Done, "fleet world: skipped third", "", "fleet", "skip", "world", "third", "--reason", "later")
	if code := <-ended; code != exit.Done {
		t.Errorf("watch ended with %d, wanted 0", code)
	}
	for _, line := range strings.Split(strings.TrimSpace(jsonOut.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %s", line)
		}
	}
	expect(t, exit.Done, "2 clusters at v1.37.2, 1 cluster skipped", "", "fleet", "status", "world")
	replayFleet(t, s, "world")
	expect(t, exit.BadInput, "", "no upgrade of fleet world is running", "fleet", "abort", "world", "--reason", "late")
}

func TestFleetAborted(t *testing.T) {
	sharedServer(t)
	expect(t, exit.Done, "started", "", "fleet", "start", "brief", "--to", "v1.37.2", "--wave", "brief1", "--wave", "brief2")
	expect(t, exit.Done, "ended", "", "fleet", "abort", "brief", "--reason", "late")
	expect(t, exit.Unexpected, "aborted", "", "fleet", "watch", "brief")

}

// replayFleet walks the history of a fleet's upgrade with today's code, as a worker does that takes it over.
func replayFleet(t *testing.T, s *server, fleet string) {
	t.Helper()
	id := workflows.FleetUpgradeID(fleet)
	var history historypb.History
	all := s.client.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for all.HasNext() {
		e, err := all.Next()
		if err != nil {
			t.Fatal(err)
		}
		history.Events = append(history.Events, e)
	}
	t.Logf("%d events", len(history.Events))
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(workflows.FleetUpgrade, workflow.RegisterOptions{Name: workflows.FleetUpgradeName})
	started := history.Events[0].GetWorkflowExecutionStartedEventAttributes()
	err := replayer.ReplayWorkflowHistoryWithOptions(nil, &history, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: id, RunID: started.GetOriginalExecutionRunId()}})
	if err != nil {
		t.Error(err)
	}
}
