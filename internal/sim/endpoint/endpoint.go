// Package endpoint gives every simulated control plane node an API server address of its own in front of the one real
// API server, and a load balancer in front of these.
//
// Rule: what a client asks is answered by the real API server. An endpoint only decides whether it is there at all, as
// the API server of its node would or would not be, and which version it says it is.
package endpoint

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Endpoint is the API server of one node, as clients see it.
type Endpoint struct {
	address     string
	certificate tls.Certificate
	proxy       http.Handler

	mu       sync.Mutex
	up       bool // its process runs
	blocked  bool // nobody reaches it
	version  upgrade.Version
	emulates upgrade.Version   // zero: its own minor
	server   *http.Server      // nil while it is away
	shared   *queue            // connections that the balancer hands over
	failing  map[string]string // by cause: the health check that fails
}

// New takes an address on the loopback interface for an endpoint in front of backend. It is away until Up.
func New(backend *rest.Config, certificateFile, keyFile string) (*Endpoint, error) {
	certificate, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("make API endpoint: %w", err)
	}
	proxy, err := newProxy(backend)
	if err != nil {
		return nil, fmt.Errorf("make API endpoint: %w", err)
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, fmt.Errorf("make API endpoint: %w", err)
	}
	return &Endpoint{address: address, failing: map[string]string{}, certificate: certificate, proxy: proxy}, nil
}

// Address is host:port.
func (e *Endpoint) Address() string { return e.address }

// Up makes it answer, as an API server of version v.
func (e *Endpoint) Up(v upgrade.Version) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.version, e.up = v, true
	return e.settle()
}

// Down makes it vanish, with every connection that it has.
func (e *Endpoint) Down() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up = false
	_ = e.settle() // closing does not fail
}

// Block makes it unreachable, whether it is up or not, or reachable again.
func (e *Endpoint) Block(blocked bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.blocked = blocked
	return e.settle()
}

// settle brings the server to what is wanted. e.mu is held.
func (e *Endpoint) settle() error {
	switch wanted := e.up && !e.blocked; {
	case wanted && e.server == nil:
		return e.listen()
	case !wanted && e.server != nil:
		_ = e.server.Close()
		e.server, e.shared = nil, nil
	}
	return nil
}

func (e *Endpoint) listen() error {
	l, err := net.Listen("tcp", e.address)
	if err != nil {
		return fmt.Errorf("start API endpoint: %w", err)
	}
	e.server = &http.Server{
		Handler:   http.HandlerFunc(e.serve),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{e.certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // clients that hang up are everyday life
	}
	e.shared = newQueue(l.Addr())
	for _, source := range []net.Listener{l, e.shared} {
		go func(server *http.Server) { _ = server.ServeTLS(source, "", "") }(e.server)
	}
	return nil
}

// Fail makes one of the health checks behind /readyz fail for a cause; "" takes the cause away.
func (e *Endpoint) Fail(cause, check string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if check == "" {
		delete(e.failing, cause)
		return
	}
	e.failing[cause] = check
}

// Emulate makes it say that it behaves as another minor; the zero value ends it.
func (e *Endpoint) Emulate(v upgrade.Version) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.emulates = v
}

// Ready reports whether it answers and is healthy.
func (e *Endpoint) Ready() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server != nil && len(e.failing) == 0
}

// Version is that of the API server behind it.
func (e *Endpoint) Version() upgrade.Version {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.version
}

// take serves a connection that came in elsewhere. It reports whether there was somebody to serve it.
func (e *Endpoint) take(conn net.Conn) bool {
	e.mu.Lock()
	shared, well := e.shared, len(e.failing) == 0
	e.mu.Unlock()
	return shared != nil && well && shared.push(conn)
}

func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	v, emulates, failing := e.version, e.emulates, slices.Sorted(maps.Values(e.failing))
	e.mu.Unlock()
	if emulates.IsZero() {
		emulates = v
	}
	switch {
	case r.URL.Path == "/version":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(version.Info{
			Major: "1", Minor: fmt.Sprint(v.Minor()), EmulationMajor: "1", EmulationMinor: fmt.Sprint(emulates.Minor()), GitVersion: v.String(), Platform: "linux/amd64",
		})
	case len(failing) > 0 && (r.URL.Path == "/readyz" || r.URL.Path == "/healthz"):
		w.WriteHeader(http.StatusInternalServerError)
		for _, check := range failing {
			fmt.Fprintf(w, "[-]%s failed: reason withheld\n", check)
		}
		fmt.Fprintf(w, "%s check failed\n", r.URL.Path[1:])
	default:
		e.proxy.ServeHTTP(w, r)
	}
}

// newProxy passes requests on with the client's own credentials.
func newProxy(backend *rest.Config) (http.Handler, error) {
	target, err := url.Parse(backend.Host)
	if err != nil {
		return nil, err
	}
	plain := rest.AnonymousClientConfig(backend)
	multiplexed, err := rest.TransportFor(plain)
	if err != nil {
		return nil, err
	}
	plain.NextProtos = []string{"http/1.1"}
	single, err := rest.TransportFor(plain)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Upgrade") != "" { // exec; HTTP/2 knows no upgrades
				return single.RoundTrip(r)
			}
			return multiplexed.RoundTrip(r)
		}),
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // hang up, as a server that dies does
	}, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// queue is a listener whose connections come from elsewhere.
type queue struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newQueue(address net.Addr) *queue {
	return &queue{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (q *queue) push(conn net.Conn) bool {
	select {
	case q.conns <- conn:
		return true
	case <-q.closed:
		return false
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.address }
