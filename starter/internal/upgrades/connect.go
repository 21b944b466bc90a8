package upgrades

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	sdklog "go.temporal.io/sdk/log"

	"github.com/pawl-dev/pawl/internal/codec"
	"github.com/pawl-dev/pawl/internal/tracing"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// dialPatience is how long a server may take to answer. It covers one that is just starting.
const dialPatience = 3 * time.Second

// Client is a connection to the Temporal that runs the upgrades.
type Client struct {
	temporal  client.Client
	traced    func(context.Context) error // sends what is left of the traces
	Address   string
	Namespace string
}

// Connect finds Temporal by its standard configuration: temporal.toml and TEMPORAL_* variables, else localhost.
func Connect(ctx context.Context) (*Client, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, exit.Errorf(exit.BadInput, "read Temporal's client configuration: %v", oneLine(err))
	}
	if options.HostPort == "" {
		options.HostPort = "127.0.0.1:7233"
	}
	if file := os.Getenv(codec.Environment); file != "" {
		encryption, err := codec.Load(ctx, file, codec.KMS{})
		if err != nil {
			return nil, exit.Errorf(exit.BadInput, "%v", err)
		}
		if err := encryption.ApplyToReader(&options); err != nil {
			return nil, exit.Errorf(exit.Unexpected, "%v", err)
		}
	}
	traces, traced, err := tracing.Start(ctx, "pawl", func(error) {})
	if err != nil {
		return nil, exit.Errorf(exit.BadInput, "%v", oneLine(err))
	}
	options.Interceptors = append(options.Interceptors, traces...)
	c, err := Dial(ctx, options)
	if err == nil {
		c.traced = traced
	}
	return c, err
}

// Dial connects with given options.
func Dial(ctx context.Context, options client.Options) (*Client, error) {
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	options.Logger = sdklog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	options.ConnectionOptions.GetSystemInfoTimeout = dialPatience
	ctx, cancel := context.WithTimeout(ctx, dialPatience+time.Second)
	defer cancel()
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, exit.Errorf(exit.Unreachable, `connect to Temporal at %s: %s; start one with "pawl dev", or set TEMPORAL_ADDRESS`,
			options.HostPort, whyUnreachable(options.HostPort, err))
	}
	return &Client{temporal: c, Address: options.HostPort, Namespace: options.Namespace}, nil
}

// tracePatience is how long a collector of traces may take when a command is done.
const tracePatience = 2 * time.Second

// Close gives the connection back.
func (c *Client) Close() {
	c.temporal.Close()
	if c.traced != nil {
		ctx, cancel := context.WithTimeout(context.Background(), tracePatience)
		defer cancel()
		_ = c.traced(ctx) // the command has done what was asked
	}
}

// whyUnreachable says in a few words what a plain connection meets; gRPC's own account of it is long.
func whyUnreachable(address string, err error) string {
	conn, plain := net.DialTimeout("tcp", address, time.Second)
	if plain == nil {
		conn.Close()
		return oneLine(err) // something listens, so what the protocol says is the fact
	}
	var dns *net.DNSError
	switch {
	case errors.Is(plain, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(plain, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.Is(plain, os.ErrDeadlineExceeded):
		return "no answer"
	}
	return oneLine(plain)
}

// oneLine is an error's text on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
