package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	"github.com/pawl-dev/pawl/internal/metrics"
)

// Registry keeps all metrics of one worker.
type Registry struct {
	*prometheus.Registry
	counters   map[string]*prometheus.CounterVec
	histograms map[string]*prometheus.HistogramVec
	sdk        client.MetricsHandler

	mu     sync.Mutex
	polled map[string]time.Time // by the kind of poller, when one began to poll last
}

// sdkBuckets are for the SDK's latencies, in seconds: requests take milliseconds, activities and workflows up to hours.
var sdkBuckets = []float64{0.005, 0.02, 0.1, 0.5, 1, 5, 10, 60, 600, 3600}

// NewRegistry makes one with the collectors of Go and the process.
func NewRegistry() (*Registry, error) {
	r := &Registry{
		Registry: prometheus.NewRegistry(),
		counters: map[string]*prometheus.CounterVec{}, histograms: map[string]*prometheus.HistogramVec{},
		polled: map[string]time.Time{},
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, m := range metrics.All {
		switch m.Kind {
		case metrics.Counter:
			r.counters[m.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
			r.MustRegister(r.counters[m.Name])
		case metrics.Histogram:
			r.histograms[m.Name] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.Buckets}, m.Labels)
			r.MustRegister(r.histograms[m.Name])
		}
	}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(r), otelprometheus.WithoutTargetInfo(), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics of Temporal's SDK: %w", err)
	}
	latencies := metric.NewView(metric.Instrument{Name: "*", Kind: metric.InstrumentKindHistogram, Scope: instrumentation.Scope{Name: sdkScope}},
		metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: sdkBuckets, NoMinMax: true}})
	provider := metric.NewMeterProvider(metric.WithReader(exporter), metric.WithView(latencies))
	r.sdk = opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter: provider.Meter(sdkScope), UseMonotonicCounters: true,
		OnError: func(error) {}, // a metric of the SDK's that has a bad name is not worth a panic
	})
	return r, nil
}

const sdkScope = "temporal-sdk-go"

// Know begins the series of these clusters whose labels are known.
func (r *Registry) Know(clusters ...string) {
	for _, m := range metrics.All {
		for _, cluster := range clusters {
			for _, values := range m.Known {
				values := append([]string{cluster}, values...)
				switch m.Kind {
				case metrics.Counter:
					r.counters[m.Name].WithLabelValues(values...)
				case metrics.Histogram:
					r.histograms[m.Name].WithLabelValues(values...)
				}
			}
		}
	}
}

// Handler is what a client of Temporal's SDK records with: pawl's own metrics go to their series, with their own labels
// only, the SDK's to its own.
func (r *Registry) Handler() client.MetricsHandler { return handler{registry: r, sdk: r.sdk} }

type handler struct {
	registry *Registry
	sdk      client.MetricsHandler
	tags     map[string]string
}

// WithTags implements client.MetricsHandler.
func (h handler) WithTags(tags map[string]string) client.MetricsHandler {
	all := maps.Clone(h.tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	return handler{registry: h.registry, sdk: h.sdk.WithTags(tags), tags: all}
}

// Counter implements client.MetricsHandler.
func (h handler) Counter(name string) client.MetricsCounter {
	if vec, ok := h.registry.counters[name]; ok {
		return counter{vec.With(h.labels(name))}
	}
	return h.sdk.Counter(name)
}

// Gauge implements client.MetricsHandler.
func (h handler) Gauge(name string) client.MetricsGauge {
	if name == "temporal_num_pollers" {
		return pollers{h.sdk.Gauge(name), h.registry, h.tags["poller_type"]}
	}
	return h.sdk.Gauge(name)
}

// Timer implements client.MetricsHandler.
func (h handler) Timer(name string) client.MetricsTimer {
	if vec, ok := h.registry.histograms[name]; ok {
		return timer{vec.With(h.labels(name))}
	}
	return h.sdk.Timer(name)
}

// labels are the metric's own; what the SDK adds of itself is left out.
func (h handler) labels(name string) prometheus.Labels {
	i := slices.IndexFunc(metrics.All, func(m metrics.Metric) bool { return m.Name == name })
	labels := prometheus.Labels{}
	for _, l := range metrics.All[i].Labels {
		labels[l] = h.tags[l]
	}
	return labels
}

// pollers notes when the SDK begins to poll.
type pollers struct {
	client.MetricsGauge
	registry *Registry
	kind     string
}

// Update implements client.MetricsGauge.
func (p pollers) Update(n float64) {
	p.MetricsGauge.Update(n)
	if n > 0 {
		p.registry.mu.Lock()
		defer p.registry.mu.Unlock()
		p.registry.polled[p.kind] = time.Now()
	}
}

// pollsWithin is how often the SDK begins a poll at least: one lasts a minute, and some time passes between two that fail.
const pollsWithin = 2 * time.Minute

// Polling returns nil when workers of this process poll for workflows' and activities' tasks; else what they do not poll for.
func (r *Registry) Polling(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range []string{"workflow_task", "activity_task"} {
		if last, ok := r.polled[kind]; !ok || time.Since(last) > pollsWithin {
			return fmt.Errorf("nothing polls for %ss", strings.ReplaceAll(kind, "_", " "))
		}
	}
	return nil
}

type counter struct{ prometheus.Counter }

// Inc implements client.MetricsCounter.
func (c counter) Inc(n int64) { c.Add(float64(n)) }

type timer struct{ prometheus.Observer }

// Record implements client.MetricsTimer.
func (t timer) Record(d time.Duration) { t.Observe(d.Seconds()) }
