package main

import (
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/workflows"
)

// stopTimeout is how long activities may go on after a request to stop. Short, since another worker takes them over
// where they are, and commands on hosts go on by themselves.
const stopTimeout = 3 * time.Second

// serve polls the task queues until the process is asked to stop, or one of them fails for good. Workflows are only done on
// their own queue: what a site is asked for is activities.
func serve(temporal client.Client, queues []string, deployment worker.DeploymentOptions, a *activities.Activities, ready func() error) error {
	failed := make(chan error, len(queues))
	var workers []worker.Worker
	defer func() {
		var stopping sync.WaitGroup
		for _, w := range workers {
			stopping.Go(w.Stop)
		}
		stopping.Wait()
	}()
	for _, queue := range queues {
		w := worker.New(temporal, queue, worker.Options{
			WorkerStopTimeout:     stopTimeout,
			Interceptors:          []interceptor.WorkerInterceptor{activities.NewInterceptor(a.Events)},
			DisableWorkflowWorker: queue != workflows.TaskQueue,
			DeploymentOptions:     deployment,
			OnFatalError:          func(err error) { failed <- err },
		})
		if queue == workflows.TaskQueue {
			register(w)
		}
		w.RegisterActivity(a)
		if err := w.Start(); err != nil {
			return err
		}
		workers = append(workers, w)
	}
	if err := ready(); err != nil {
		return err
	}
	select {
	case <-interrupted():
		return nil
	case err := <-failed:
		return err
	}
}

// register gives a worker all workflows.
func register(w worker.WorkflowRegistry) {
	w.RegisterWorkflowWithOptions(workflows.ClusterUpgrade, workflow.RegisterOptions{Name: workflows.ClusterUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.ClusterPlan, workflow.RegisterOptions{Name: workflows.ClusterPlanName})
	w.RegisterWorkflowWithOptions(workflows.ClusterInventory, workflow.RegisterOptions{Name: workflows.ClusterInventoryName})
	w.RegisterWorkflowWithOptions(workflows.ScheduledUpgrade, workflow.RegisterOptions{Name: workflows.ScheduledUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.NodeUpgrade, workflow.RegisterOptions{Name: workflows.NodeUpgradeName})
	w.RegisterWorkflowWithOptions(workflows.FleetUpgrade, workflow.RegisterOptions{Name: workflows.FleetUpgradeName})
}
