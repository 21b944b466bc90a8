// Package remote lets other commands speak to a cluster that runs: over a Unix socket in its folder.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/sim/scenario"
)

// Cluster is the one that runs.
type Cluster interface {
	Fault(ctx context.Context, faults ...scenario.Fault) error
	Machine(node string) *machine.Machine // nil when there is no such node
}

func socket(dir string) string { return filepath.Join(dir, "control.sock") }

// Serve listens in dir until stop is called.
func Serve(dir string, c Cluster) (stop func(), err error) {
	l, err := net.Listen("unix", socket(dir))
	if err != nil {
		return nil, fmt.Errorf("listen for other commands: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		line, err := io.ReadAll(io.LimitReader(r.Body, 4096))
		var f scenario.Fault
		if err == nil {
			f, err = scenario.ParseLine(string(line))
		}
		if err == nil && f.Node != "*" && c.Machine(f.Node) == nil {
			err = fmt.Errorf("%q: the cluster has no node %q", f.Line, f.Node)
		}
		if err == nil {
			// What it starts may outlive the request.
			err = c.Fault(context.WithoutCancel(r.Context()), f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	return func() { _ = server.Close() }, nil
}

// Answers reports whether a cluster runs in dir.
func Answers(dir string) bool {
	conn, err := net.DialTimeout("unix", socket(dir), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Fault adds a fault to the cluster that runs in dir.
func Fault(ctx context.Context, dir, line string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket(dir))
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sim/faults", strings.NewReader(line))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no simulated cluster runs in %s; start one with \"pawl-sim up\", or name its folder with --dir", dir)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return errors.New(strings.TrimSpace(string(text)))
	}
	return nil
}
