package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/temporal/internal/devserver"
)

// The test binary is the server too: with this variable set it runs main instead of the tests.
const serveInstead = "PAWL_TEMPORAL_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveInstead) != "" {
		main()
	}
	os.Exit(m.Run())
}

type server struct {
	*exec.Cmd
	address string
	stderr  *strings.Builder
}

// launch starts a server on file. With wantReady it returns when the server says that it is ready.
func launch(t *testing.T, file string, port int, wantReady bool, flags ...string) *server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), stderr: &strings.Builder{}}
	s.Cmd = exec.Command(self, append([]string{"server", "start-dev", "--db-filename", file, "--port", strconv.Itoa(port),
		"--headless", "--log-level", "never"}, flags...)...)
	s.Env = append(os.Environ(), serveInstead+"=1")
	s.Stderr = s.stderr
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.ProcessState == nil {
			_ = s.Process.Kill()
			_ = s.Wait()
		}
	})
	if !wantReady {
		return s
	}
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- strings.HasPrefix(line, "Temporal server: ")
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case ok := <-ready:
		if !ok {
			t.Fatalf("the server ended before it was ready: %s", s.stderr)
		}
	case <-time.After(time.Minute):
		t.Fatal("the server is not ready after a minute")
	}
	return s
}

// refused waits for a server that must not start, and returns its one line.
func refused(t *testing.T, s *server) string {
	t.Helper()
	if err := s.Wait(); err == nil {
		t.Fatal("the server ended without an error, wanted a refusal")
	}
	line := strings.TrimSpace(s.stderr.String())
	if strings.Count(line, "\n") != 0 {
		t.Errorf("wanted one line, got:\n%s", line)
	}
	return line
}

func kill9(t *testing.T, s *server) {
	t.Helper()
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.Wait()
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

func dial(t *testing.T, s *server) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestWorkflowSurvivesKill9(t *testing.T) {
	// A folder that does not exist yet, with characters that mean something in a SQLite URI.
	file := filepath.Join(t.TempDir(), "state of #1?", "temporal.db")
	s := launch(t, file, freePort(t), true)
	_, err := dial(t, s).ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: "w", TaskQueue: "q"}, "Sleep")
	if err != nil {
		t.Fatal(err)
	}
	kill9(t, s)
	if _, err := os.Stat(file + "-wal"); err != nil {
		t.Errorf("no write-ahead log: %v", err)
	}

	s = launch(t, file, freePort(t), true)
	got, err := dial(t, s).DescribeWorkflowExecution(context.Background(), "w", "")
	if err != nil {
		t.Fatal(err)
	}
	if status := got.GetWorkflowExecutionInfo().GetStatus(); status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("after kill -9 the workflow is %s, wanted Running", status)
	}
}

func TestSecondServerOnOneFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	launch(t, file, freePort(t), true)
	got := refused(t, launch(t, file, freePort(t), false))
	want := "pawl-temporal: lock " + file + ": another server uses this file; end that one first, or name another file"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFileOfAnotherVersionIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	kill9(t, launch(t, file, freePort(t), true))
	for name, tc := range map[string]struct {
		change func() error
		want   string
	}{
		"another version": {func() error { return os.WriteFile(file+".version", []byte("1.20.0\n"), 0o600) },
			"made by Temporal server 1.20.0, this is " + devserver.Version()},
		"no version": {func() error { return os.Remove(file + ".version") }, "says which Temporal server made it"},
	} {
		if err := tc.change(); err != nil {
			t.Fatal(err)
		}
		if got := refused(t, launch(t, file, freePort(t), false)); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, wanted it to say %q", name, got, tc.want)
		}
	}
}

func TestHalfMadeFileIsMadeAfresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	if err := os.WriteFile(file+".new", []byte("killed on the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, file, freePort(t), true)
}

func TestTakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	got := refused(t, launch(t, filepath.Join(t.TempDir(), "temporal.db"), port, false))
	if want := "port " + strconv.Itoa(port) + " for the server is taken"; !strings.Contains(got, want) {
		t.Errorf("got %q, wanted it to say %q", got, want)
	}
}

func TestSignalEndsItCleanly(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := launch(t, filepath.Join(t.TempDir(), "temporal.db"), freePort(t), true)
		began := time.Now()
		if err := s.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(); err != nil {
			t.Errorf("%s: %v, wanted exit 0; %s", sig, err, s.stderr)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s: took %s to end", sig, took)
		}
	}
}

func TestEndedWorkflowsAreKeptFor90Days(t *testing.T) {
	s := launch(t, filepath.Join(t.TempDir(), "temporal.db"), freePort(t), true)
	got, err := dial(t, s).WorkflowService().DescribeNamespace(context.Background(),
		&workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if kept := got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); kept != 90*24*time.Hour {
		t.Errorf("retention is %s, wanted 90 days", kept)
	}
}

// TestAttributesAreAddedToAFileFromBefore: a namespace takes search attributes from its configuration only when it is
// made, so that one from before has to be given new ones when the server starts.
func TestAttributesAreAddedToAFileFromBefore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	port := freePort(t)
	for _, flags := range [][]string{nil, {"--search-attribute", "Other=Keyword", "--search-attribute", "Count=Int"}} {
		s := launch(t, file, port, true, flags...)
		got, err := dial(t, s).OperatorService().ListSearchAttributes(context.Background(),
			&operatorservice.ListSearchAttributesRequest{Namespace: "default"})
		if err != nil {
			t.Fatal(err)
		}
		has := got.GetCustomAttributes()
		if has["PawlState"] != enumspb.INDEXED_VALUE_TYPE_KEYWORD || has["PawlNodes"] != enumspb.INDEXED_VALUE_TYPE_INT {
			t.Errorf("pawl's search attributes are not there: %v", has)
		}
		if flags != nil && (has["Other"] != enumspb.INDEXED_VALUE_TYPE_KEYWORD || has["Count"] != enumspb.INDEXED_VALUE_TYPE_INT) {
			t.Errorf("those asked for are not there when the server is ready: %v", has)
		}
		kill9(t, s)
	}
}
