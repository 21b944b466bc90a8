package tracing

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/tracing/collector"
	"github.com/pawl-dev/pawl/workflows"
)

func DrainNode(context.Context) error { return errors.New("blocked by a budget") }

func NodeUpgrade(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{ActivityID: "drainNode", StartToCloseTimeout: 1e9, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}})
	_ = workflow.ExecuteActivity(ctx, DrainNode).Get(ctx, nil)
	return nil
}

func ClusterUpgrade(ctx workflow.Context) error {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: workflows.NodeUpgradeID("prod", "w1")})
	return workflow.ExecuteChildWorkflow(ctx, NodeUpgrade).Get(ctx, nil)
}

func TestOneUpgradeIsOneTrace(t *testing.T) {
	c := collector.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	interceptors, stop, err := Start(t.Context(), "pawl-worker", func(err error) { t.Error(err) })
	require.NoError(t, err)
	require.Len(t, interceptors, 1)

	for range 2 { // as two workers that take the same run over from each other
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
		env := suite.NewTestWorkflowEnvironment()
		env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{interceptors[0].(interceptor.WorkerInterceptor)}})
		env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.ClusterUpgradeID("prod"), TaskQueue: "pawl"})
		env.RegisterWorkflow(NodeUpgrade)
		env.RegisterActivity(DrainNode)
		env.ExecuteWorkflow(ClusterUpgrade)
		require.NoError(t, env.GetWorkflowError())
	}
	require.NoError(t, stop(t.Context()))

	traces := map[string]bool{}
	spans := map[string]collector.Span{}
	for _, s := range c.Spans() {
		traces[s.Trace] = true
		spans[s.Name] = s
		require.Equal(t, "pawl-worker", s.Resource["service.name"])
		require.Equal(t, "test", s.Resource["deployment.environment.name"])
	}
	require.Len(t, traces, 1, "nobody who traces has started it, and yet it is one")
	require.Equal(t, "prod", spans["RunWorkflow:ClusterUpgrade"].Attributes["pawl.cluster"])
	require.Equal(t, "w1", spans["RunWorkflow:NodeUpgrade"].Attributes["pawl.node"])
	drain := spans["RunActivity:DrainNode"]
	require.Equal(t, []string{"prod", "w1", "drainNode"}, []string{drain.Attributes["pawl.cluster"], drain.Attributes["pawl.node"], drain.Attributes["pawl.step"]})
	require.True(t, drain.Failed)
	require.Contains(t, drain.Status, "blocked by a budget")
	require.False(t, spans["RunWorkflow:ClusterUpgrade"].Failed)
}

func TestOffUnlessAskedFor(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
	} {
		for name, value := range env {
			t.Setenv(name, value)
		}
		interceptors, stop, err := Start(t.Context(), "pawl", func(error) {})
		require.NoError(t, err)
		require.Empty(t, interceptors)
		require.NoError(t, stop(t.Context()))
		for name := range env {
			t.Setenv(name, "")
		}
	}
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
	_, _, err := Start(t.Context(), "pawl", func(error) {})
	require.EqualError(t, err, `OTEL_*: protocol "carrier-pigeon"; wanted http/protobuf or grpc`)
}
