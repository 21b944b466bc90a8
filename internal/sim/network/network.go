// Package network gives the simulated nodes addresses of their own. The API server refuses to talk to a kubelet on the
// loopback interface, where all of them are. So nodes have addresses that belong to nobody, and the API server reaches
// them through its own means for networks that it is not part of: an egress proxy.
// Source: https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/
package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Network knows where on the loopback interface the nodes' addresses are.
type Network struct {
	dir    string // of the proxy's socket
	server *http.Server

	mu     sync.Mutex
	places map[string]string
}

// New starts the proxy.
func New() (*Network, error) {
	// A folder of its own: the path of a socket may have a hundred characters only, and is nobody else's business.
	dir, err := os.MkdirTemp("", "pawl-sim-")
	if err != nil {
		return nil, fmt.Errorf("start the nodes' network: %w", err)
	}
	n := &Network{dir: dir, places: map[string]string{}}
	l, err := net.Listen("unix", n.Socket())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the nodes' network: %w", err), os.RemoveAll(dir))
	}
	n.server = &http.Server{Handler: http.HandlerFunc(n.connect)}
	go func() { _ = n.server.Serve(l) }()
	return n, nil
}

// NodeAddress is the address of the node with this number, from the range for tests between networks (RFC 2544).
func NodeAddress(number int) string { return fmt.Sprintf("198.18.%d.%d", number/250, number%250+1) }

// Socket is the Unix socket at which the proxy listens.
func (n *Network) Socket() string { return filepath.Join(n.dir, "egress") }

// Join says where connections to address (host:port) go.
func (n *Network) Join(address, place string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.places[address] = place
}

// Close ends the proxy. Connections that it has made stay.
func (n *Network) Close() { _ = errors.Join(n.server.Close(), os.RemoveAll(n.dir)) }

// connect answers CONNECT: a connection to an address of a node.
func (n *Network) connect(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	place, ok := n.places[r.URL.Host]
	n.mu.Unlock()
	if !ok || r.Method != http.MethodConnect {
		http.Error(w, "no such node", http.StatusBadGateway)
		return
	}
	there, err := net.DialTimeout("tcp", place, 10*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	_, err = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	if err == nil {
		join(here, there)
	}
	_ = errors.Join(here.Close(), there.Close())
}

// join copies both ways until one side has ended.
func join(a, b net.Conn) {
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
