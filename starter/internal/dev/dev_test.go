package dev

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/supervise"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// The test binary is the child too: this variable says what it does.
const role = "PAWL_DEV_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "fails": // says why, and ends
		fmt.Fprintln(os.Stderr, "first line")
		fmt.Fprintln(os.Stderr, "child: no such thing")
		os.Exit(1)
	case "lives": // until it is ended
		fmt.Fprintln(os.Stderr, "pid", os.Getpid())
		time.Sleep(time.Hour)
	case "worker": // polls, as pawl-worker does
		pollAsWorker()
	case "parent": // starts a child that lives, as pawl dev does, and waits for its own end
		c := testChild("lives", os.Args[1])
		_ = c.run(context.Background(), supervise.NewStarter(), up(true), func(string, ...any) {})
	}
}

func testChild(what, folder string) child {
	self, _ := os.Executable()
	return child{name: "child", path: self, args: []string{folder}, env: append(os.Environ(), role+"="+what),
		logFile: filepath.Join(folder, "child.log"), patience: 5 * time.Second}
}

func up(is bool) <-chan struct{} {
	c := make(chan struct{})
	if is {
		close(c)
	}
	return c
}

// lines collects what is said.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.b, format+"\n", args...)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestChildThatDoesNotStartIsGivenUpWithItsLastWords(t *testing.T) {
	var said lines
	err := testChild("fails", t.TempDir()).run(context.Background(), supervise.NewStarter(), up(false), said.say)
	if want := "dev: the child does not start: child: no such thing"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestChildThatDiesIsStartedAgainWithGrowingPauses(t *testing.T) {
	var said lines
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- testChild("fails", t.TempDir()).run(ctx, supervise.NewStarter(), up(true), said.say) }()
	await(t, func() bool { return strings.Contains(said.String(), "starting it again in 1s") })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got %v, wanted a quiet end", err)
	}
	if want := "the child died: child: no such thing; starting it again in 500ms\n"; !strings.HasPrefix(said.String(), want) {
		t.Errorf("said %q, wanted it to begin with %q", said.String(), want)
	}
}

func TestChildEndsWithItsContext(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	var said lines
	go func() { ended <- testChild("lives", folder).run(ctx, supervise.NewStarter(), up(true), said.say) }()
	pid := childPID(t, folder)
	cancel()
	if err := <-ended; err != nil || said.String() != "" {
		t.Errorf("got %v, said %q; wanted a quiet end", err, said.String())
	}
	if alive(pid) {
		t.Errorf("the child %s lives on", pid)
	}
}

func TestChildrenDieWithAParentThatIsKilled(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("SKIPPED: only Linux has a parent-death signal")
	}
	folder := t.TempDir()
	self, _ := os.Executable()
	parent := exec.Command(self, folder)
	parent.Env = append(os.Environ(), role+"=parent")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := childPID(t, folder)
	time.Sleep(200 * time.Millisecond) // long enough for idle threads to be parked or ended
	if !alive(pid) {
		t.Fatal("the child died before its parent")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	await(t, func() bool { return !alive(pid) })
}

// childPID waits for the child to say its process id.
func childPID(t *testing.T, folder string) (pid string) {
	t.Helper()
	await(t, func() bool {
		line := lastLine(filepath.Join(folder, "child.log"), 0)
		var ok bool
		pid, ok = strings.CutPrefix(line, "pid ")
		return ok
	})
	return pid
}

// alive reports whether a process runs; one that has ended but was not waited for does not.
func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func await(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass within 20s")
		}
	}
}

func TestEnvironmentLeadsTheWorkerToThisServerOnly(t *testing.T) {
	got := environment([]string{"HOME=/h", "TEMPORAL_ADDRESS=prod:7233", "TEMPORAL_API_KEY=k", "TEMPORAL_TLS=true", "PATH=/bin"},
		map[string]string{"TEMPORAL_ADDRESS": "127.0.0.1:7233", "TEMPORAL_NAMESPACE": "default"})
	want := []string{"HOME=/h", "PATH=/bin", "TEMPORAL_ADDRESS=127.0.0.1:7233", "TEMPORAL_NAMESPACE=default",
		"TEMPORAL_CONFIG_FILE=" + os.DevNull}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestFolders(t *testing.T) {
	env := func(set map[string]string) func(string) string { return func(k string) string { return set[k] } }
	t.Chdir(t.TempDir())
	for _, tc := range []struct{ got, want string }{
		{DataFolder(env(nil), "/h"), "/h/.local/state/pawl"},
		{DataFolder(env(map[string]string{"XDG_STATE_HOME": "/s"}), "/h"), "/s/pawl"},
		{DataFolder(env(map[string]string{"XDG_STATE_HOME": "relative"}), "/h"), "/h/.local/state/pawl"},
		{ClustersFolder(env(nil), "/h"), "/h/.config/pawl/clusters"},
		{ClustersFolder(env(map[string]string{"PAWL_CLUSTERS": "/c"}), "/h"), "/c"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
	if err := os.Mkdir("clusters", 0o755); err != nil {
		t.Fatal(err)
	}
	if got := ClustersFolder(env(nil), "/h"); got != "clusters" {
		t.Errorf("got %s, want ./clusters when it is there", got)
	}
	if _, err := clusterNames("/nonexistent"); exit.Code(err) != exit.BadInput {
		t.Errorf("a folder that is not there: %v, wanted exit 2", err)
	}
}

// syncWriter is written by Run and read by a test.
type syncWriter struct{ lines }

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}
