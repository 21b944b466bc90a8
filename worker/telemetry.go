package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"
	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/config"
	"github.com/pawl-dev/pawl/internal/telemetry"
	"github.com/pawl-dev/pawl/internal/tracing"
	"github.com/pawl-dev/pawl/internal/visibility"
)

// seeing is what of the worker can be seen from outside, as a person wants it.
type seeing struct{ listen, logFormat string }

func (s *seeing) flags(f *pflag.FlagSet) {
	f.StringVar(&s.listen, "listen", os.Getenv("PAWL_LISTEN"), "address that answers /metrics, /healthz and /readyz, like 127.0.0.1:9464; none without it; default also from PAWL_LISTEN")
	f.StringVar(&s.logFormat, "log-format", cmp.Or(os.Getenv("PAWL_LOG_FORMAT"), "text"), "text or json; default also from PAWL_LOG_FORMAT")
}

// seen is what begin has set up. Without an address to listen at there are neither registry nor server.
type seen struct {
	registry *telemetry.Registry
	server   *telemetry.Server
	traced   func(context.Context) error
	logger   *slog.Logger
}

// begin lets the client record and trace, and answers that the worker is alive, before there is a connection to Temporal.
func (s seeing) begin(options *client.Options, clusters []string, logger *slog.Logger) (*seen, error) {
	traces, traced, err := tracing.Start(context.Background(), "pawl-worker", func(err error) {
		logger.Warn("traces are lost", "error", err)
	})
	if err != nil {
		return nil, err
	}
	options.Interceptors = append(options.Interceptors, traces...)
	is := &seen{traced: traced, logger: logger}
	if s.listen == "" {
		return is, nil
	}
	if is.registry, err = telemetry.NewRegistry(); err != nil {
		return nil, err
	}
	is.registry.Know(clusters...)
	options.MetricsHandler = is.registry.Handler()
	if is.server, err = telemetry.Listen(s.listen, is.registry); err != nil {
		return nil, err
	}
	logger.Info("metrics and probes are answered", "address", is.server.Address)
	return is, nil
}

// recent is how old an upgrade's end may be for it to be shown still.
const recent = 7 * 24 * time.Hour

// lookEach bounds one question to visibility.
const lookEach = 3 * time.Second

// watch tells, from now on, of the upgrades that Temporal knows, and whether the worker is ready.
func (s *seen) watch(temporal client.Client, clusters string) error {
	if s.server == nil {
		return nil
	}
	look := func(ctx context.Context) ([]visibility.Upgrade, error) {
		if names, err := config.Names(clusters); err == nil { // definitions come and go
			s.registry.Know(names...)
		}
		return visibility.Newest(ctx, temporal, visibility.RecentQuery(time.Now().Add(-recent)), lookEach)
	}
	s.server.Ready(
		telemetry.Check{Name: "Temporal", Look: func(ctx context.Context) error {
			_, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
			return err
		}},
		telemetry.Check{Name: "polling", Look: s.registry.Polling},
		telemetry.Check{Name: "cluster definitions", Look: func(context.Context) error {
			_, err := config.Names(clusters)
			return err
		}},
	)
	return s.registry.Register(telemetry.Upgrades(look))
}

// sendPatience is how long a collector of traces may take when the worker ends.
const sendPatience = 2 * time.Second

func (s *seen) end() {
	ctx, cancel := context.WithTimeout(context.Background(), sendPatience)
	defer cancel()
	if err := s.traced(ctx); err != nil {
		s.logger.Warn("the last traces are lost", "error", err)
	}
	if s.server != nil {
		s.server.Close()
	}
}
