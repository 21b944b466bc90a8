// Package infra is the lab's one infrastructure process: package repositories,
// image registry, load balancer and the relay of the web UI. Rule: it runs in
// the lab's network and holds no state.
package infra

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/balancer"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/registry"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Command is the hidden command of pawl-lab that runs this.
const Command = "serve-infra"

// RelayFD is the inherited listener on the machine's loopback, if there is one.
const RelayFD = 3

// ReadyFile tells that everything listens.
func ReadyFile(h home.Home) string { return h.Run("infra.ready") }

// Serve runs until the context ends.
func Serve(outer context.Context, h home.Home, controlPlanes []topology.Node, relay bool) error {
	g, ctx := errgroup.WithContext(outer)
	listen := func(port int) (net.Listener, error) {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", topology.Gateway, port))
		if err == nil {
			context.AfterFunc(ctx, func() { l.Close() })
		}
		return l, err
	}
	repo, err := listen(80)
	if err != nil {
		return err
	}
	images, err := listen(topology.RegistryPort)
	if err != nil {
		return err
	}
	api, err := listen(topology.APIPort)
	if err != nil {
		return err
	}
	var backends []string
	for _, n := range controlPlanes {
		backends = append(backends, n.APIServer())
	}
	g.Go(func() error { return http.Serve(repo, logged(http.FileServer(http.Dir(h.Run("repo"))))) })
	g.Go(func() error { return http.Serve(images, registry.Handler(artefacts.Images(h))) })
	g.Go(func() error { return balancer.New(backends).Serve(ctx, api) })
	if relay {
		l, err := net.FileListener(os.NewFile(RelayFD, "relay"))
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		context.AfterFunc(ctx, func() { l.Close() })
		g.Go(func() error { return relayTo(topology.WebUIAddress, l) })
	}
	if err := home.WriteFile(ReadyFile(h), nil, 0o644); err != nil {
		return err
	}
	err = g.Wait()
	asked := outer.Err() != nil
	if asked && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// relayTo joins every connection on the machine's loopback to an address in
// the lab's network.
func relayTo(address string, l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			d, err := net.DialTimeout("tcp", address, 2*time.Second)
			if err != nil {
				c.Close() // nothing runs there now
				return
			}
			balancer.Join(c, d)
		}()
	}
}

func logged(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("repository: %s %s %s", r.RemoteAddr, r.Method, r.URL.Path)
		h.ServeHTTP(w, r)
	})
}
