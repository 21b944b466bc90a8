package dev

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/workflows"
)

// pollAsWorker is the stand-in for pawl-worker: it finds Temporal by its environment, as the real one does.
func pollAsWorker() {
	c, err := client.Dial(envconfig.MustLoadDefaultClientOptions())
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	w := worker.New(c, workflows.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(func(workflow.Context, map[string]any) error { return nil },
		workflow.RegisterOptions{Name: workflows.ClusterPlanName})
	_ = w.Run(worker.InterruptCh())
}

// programs puts a real server and the stand-in worker into PATH.
func programs(t *testing.T) {
	t.Helper()
	binary := os.Getenv("PAWL_TEMPORAL")
	if binary == "" {
		binary = filepath.Join("..", "..", "..", "bin", "pawl-temporal")
	}
	binary, _ = filepath.Abs(binary)
	if _, err := os.Stat(binary); err != nil {
		text := fmt.Sprintf("no Temporal server at %s: build it with `make build`, or name one in PAWL_TEMPORAL", binary)
		if os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1" {
			t.Fatal(text)
		}
		t.Skip("SKIPPED: " + text)
	}
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"pawl-temporal": binary, "pawl-worker": self} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(role, "worker")
	t.Setenv("TEMPORAL_ADDRESS", "prod.example.com:7233") // must not reach the worker
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestRunKeepsServerAndWorkerRunning(t *testing.T) {
	programs(t)
	o := Options{Clusters: t.TempDir(), Data: filepath.Join(t.TempDir(), "state"), Port: freePort(t), UIPort: freePort(t)}
	for round := 1; round <= 2; round++ { // the second finds the file of the first
		ctx, cancel := context.WithCancel(context.Background())
		var out syncWriter
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, o, &out) }()
		await(t, func() bool {
			select {
			case err := <-ended:
				t.Fatalf("round %d ended before it was ready: %v", round, err)
			default:
			}
			return strings.Contains(out.String(), "Ready in")
		})
		if err := o.workerPolls(ctx); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if round == 1 {
			killServer(t, o)
			await(t, func() bool { return strings.Contains(out.String(), "the Temporal server died: signal: killed") })
			await(t, func() bool { return o.serverAnswers(ctx) == nil })
			if err := Run(ctx, o, &out); err == nil || !strings.Contains(err.Error(), "is taken, maybe by another pawl dev") {
				t.Errorf("a second one on the same ports: %v", err)
			}
		}
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("round %d ended with %v", round, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("round %d took %s to end", round, took)
		}
		if o.serverAnswers(context.Background()) == nil {
			t.Errorf("round %d: the server lives on", round)
		}
	}
}

// killServer ends the server as a crash does.
func killServer(t *testing.T, o Options) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(entries) == 0 {
		t.Skip("SKIPPED: no /proc to find the server's process in")
	}
	for _, e := range entries {
		b, _ := os.ReadFile(e)
		if !strings.Contains(string(b), o.file()) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(e, "/proc/%d/cmdline", &pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
	t.Fatal("the server's process was not found")
}
