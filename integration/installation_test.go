package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/pawl-dev/pawl/internal/sim/endpoint"
)

// installation is pawl as a company runs it: PostgreSQL, Temporal's own server on it, and two workers, each a process of its own.
type installation struct {
	*dev
	db       *postgres
	server   *program
	workers  []*program // that have been started and are wanted, the oldest first
	begun    int        // workers in all
	temporal client.Client
}

const (
	namespace = "pawl"
	retention = 90 * 24 * time.Hour
)

func startInstallation() (s *installation, err error) {
	s = &installation{dev: &dev{namespace: namespace}}
	if s.dir, err = os.MkdirTemp("", "pawl-production-"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.clusters(), 0o700); err != nil {
		return nil, err
	}
	if s.address, err = endpoint.FreeAddress(); err != nil {
		return nil, err
	}
	if s.db, err = startPostgres(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{s.makeSchema, s.configure, s.startServer, s.makeNamespace} {
		if err := step(); err != nil {
			s.stop()
			return nil, err
		}
	}
	for range 2 {
		if _, err := s.startWorker("pawl-worker"); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

// makeSchema makes both databases with Temporal's own tool, from the schema that is built into it.
func (s *installation) makeSchema() error {
	for database, schema := range map[string]string{"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"} {
		for _, command := range [][]string{{"create-database"}, {"setup-schema", "--version", "0.0"}, {"update-schema", "--schema-name", schema}} {
			tool := exec.Command("temporal-sql-tool", append([]string{"--plugin", "postgres12_pgx", "--endpoint", "127.0.0.1", "--port", s.db.port,
				"--user", "temporal", "--database", database}, command...)...)
			tool.Env = append(os.Environ(), "SQL_PASSWORD="+s.db.password)
			if out, err := tool.CombinedOutput(); err != nil {
				return fmt.Errorf("temporal-sql-tool %s of %s: %w: %s", command[0], database, err, out)
			}
		}
	}
	return nil
}

// configure writes the server's files.
func (s *installation) configure() error {
	var ports []any // two for each of four services
	for range 7 {
		address, err := endpoint.FreeAddress()
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(address)
		ports = append(ports, port)
	}
	_, frontend, _ := net.SplitHostPort(s.address)
	sql := func(database string) string {
		return fmt.Sprintf(`{sql: {pluginName: postgres12_pgx, databaseName: %s, connectAddr: "127.0.0.1:%s", connectProtocol: tcp,
      user: temporal, password: %s, maxConns: 20, maxIdleConns: 20, maxConnLifetime: 1h}}`, database, s.db.port, s.db.password)
	}
	text := fmt.Sprintf(`log: {stdout: true, level: warn}
persistence:
  defaultStore: main
  visibilityStore: visibility
  numHistoryShards: 4
  datastores:
    main: `+sql("temporal")+`
    visibility: `+sql("temporal_visibility")+`
global: {membership: {maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}}
services:
  frontend: {rpc: {grpcPort: `+frontend+`, membershipPort: %s, bindOnIP: 127.0.0.1}}
  history: {rpc: {grpcPort: %s, membershipPort: %s, bindOnIP: 127.0.0.1}}
  matching: {rpc: {grpcPort: %s, membershipPort: %s, bindOnIP: 127.0.0.1}}
  worker: {rpc: {grpcPort: %s, membershipPort: %s, bindOnIP: 127.0.0.1}}
clusterMetadata:
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation: {active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "`+s.address+`"}}
dcRedirectionPolicy: {policy: noop}
dynamicConfigClient: {filepath: `+s.file("dynamic.yaml")+`, pollInterval: 10s}
`, ports...)
	if err := os.WriteFile(s.file("temporal.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	s.server = &program{path: "temporal-server", args: []string{"--allow-no-auth", "--config-file", s.file("temporal.yaml"), "start"}, log: s.file("temporal.log")}
	return os.WriteFile(s.file("dynamic.yaml"), []byte("history.transferProcessorMaxPollRPS: [{value: 100}]\n"), 0o600)
}

func (s *installation) file(name string) string { return filepath.Join(s.dir, name) }

// startServer returns when the server answers.
func (s *installation) startServer() (err error) {
	if err := s.server.start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if s.temporal == nil {
			s.temporal, err = client.Dial(client.Options{HostPort: s.address, Namespace: namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
		} else {
			_, err = s.temporal.CheckHealth(context.Background(), &client.CheckHealthRequest{})
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(s.server.log)
			return fmt.Errorf("Temporal does not answer: %w\n%s", err, said)
		}
	}
}

// makeNamespace makes pawl's namespace, and returns when the whole server knows it.
func (s *installation) makeNamespace() error {
	ctx := context.Background()
	_, err := s.temporal.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	var unknown *serviceerror.NamespaceNotFound
	for err == nil {
		if _, err = s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1}); !errors.As(err, &unknown) {
			return err
		}
		err = nil
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// startWorker starts one more.
func (s *installation) startWorker(path string) (*program, error) {
	s.begun++
	w := &program{path: path, args: []string{"--clusters", s.clusters()}, log: s.file(fmt.Sprintf("worker-%d.log", s.begun)),
		env: []string{"TEMPORAL_ADDRESS=" + s.address, "TEMPORAL_NAMESPACE=" + namespace, "TEMPORAL_CONFIG_FILE=" + os.DevNull}}
	if err := w.start(); err != nil {
		return nil, err
	}
	s.workers = append(s.workers, w)
	return w, nil
}

// holder is the worker that has an identity, which is "PID@HOST"; nil when it is none that runs.
func (s *installation) holder(identity string) *program {
	pid, _, _ := strings.Cut(identity, "@")
	for _, w := range s.workers {
		if w.cmd.ProcessState == nil && fmt.Sprint(w.cmd.Process.Pid) == pid {
			return w
		}
	}
	return nil
}

func (s *installation) stop() {
	for _, w := range s.workers {
		if w.cmd != nil && w.cmd.ProcessState == nil {
			_ = w.end(syscall.SIGTERM)
		}
	}
	if s.temporal != nil {
		s.temporal.Close()
	}
	if s.server != nil && s.server.cmd != nil && s.server.cmd.ProcessState == nil {
		_ = s.server.end(syscall.SIGTERM)
	}
	s.db.remove()
	_ = os.RemoveAll(s.dir)
}

// say shows the ends of all logs.
func (s *installation) say(t testing.TB) {
	for _, p := range append(slices.Clone(s.workers), s.server, &s.db.program) {
		text, _ := os.ReadFile(p.log)
		t.Logf("%s\n%s", p.log, text[max(0, len(text)-4000):])
	}
}
