package ssh

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/fault"
)

// maxSessions bounds the commands that run at once over one connection. sshd allows 10 (MaxSessions of
// sshd_config(5)) and refuses the rest.
const maxSessions = 8

// Client is a connection to one host. It connects when it is first needed and again when the connection was lost.
// It is safe for concurrent use.
type Client struct {
	cfg      Config
	sessions chan struct{} // one token per command under way
	dialing  chan struct{} // one token: only one caller dials, the others wait for its connection

	mu     sync.Mutex
	conn   *gossh.Client // nil when there is none
	closed bool
}

// New makes a client. Nothing is opened and no file is read before the first command.
func New(cfg Config) *Client {
	return &Client{
		cfg:      cfg.withDefaults(),
		sessions: make(chan struct{}, maxSessions),
		dialing:  make(chan struct{}, 1),
	}
}

// Close ends the connection. Commands under way end with OutcomeUnknown; later ones are refused.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn = nil
	return conn.Close()
}

// DialContext opens a TCP connection from the host to address, through the SSH connection (direct-tcpip, RFC 4254
// section 7.2). sshd must allow it: AllowTcpForwarding. Nothing was sent yet, so a connection that turns out to be dead is
// replaced once.
func (c *Client) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	for dead := 0; ; dead++ {
		conn, err := c.connect(ctx)
		if err != nil {
			return nil, err
		}
		tunnel, err := conn.DialContext(ctx, network, address)
		if err == nil {
			return tunnel, nil
		}
		remedy := ""
		if refused := new(gossh.OpenChannelError); errors.As(err, &refused) {
			remedy = "check that it is up, and that it can be reached from there"
			if refused.Reason == gossh.Prohibited {
				remedy = "let sshd there forward connections (AllowTcpForwarding, PermitOpen in sshd_config)"
			}
		} else if ctx.Err() == nil {
			c.drop(conn)
			if dead == 0 {
				continue
			}
		}
		return nil, fault.Wrap(fault.Unreachable, "connect to "+address+" through", c.cfg.target(), err, remedy)
	}
}

// connect returns the open connection, or opens one.
func (c *Client) connect(ctx context.Context) (*gossh.Client, error) {
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case c.dialing <- struct{}{}:
		defer func() { <-c.dialing }()
	case <-ctx.Done():
		return nil, c.unreachable(ctx.Err())
	}
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err // another caller has just opened it
	}
	conn, err := dial(ctx, c.cfg)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, fault.New(fault.Unreachable, "connect to", c.cfg.target(), "the client was closed", "")
	}
	c.conn = conn
	go c.watch(conn)
	return conn, nil
}

func (c *Client) current() (*gossh.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fault.New(fault.Unreachable, "connect to", c.cfg.target(), "the client was closed", "")
	}
	return c.conn, nil
}

// drop forgets a connection that is of no use any more, so that the next caller opens a new one.
func (c *Client) drop(conn *gossh.Client) {
	c.mu.Lock()
	if c.conn == conn {
		c.conn = nil
	}
	c.mu.Unlock()
	_ = conn.Close()
}

// watch asks the peer regularly whether it is there, and drops the connection when it does not answer in time. TCP
// alone would wait for many minutes after the peer lost its power.
func (c *Client) watch(conn *gossh.Client) {
	defer c.drop(conn)
	ended := make(chan struct{})
	go func() {
		_ = conn.Wait()
		close(ended)
	}()
	ticker := time.NewTicker(c.cfg.KeepAliveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		// Closing the connection makes SendRequest return.
		timeout := time.AfterFunc(c.cfg.KeepAliveTimeout, func() { _ = conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		timeout.Stop()
		if err != nil {
			return
		}
	}
}

func (c *Client) unreachable(err error) error {
	return fault.Wrap(fault.Unreachable, "connect to", c.cfg.target(), err, "")
}
