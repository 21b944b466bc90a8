package telemetry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// answerWithin bounds every answer.
const answerWithin = 5 * time.Second

// Server answers who asks after the worker: /metrics, /healthz, /readyz. It shows nothing that is secret and changes
// nothing; it is plain HTTP, as Prometheus and a kubelet ask by default.
type Server struct {
	Address string // where it listens

	checks atomic.Pointer[[]Check]
	server *http.Server
}

// Check is a condition of being ready.
type Check struct {
	Name string
	Look func(context.Context) error
}

// Listen answers at the address until Close. Until Ready, it is alive but not ready.
func Listen(address string, r *Registry) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w; wanted an address like 127.0.0.1:9464 or :9464 that is free", address, err)
	}
	s := &Server{Address: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, EnableOpenMetrics: true, MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	s.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: answerWithin, ReadTimeout: answerWithin, WriteTimeout: 2 * answerWithin, IdleTimeout: time.Minute,
	}
	go func() { _ = s.server.Serve(listener) }() // it ends with Close
	return s, nil
}

// Ready says what has to be true from now on for the worker to be ready.
func (s *Server) Ready(checks ...Check) { s.checks.Store(&checks) }

// Close ends it, and who is being answered.
func (s *Server) Close() { _ = s.server.Close() }

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	checks := s.checks.Load()
	if checks == nil {
		http.Error(w, "not ready: the worker is starting", http.StatusServiceUnavailable)
		return
	}
	for _, c := range *checks {
		if err := c.Look(ctx); err != nil {
			http.Error(w, fmt.Sprintf("not ready: %s: %v", c.Name, err), http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = fmt.Fprintln(w, "ok")
}
