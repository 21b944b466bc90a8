// Package remote lets other commands speak to a cluster that runs: over a Unix socket in its folder.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/sim/scenario"
)

// Cluster is the one that runs.
type Cluster interface {
	Fault(ctx context.Context, faults ...scenario.Fault) error
	Commands(node string) ([]string, error) // that have begun on a node's machine
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
		if err == nil {
			// What it starts may outlive the request.
			err = c.Fault(context.WithoutCancel(r.Context()), f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /commands/{node}", func(w http.ResponseWriter, r *http.Request) {
		lines, err := c.Commands(r.PathValue("node"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, line := range lines {
			fmt.Fprintln(w, line)
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
	_, err := ask(ctx, dir, http.MethodPost, "/faults", line)
	return err
}

// Commands are the command lines that have begun on a node, one a line.
func Commands(ctx context.Context, dir, node string) (string, error) {
	return ask(ctx, dir, http.MethodGet, "/commands/"+url.PathEscape(node), "")
}

func ask(ctx context.Context, dir, method, path, body string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket(dir))
	}}}
	request, err := http.NewRequestWithContext(ctx, method, "http://sim"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("no simulated cluster runs in %s; start one with \"pawl-sim up\", or name its folder with --dir", dir)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return string(text), err
}
