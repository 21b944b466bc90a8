package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/pawl-dev/pawl/internal/supervise"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/workflows"
)

// Options say where things are.
type Options struct {
	Clusters string // folder of the clusters' definitions
	Data     string // folder of the server's file and of the logs
	Port     int
	UIPort   int
}

const (
	serverUp  = 60 * time.Second // how long the server may take to answer
	workerUp  = 20 * time.Second // how long the worker may take to poll before it is remarked on
	serverEnd = 10 * time.Second
	workerEnd = 30 * time.Second
)

// Run starts the server, then the worker, keeps both running, and ends both when the context ends.
func Run(ctx context.Context, o Options, out io.Writer) error {
	began := time.Now()
	if err := o.checkPorts(); err != nil {
		return err
	}
	clusters, err := clusterNames(o.Clusters)
	if err != nil {
		return err
	}
	server, worker, err := o.children()
	if err != nil {
		return err
	}
	for _, p := range o.ports() {
		if err := checkFree(p.flag, p.number); err != nil {
			return err
		}
	}
	say := teller(out)
	start := supervise.NewStarter()

	// The server has a context of its own: it ends after the worker, whose last answers it has to take.
	serverCtx, endServer := context.WithCancel(context.Background())
	workerCtx, endWorker := context.WithCancel(ctx)
	defer endServer()
	defer endWorker()
	answers, polls := make(chan struct{}), make(chan struct{})
	serverEnded := goRun(func() error { return server.run(serverCtx, start, answers, say) })

	if err := o.await(ctx, serverEnded, serverUp, o.serverAnswers); err != nil {
		endServer()
		<-serverEnded
		return ignoreInterrupt(ctx, err)
	}
	close(answers)
	workerEnded := goRun(func() error { return worker.run(workerCtx, start, polls, say) })
	awaited := o.await(ctx, workerEnded, workerUp, o.workerPolls)
	if errors.Is(awaited, errNotYet) {
		say("%v", awaited)
		awaited = nil // it is kept running; maybe it only takes long
	}
	if awaited == nil {
		close(polls)
		o.introduce(out, server, clusters, time.Since(began))
		select {
		case <-ctx.Done():
		case awaited = <-serverEnded:
		case awaited = <-workerEnded:
		}
		say("ending; upgrades under way go on at the next start")
	}
	endWorker()
	drain(workerEnded)
	endServer()
	drain(serverEnded)
	return ignoreInterrupt(ctx, awaited)
}

func (o Options) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)) }

func (o Options) children() (server, worker child, err error) {
	serverPath, err := find("pawl-temporal", "temporal")
	if err != nil {
		return server, worker, err
	}
	workerPath, err := find("pawl-worker")
	if err != nil {
		return server, worker, err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return server, worker, exit.Errorf(exit.BadInput, "dev: %v", err)
	}
	settings := map[string]string{"TEMPORAL_ADDRESS": o.address(), "TEMPORAL_NAMESPACE": client.DefaultNamespace}
	env := environment(os.Environ(), settings)
	server = child{
		name: "Temporal server", path: serverPath, env: env, patience: serverEnd, logFile: filepath.Join(o.Data, "server.log"),
		args: []string{"server", "start-dev", "--db-filename", o.file(), "--ip", "127.0.0.1",
			"--port", strconv.Itoa(o.Port), "--ui-port", strconv.Itoa(o.UIPort), "--log-level", "warn"},
	}
	worker = child{
		name: "worker", path: workerPath, env: append(slices.Clone(env), "PAWL_TEMPORAL_UI=http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(o.UIPort))), patience: workerEnd, logFile: filepath.Join(o.Data, "worker.log"),
		args: []string{"--clusters", o.Clusters},
	}
	return server, worker, nil
}

func find(names ...string) (string, error) {
	path, err := supervise.Find(names...)
	if err != nil {
		return "", exit.Errorf(exit.Unexpected, "dev: %v; build it with \"make build\"", err)
	}
	return path, nil
}

// port is one that is listened on, and the flag that says it.
type port struct {
	flag   string
	number int
}

func (o Options) ports() []port { return []port{{"--port", o.Port}, {"--ui-port", o.UIPort}} }

// checkPorts refuses what is no port.
func (o Options) checkPorts() error {
	for _, p := range o.ports() {
		if p.number < 1 || p.number > math.MaxUint16 {
			return exit.Errorf(exit.BadInput, "dev: %s is %d, wanted 1 to %d; the UI's is by default 1000 more than the server's", p.flag, p.number, math.MaxUint16)
		}
	}
	return nil
}

// checkFree refuses a port that somebody listens on: that may be a Temporal too, and would be taken for this one.
func checkFree(flag string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return exit.Errorf(exit.Unexpected,
			"dev: port %d on 127.0.0.1 is taken, maybe by another pawl dev; end that one, or choose another with %s", port, flag)
	}
	return l.Close()
}

func (o Options) file() string { return filepath.Join(o.Data, "temporal.db") }

// introduce says where things are.
func (o Options) introduce(out io.Writer, server child, clusters []string, took time.Duration) {
	known := strings.Join(clusters, ", ")
	if known == "" {
		known = "none yet: describe each in a file NAME.yaml there"
	}
	fmt.Fprintf(out, "Temporal   %s (namespace %s, %s)\n", o.address(), client.DefaultNamespace, filepath.Base(server.path))
	ui := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(o.UIPort))
	fmt.Fprintf(out, "Web UI     %s\n", ui)
	fmt.Fprintf(out, "Start one  %s\n", upgrades.StartForm(ui, client.DefaultNamespace))
	fmt.Fprintf(out, "Data       %s\n", o.file())
	fmt.Fprintf(out, "Logs       %s, worker.log\n", server.logFile)
	fmt.Fprintf(out, "Clusters   %s (%s)\n", o.Clusters, known)
	fmt.Fprintf(out, "Ready in %.1fs. Ctrl-C ends it; upgrades under way go on at the next start.\n", took.Seconds())
}

// await asks until it is so, the child is given up, or it takes too long.
func (o Options) await(ctx context.Context, ended <-chan error, patience time.Duration, so func(context.Context) error) error {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := so(limit)
		if err == nil {
			return nil
		}
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.Done():
			return fmt.Errorf("dev: %w after %s: %w; see the logs in %s", errNotYet, patience, err, o.Data)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errNotYet = errors.New("not ready")

func (o Options) serverAnswers(ctx context.Context) error {
	c, err := o.dial(ctx)
	if err != nil {
		return fmt.Errorf("the Temporal server does not answer at %s", o.address())
	}
	c.Close()
	return nil
}

// workerPolls reports whether a worker polls the task queue. The server knows only of polls since its own start.
func (o Options) workerPolls(ctx context.Context) error {
	none := fmt.Errorf("the worker does not poll task queue %s", workflows.TaskQueue)
	c, err := o.dial(ctx)
	if err != nil {
		return none
	}
	defer c.Close()
	var d *workflowservice.DescribeTaskQueueResponse
	d, err = c.DescribeTaskQueue(ctx, workflows.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil || len(d.GetPollers()) == 0 {
		return none
	}
	return nil
}

func (o Options) dial(ctx context.Context) (client.Client, error) {
	return client.DialContext(ctx, client.Options{
		HostPort:          o.address(),
		Logger:            sdklog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil))),
		ConnectionOptions: client.ConnectionOptions{GetSystemInfoTimeout: time.Second},
	})
}

// teller says one line at a time, with the time of day.
func teller(out io.Writer) func(string, ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%s %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
	}
}

// goRun runs f; its result can be read once, then the channel is closed.
func goRun(f func() error) <-chan error {
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		if err := f(); err != nil {
			ended <- err
		}
	}()
	return ended
}

func drain(ended <-chan error) {
	for range ended {
	}
}

// ignoreInterrupt takes an end that was asked for as a success.
func ignoreInterrupt(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if err != nil && exit.Code(err) == exit.Unexpected {
		return exit.Errorf(exit.Unexpected, "%v", err)
	}
	return err
}
