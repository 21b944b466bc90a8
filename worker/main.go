// Command pawl-worker does the work: it polls Temporal for pawl's workflows and activities and talks to the clusters
// that are defined on its side. Any number of workers may run; each must know the clusters it is asked for.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // maintenance windows, where the machine has no time zones

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/codec"
	"github.com/pawl-dev/pawl/internal/config"
	"github.com/pawl-dev/pawl/internal/logs"
	"github.com/pawl-dev/pawl/internal/temporalui"
	"github.com/pawl-dev/pawl/workflows"
)

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "pawl-worker:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "pawl-worker",
		Short: "Do the work of pawl's upgrades",
		Long: `pawl-worker polls Temporal's task queue "pawl" and upgrades the clusters that are defined in a folder, one YAML
file for each. It finds Temporal by the standard environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY,
TEMPORAL_TLS_*, or a profile of temporal.toml; without them, localhost:7233.

Beside a cluster whose definition names a taskQueue, a worker polls that one instead, or both.`,
		Example: `  pawl-worker --clusters /etc/pawl/clusters
  pawl-worker --clusters /etc/pawl/clusters --task-queue site-b`,
		Args:          cobra.NoArgs,
		Version:       buildVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return run(s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.clusters, "clusters", cmp.Or(os.Getenv("PAWL_CLUSTERS"), "clusters"), "folder of cluster definitions; default also from PAWL_CLUSTERS")
	flags.StringSliceVar(&s.queues, "task-queue", strings.Split(cmp.Or(os.Getenv("PAWL_TASK_QUEUE"), workflows.TaskQueue), ","), "task queue to poll; may be said several times; default also from PAWL_TASK_QUEUE")
	flags.StringVar(&s.keys, "encryption-keys", os.Getenv(codec.Environment), "file of keys that payloads are encrypted with; default also from "+codec.Environment)
	flags.StringVar(&s.versioning.deployment, "deployment", os.Getenv("PAWL_DEPLOYMENT"), "name of the Worker Deployment, which turns Worker Versioning on; default also from PAWL_DEPLOYMENT")
	flags.StringVar(&s.versioning.buildID, "build-id", os.Getenv("PAWL_BUILD_ID"), "build id of this worker in its deployment (default its version); default also from PAWL_BUILD_ID")
	flags.StringVar(&s.versioning.behavior, "versioning", os.Getenv("PAWL_VERSIONING"), "what upgrades under way do when another build becomes current: auto-upgrade (default) or pinned; default also from PAWL_VERSIONING")
	s.see.flags(flags)
	return cmd
}

// settings are what a person wants of the worker.
type settings struct {
	clusters   string
	queues     []string
	keys       string
	versioning versioning
	see        seeing
}

func run(s settings) error {
	logger, err := logs.New(os.Stderr, s.see.logFormat)
	if err != nil {
		return err
	}
	names, err := config.Names(s.clusters)
	if err != nil {
		return err
	}
	deployment, err := s.versioning.options()
	if err != nil {
		return err
	}
	queues, err := taskQueues(s.queues)
	if err != nil {
		return err
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return fmt.Errorf("read Temporal's configuration: %w", err)
	}
	options.HostPort = cmp.Or(options.HostPort, client.DefaultHostPort)
	options.Logger = log.NewStructuredLogger(logger)
	options.Identity = identity()
	if s.keys != "" {
		encryption, err := codec.Load(context.Background(), s.keys, codec.KMS{})
		if err != nil {
			return err
		}
		encryption.Apply(&options)
	}
	seen, err := s.see.begin(&options, names, logger)
	if err != nil {
		return err
	}
	defer seen.end()
	temporal, err := dial(options, logger)
	if err != nil {
		return err
	}
	defer temporal.Close()
	if slices.Contains(queues, workflows.TaskQueue) { // only workflows set them
		if err := ensureSearchAttributes(context.Background(), temporal.OperatorService(), cmp.Or(options.Namespace, client.DefaultNamespace)); err != nil {
			return err
		}
	}

	link := func(workflow, run string) string {
		return temporalui.Link(options.HostPort, os.Getenv("PAWL_TEMPORAL_UI"), cmp.Or(options.Namespace, client.DefaultNamespace), workflow, run)
	}
	directory := newDirectory(s.clusters)
	a := &activities.Activities{
		Directory: directory, Past: past{temporal}, Upgrades: upgrades{temporal}, Link: link,
		Events: &nodeEvents{directory: directory, logger: logger},
	}
	return serve(temporal, queues, deployment, a, func() error {
		logger.Info("pawl-worker is ready", "version", buildVersion(), "taskQueues", queues, "clusters", names)
		return seen.watch(temporal, s.clusters)
	})
}

// taskQueues are those that a person named, without what a list may have around its commas.
func taskQueues(named []string) ([]string, error) {
	var queues []string
	for _, name := range named {
		queues = append(queues, strings.TrimSpace(name))
	}
	if len(queues) == 0 || slices.Contains(queues, "") {
		return nil, fmt.Errorf("--task-queue: is %q, wanted the name of a task queue, or several like %s,site-b; also of PAWL_TASK_QUEUE", strings.Join(named, ","), workflows.TaskQueue)
	}
	return queues, nil
}

// identity is how Temporal shows who did something.
func identity() string {
	host, _ := os.Hostname() // else it is left out
	return fmt.Sprintf("%d@%s pawl-worker %s", os.Getpid(), host, buildVersion())
}

// dial waits for Temporal: a worker often starts beside it.
func dial(options client.Options, logger *slog.Logger) (client.Client, error) {
	stop := interrupted()
	for said := false; ; {
		c, err := client.Dial(options)
		if err == nil {
			return c, nil
		}
		if !said {
			logger.Warn("Temporal does not answer yet; waiting for it: start it, or set TEMPORAL_ADDRESS", "address", options.HostPort, "error", err)
			said = true
		}
		select {
		case <-stop:
			return nil, fmt.Errorf("connect to Temporal at %s: %w; start it, or set TEMPORAL_ADDRESS", options.HostPort, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// interrupted is closed (or receives) when the process is asked to stop.
func interrupted() <-chan any {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stop := make(chan any)
	go func() {
		<-signals
		close(stop)
	}()
	return stop
}
