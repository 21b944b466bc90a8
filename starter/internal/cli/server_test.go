package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

// server is a real Temporal that all tests of this package share: they differ in their clusters' names.
type server struct {
	address string
	client  client.Client
}

var shared struct {
	server *server
	stop   func()
	err    error
}

func TestMain(m *testing.M) {
	_ = os.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	os.Exit(code)
}

// sharedServer returns the shared server, with a worker that has the stand-in workflows. Without the server's binary the
// test is skipped, or fails where PAWL_TEST_REQUIRE_ALL=1 says that nothing may be skipped.
func sharedServer(t *testing.T) *server {
	t.Helper()
	binary := os.Getenv("PAWL_TEMPORAL")
	if binary == "" {
		binary = filepath.Join("..", "..", "..", "bin", "pawl-temporal")
	}
	if _, err := os.Stat(binary); err != nil {
		text := fmt.Sprintf("no Temporal server at %s: build it with `make build`, or name one in PAWL_TEMPORAL", binary)
		if os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1" {
			t.Fatal(text)
		}
		t.Skip("SKIPPED: " + text)
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.stop, shared.err = startServer(binary)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Setenv("TEMPORAL_ADDRESS", shared.server.address)
	t.Setenv("TEMPORAL_NAMESPACE", "default")
	return shared.server
}

func startServer(binary string) (*server, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	folder, err := os.MkdirTemp("", "pawl-cli-test")
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(binary, "server", "start-dev", "--db-filename", filepath.Join(folder, "temporal.db"),
		"--port", strconv.Itoa(address.Port), "--headless", "--log-level", "error", "--namespace", "idle", "--namespace", "real", "--namespace", "listed")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(folder)
	}
	s := &server{address: address.String()}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		s.client, err = client.Dial(client.Options{HostPort: s.address,
			Logger: sdklog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			stop()
			return nil, nil, err
		}
	}
	w := standInWorker(s.client)
	if err := w.Start(); err != nil {
		stop()
		return nil, nil, err
	}
	return s, func() { w.Stop(); s.client.Close(); stop() }, nil
}

// signal tells a stand-in workflow its status.
func (s *server) signal(t *testing.T, workflow string, status any) {
	t.Helper()
	if err := s.client.SignalWorkflow(context.Background(), workflow, "", "status", status); err != nil {
		t.Fatal(err)
	}
}
