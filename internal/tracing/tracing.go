// Package tracing exports what Temporal's SDK traces to an OpenTelemetry collector.
//
// Rule: it is off unless the standard environment (OTEL_*) says where traces go; one upgrade is one trace, whoever started
// it and however often workers were replaced meanwhile.
package tracing

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"

	"github.com/pawl-dev/pawl/workflows"
)

// Start makes what intercepts the calls of a client and, by itself, of its workers, and what sends the rest when the program ends. There is
// none where the environment does not ask for traces. What cannot be sent is lost, and warn is told why: no upgrade waits
// for a collector.
// Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func Start(ctx context.Context, service string, warn func(error)) (_ []interceptor.ClientInterceptor, stop func(context.Context) error, err error) {
	stop = func(context.Context) error { return nil }
	if !wanted() {
		return nil, stop, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(warn))
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, stop, fmt.Errorf("OTEL_*: %w", err)
	}
	is, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", service)), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, stop, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(is))
	// People who watch ask every second; that is no part of an upgrade.
	temporal, err := opentelemetry.NewTracer(opentelemetry.TracerOptions{Tracer: provider.Tracer(service), DisableQueryTracing: true, DisableBaggage: true})
	if err != nil {
		return nil, stop, err
	}
	return []interceptor.ClientInterceptor{interceptor.NewTracingInterceptor(tracer{temporal})}, provider.Shutdown, nil
}

func wanted() bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_TRACES_EXPORTER") == "otlp" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// newExporter makes the exporter of the protocol that is asked for. All else it reads from the environment by itself.
func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	switch p := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); p {
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("protocol %q; wanted http/protobuf or grpc", p)
	}
}

// tracer adds to Temporal's what its spans are about.
type tracer struct{ interceptor.Tracer }

// StartSpan implements interceptor.Tracer. What nobody started that traces, such as an upgrade from Temporal's UI or from a
// schedule, has a trace of its run's own: the same each time that a worker takes it over.
func (t tracer) StartSpan(o *interceptor.TracerStartSpanOptions) (interceptor.TracerSpan, error) {
	workflow, run := o.Tags["temporalWorkflowID"], o.Tags["temporalRunID"]
	if o.Parent == nil && run != "" {
		hash := sha256.Sum256([]byte(workflow + "/" + run))
		parent, err := t.UnmarshalSpan(map[string]string{"traceparent": fmt.Sprintf("00-%x-%x-01", hash[:16], hash[16:24])})
		if err != nil {
			return nil, err
		}
		o.Parent = parent
	}
	activityType := ""
	if o.Operation == "RunActivity" || o.Operation == "StartActivity" {
		activityType = o.Name
	}
	s := workflows.SubjectOf(workflow, activityType, o.Tags["temporalActivityID"])
	for tag, value := range map[string]string{"pawl.cluster": s.Cluster, "pawl.node": s.Node, "pawl.step": s.Step} {
		if value != "" {
			if o.Tags == nil {
				o.Tags = map[string]string{}
			}
			o.Tags[tag] = value
		}
	}
	return t.Tracer.StartSpan(o)
}
