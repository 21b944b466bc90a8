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
	"syscall"
	"time"
	_ "time/tzdata" // maintenance windows, where the machine has no time zones

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/config"
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
	var clusters string
	cmd := &cobra.Command{
		Use:   "pawl-worker",
		Short: "Do the work of pawl's upgrades",
		Long: `pawl-worker polls Temporal's task queue "pawl" and upgrades the clusters that are defined in a folder, one YAML
file for each. It finds Temporal by the standard environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY,
TEMPORAL_TLS_*, or a profile of temporal.toml; without them, localhost:7233.`,
		Example:       "  pawl-worker --clusters /etc/pawl/clusters",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return run(clusters) },
	}
	folder := os.Getenv("PAWL_CLUSTERS")
	if folder == "" {
		folder = "clusters"
	}
	cmd.Flags().StringVar(&clusters, "clusters", folder, "folder of cluster definitions; default also from PAWL_CLUSTERS")
	return cmd
}

// stopTimeout is how long activities may go on after a request to stop. Short, since another worker takes them over
// where they are, and commands on hosts go on by themselves.
const stopTimeout = 3 * time.Second

func run(clusters string) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	names, err := config.Names(clusters)
	if err != nil {
		return err
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return fmt.Errorf("read Temporal's configuration: %w", err)
	}
	options.Logger = log.NewStructuredLogger(logger)
	temporal, err := dial(options, logger)
	if err != nil {
		return err
	}
	defer temporal.Close()
	if err := ensureSearchAttributes(context.Background(), temporal.OperatorService(), cmp.Or(options.Namespace, client.DefaultNamespace)); err != nil {
		return err
	}

	w := worker.New(temporal, workflows.TaskQueue, worker.Options{
		WorkerStopTimeout: stopTimeout,
		Interceptors:      []interceptor.WorkerInterceptor{activities.NewInterceptor()},
	})
	link := func(workflow, run string) string {
		return temporalui.Link(cmp.Or(options.HostPort, client.DefaultHostPort), os.Getenv("PAWL_TEMPORAL_UI"), cmp.Or(options.Namespace, client.DefaultNamespace), workflow, run)
	}
	register(w, &activities.Activities{Directory: newDirectory(clusters), Past: past{temporal}, Upgrades: upgrades{temporal}, Link: link})
	logger.Info("pawl-worker is ready", "taskQueue", workflows.TaskQueue, "clusters", names)
	return w.Run(interrupted())
}

// register gives the worker all that it can do.
func register(w worker.Registry, a *activities.Activities) {
	w.RegisterWorkflowWithOptions(workflows.ClusterUpgrade, workflow.RegisterOptions{Name: workflows.ClusterUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.ClusterPlan, workflow.RegisterOptions{Name: workflows.ClusterPlanName})
	w.RegisterWorkflowWithOptions(workflows.ClusterInventory, workflow.RegisterOptions{Name: workflows.ClusterInventoryName})
	w.RegisterWorkflowWithOptions(workflows.ScheduledUpgrade, workflow.RegisterOptions{Name: workflows.ScheduledUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.NodeUpgrade, workflow.RegisterOptions{Name: workflows.NodeUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.FleetUpgrade, workflow.RegisterOptions{Name: workflows.FleetUpgradeName})
	w.RegisterActivity(a)
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
			logger.Warn("Temporal does not answer yet; waiting for it", "address", options.HostPort, "error", err)
			said = true
		}
		select {
		case <-stop:
			return nil, fmt.Errorf("connect to Temporal at %s: %w", options.HostPort, err)
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
