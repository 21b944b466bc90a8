// Package balancer spreads TCP connections over the API servers. Rule: a
// server that says it is not ready gets no new connection while another is;
// one that does not answer at all loses those it has.
package balancer

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	checkEvery  = 500 * time.Millisecond
	checkWithin = 2 * time.Second
	dialWithin  = time.Second
	deadAfter   = 3 // checks without any answer
)

// health is what a check finds.
type health int

const (
	silent   health = iota // no answer
	notReady               // an answer, but not yes
	ready
)

// Balancer is a round-robin load balancer with health checks.
type Balancer struct {
	mu       sync.Mutex
	backends []string
	ready    map[string]bool
	next     int
	open     map[string]map[net.Conn]bool // by backend: what to close when it dies

	check func(ctx context.Context, backend string) health
}

// New balances over backends ("host:port").
func New(backends []string) *Balancer {
	return &Balancer{backends: backends, ready: map[string]bool{}, open: map[string]map[net.Conn]bool{}, check: readyz}
}

// Serve accepts connections until the context or the listener ends.
func (b *Balancer) Serve(ctx context.Context, l net.Listener) error {
	for _, backend := range b.backends {
		go b.watch(ctx, backend)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go b.forward(c)
	}
}

// Pick orders the backends for one connection: the ready ones first, turning
// by one each time, then the others as a last resort.
func (b *Balancer) Pick() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var good, rest []string
	for _, backend := range b.backends {
		if b.ready[backend] {
			good = append(good, backend)
		} else {
			rest = append(rest, backend)
		}
	}
	if n := len(good); n > 1 {
		turn := b.next % n
		good = append(append([]string(nil), good[turn:]...), good[:turn]...)
	}
	b.next++
	return append(good, rest...)
}

// watch keeps one backend's health; each has its own watcher, so that one
// that hangs delays no other.
func (b *Balancer) watch(ctx context.Context, backend string) {
	unanswered := 0
	for {
		found := b.check(ctx, backend)
		b.mu.Lock()
		was := b.ready[backend]
		b.ready[backend] = found == ready
		b.mu.Unlock()
		if (found == ready) != was {
			log.Printf("balancer: %s ready: %t", backend, found == ready)
		}
		unanswered++
		if found != silent {
			unanswered = 0
		}
		if unanswered == deadAfter {
			b.drop(backend)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkEvery):
		}
	}
}

// drop closes the connections to a backend, whose clients would otherwise wait
// for a machine that is gone.
func (b *Balancer) drop(backend string) {
	b.mu.Lock()
	conns := slices.Collect(maps.Keys(b.open[backend]))
	b.mu.Unlock()
	if len(conns) > 0 {
		log.Printf("balancer: %s is silent, closing %d connections", backend, len(conns))
	}
	for _, c := range conns {
		c.Close()
	}
}

var checker = &http.Client{
	Timeout: checkWithin,
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a balancer knows no cluster's authority
	},
}

// readyz asks the API server itself: it says no as soon as it begins to end,
// long before its port closes.
func readyz(ctx context.Context, backend string) health {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+backend+"/readyz", nil)
	if err != nil {
		return silent
	}
	resp, err := checker.Do(req)
	if err != nil {
		return silent
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return notReady
	}
	return ready
}

// forward joins a connection to the first backend that takes it.
func (b *Balancer) forward(c net.Conn) {
	defer c.Close()
	for _, backend := range b.Pick() {
		d, err := net.DialTimeout("tcp", backend, dialWithin)
		if err != nil {
			continue
		}
		b.track(backend, d, true)
		Join(c, d)
		b.track(backend, d, false)
		return
	}
}

// track remembers or forgets an open connection to a backend.
func (b *Balancer) track(backend string, c net.Conn, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !open {
		delete(b.open[backend], c)
		return
	}
	if b.open[backend] == nil {
		b.open[backend] = map[net.Conn]bool{}
	}
	b.open[backend][c] = true
}

// Join copies both ways until both sides have ended, then closes both. A side
// that breaks off ends the other too.
func Join(a, b net.Conn) {
	var wg sync.WaitGroup
	pipe := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			to.Close()
			from.Close()
			return
		}
		if t, ok := to.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}
	wg.Go(func() { pipe(a, b) })
	wg.Go(func() { pipe(b, a) })
	wg.Wait()
	a.Close()
	b.Close()
}
