package devserver

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/temporal"
)

// stopPatience is how long an orderly end may take. Nothing is lost after it: the file is durable at any moment.
const stopPatience = 5 * time.Second

// Run serves until the context ends, then stops in good order.
func Run(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	file, err := filepath.Abs(o.File)
	if err != nil {
		return fmt.Errorf("open %s: %w", o.File, err)
	}
	o.File = file
	if err := folder(file); err != nil {
		return err
	}
	release, err := lockFile(file)
	if err != nil {
		return err
	}
	defer release()
	if err := checkFree("server", "--port", o.IP, o.Port); err != nil {
		return err
	}
	if !o.Headless {
		if err := checkFree("web UI", "--ui-port", o.UIIP, o.UIPort); err != nil {
			return err
		}
	}
	if err := prepareDatabase(file); err != nil {
		return err
	}
	if err := createNamespaces(file, o.namespaces(), o.attributes()); err != nil {
		return err
	}
	server, err := newServer(o)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start Temporal: %w", err)
	}
	defer stopWithin(stopPatience, server)
	if err := awaitReady(ctx, o); err != nil {
		if ctx.Err() != nil {
			return nil // asked to end before it was ready
		}
		return err
	}
	at := Addresses{Frontend: o.frontend()}
	if !o.Headless {
		stopUI, url := startUI(o)
		defer stopUI()
		at.UI = url
	}
	if o.Ready != nil {
		o.Ready(at)
	}
	<-ctx.Done()
	return nil
}

func newServer(o Options) (temporal.Server, error) {
	internal, err := internalPorts()
	if err != nil {
		return nil, err
	}
	settings := dynamicconfig.StaticClient(defaults())
	for k, v := range o.DynamicConfig {
		settings[k] = v
	}
	logger := log.Logger(log.NewNoopLogger())
	if o.LogLevel != "never" {
		logger = log.NewZapLogger(log.BuildZapLogger(log.Config{Level: o.LogLevel, Format: "json"}))
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(serverConfig(o, internal)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts(o, internal)),
		temporal.WithLogger(logger),
		temporal.WithDynamicConfigClient(settings),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("start Temporal: %w", err)
	}
	return server, nil
}

// awaitReady returns when the server answers and its search attributes are registered.
func awaitReady(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	quiet := sdklog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	for {
		c, err := client.DialContext(ctx, client.Options{HostPort: o.frontend(), Logger: quiet})
		if err == nil {
			defer c.Close()
			return registerSearchAttributes(ctx, c, o.namespaces(), o.attributes())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start Temporal: it does not answer at %s: %w", o.frontend(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stopWithin stops the server, and gives up waiting after a while.
func stopWithin(d time.Duration, server temporal.Server) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Stop()
	}()
	select {
	case <-stopped:
	case <-time.After(d):
	}
}
