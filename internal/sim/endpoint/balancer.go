package endpoint

import (
	"errors"
	"fmt"
	"net"
)

// Balancer is one address in front of several endpoints. It passes whole connections, as a load balancer for TCP does,
// to those that are ready.
type Balancer struct {
	listener  net.Listener
	endpoints []*Endpoint
}

// Balance starts a balancer.
func Balance(endpoints []*Endpoint) (*Balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start load balancer: %w", err)
	}
	b := &Balancer{listener: l, endpoints: endpoints}
	go b.run()
	return b, nil
}

// Address is host:port.
func (b *Balancer) Address() string { return b.listener.Addr().String() }

// Close ends it. Connections that it has passed on stay.
func (b *Balancer) Close() { _ = b.listener.Close() }

func (b *Balancer) run() {
	for next := 0; ; next++ {
		conn, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && !b.pass(conn, next) {
			_ = conn.Close()
		}
	}
}

// pass gives the connection to the first that takes it, beginning with another one each time.
func (b *Balancer) pass(conn net.Conn, first int) bool {
	for i := range b.endpoints {
		if b.endpoints[(first+i)%len(b.endpoints)].take(conn) {
			return true
		}
	}
	return false
}
