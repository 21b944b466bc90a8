package ssh

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/fault"
)

// dial opens a connection and authenticates both ends.
func dial(ctx context.Context, cfg Config) (*gossh.Client, error) {
	auth, err := loadKeys(cfg)
	if err != nil {
		return nil, err
	}
	defer auth.close()
	hostKeys, err := readKnownHosts(cfg)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	tcp, err := cfg.Dial(ctx, "tcp", cfg.hostPort())
	if err != nil {
		return nil, unreachable(cfg, err)
	}
	// The handshake knows nothing of ctx: it ends when the connection is closed.
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	conn, channels, requests, err := gossh.NewClientConn(tcp, cfg.hostPort(), &gossh.ClientConfig{
		User:              cfg.User,
		Auth:              []gossh.AuthMethod{gossh.PublicKeys(auth.signers...)},
		HostKeyCallback:   hostKeys.check,
		HostKeyAlgorithms: hostKeys.algorithms,
		Timeout:           cfg.DialTimeout,
	})
	if !stop() && err == nil {
		err = ctx.Err() // ctx ended, so the connection is closed or about to be
	}
	if err != nil {
		_ = tcp.Close()
		return nil, handshakeFault(ctx, cfg, auth, hostKeys, err)
	}
	_ = tcp.SetDeadline(time.Time{})
	return gossh.NewClient(conn, channels, requests), nil
}

// handshakeFault classifies a failed handshake by how far it got: the network, the host's key, our key.
func handshakeFault(ctx context.Context, cfg Config, auth keys, hostKeys *knownHosts, err error) error {
	var noCommon *gossh.AlgorithmNegotiationError
	var network net.Error
	accepted, refused := hostKeys.verdict()
	switch {
	case refused != nil:
		return refused
	case ctx.Err() != nil:
		return unreachable(cfg, ctx.Err())
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &network):
		return unreachable(cfg, err)
	case errors.As(err, &noCommon) && len(hostKeys.known) > 0:
		return hostKeys.changed("the host no longer offers a key of a type that is known for it")
	case errors.As(err, &noCommon), !accepted:
		return fault.Wrap(fault.Unreachable, "connect to", cfg.target(), err, "check that the host is up and that its address and port are right")
	}
	return &fault.Error{
		Kind: fault.Unauthorized, Op: "connect to", Target: cfg.target(),
		Fact:   "the host refused " + auth.from,
		Remedy: cmp.Or(auth.remedy, "add the public key to ~/.ssh/authorized_keys of user "+cfg.User+" on the host, or name another user or key"),
		Err:    err,
	}
}

func unreachable(cfg Config, err error) error {
	// A host on the way says itself what is wrong, and with which of them.
	if onTheWay := new(fault.Error); errors.As(err, &onTheWay) {
		return fault.Wrap(onTheWay.Kind, "connect to", cfg.target(), err, "")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &fault.Error{
			Kind: fault.Unreachable, Op: "connect to", Target: cfg.target(),
			Fact: "no answer within " + cfg.DialTimeout.String(), Err: err,
		}
	}
	return fault.Wrap(fault.Unreachable, "connect to", cfg.target(), err, "check that the host is up and that its address and port are right")
}
