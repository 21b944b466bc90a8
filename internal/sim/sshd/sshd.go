// Package sshd is the SSH server of a simulated machine: a real handshake with a host key of its own, public keys, and
// sessions that run one command line each.
//
// Rule: it listens exactly while the machine has power, always on the same port. What a cable, a firewall or a hanging
// host does to a client, Cut and Hang do.
package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/sim/machine"
)

// maxSessions is sshd's MaxSessions (sshd_config(5)).
const maxSessions = 10

// Options say how a machine is reached.
type Options struct {
	Machine *machine.Machine
	Address string // to listen at; "" is a free port of 127.0.0.1
	// HostKey is the server's; nil: a new one.
	HostKey ed25519.PrivateKey
	// Authorized are the keys that are accepted, by user.
	Authorized map[string][]gossh.PublicKey
}

// Server is the SSH server of one machine. Its methods may be used concurrently, and from the machine's hooks.
type Server struct {
	opts    Options
	address string
	signer  gossh.Signer
	config  *gossh.ServerConfig

	mu       sync.Mutex
	listener net.Listener // nil while the machine is off
	conns    map[*conn]bool
	resume   chan struct{} // closed when what hangs goes on; nil when nothing hangs
	closed   bool
	serving  sync.WaitGroup
}

// New makes the server of a machine. From now on it listens whenever the machine is on.
func New(o Options) (*Server, error) {
	if o.HostKey == nil {
		var err error
		if _, o.HostKey, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
	}
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	signer, err := gossh.NewSignerFromKey(o.HostKey)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, signer: signer, conns: map[*conn]bool{}}
	s.config = &gossh.ServerConfig{ServerVersion: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7", PublicKeyCallback: s.authorize}
	s.config.AddHostKey(signer)
	// The port is taken now, so that the address is known before the machine is on.
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, err
	}
	s.address = listener.Addr().String()
	if o.Machine.Up() {
		s.listen(listener)
	} else {
		_ = listener.Close()
	}
	o.Machine.Watch(s.power)
	return s, nil
}

// Address is where the server listens, always the same.
func (s *Server) Address() string { return s.address }

// HostKey is the public half of the server's key, for known_hosts.
func (s *Server) HostKey() gossh.PublicKey { return s.signer.PublicKey() }

// Close ends the server for good and waits for its connections. Commands go on, as under sshd, while there is power.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.shut()
	s.serving.Wait()
}

func (s *Server) authorize(meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	if slices.ContainsFunc(s.opts.Authorized[meta.User()], func(k gossh.PublicKey) bool { return string(k.Marshal()) == string(key.Marshal()) }) {
		return nil, nil
	}
	return nil, errors.New("not an authorized key")
}

// power follows the machine's.
func (s *Server) power(up bool) {
	if !up {
		s.shut()
		return
	}
	s.mu.Lock()
	busy := s.listener != nil || s.closed
	s.mu.Unlock()
	if busy {
		return
	}
	// Somebody else may have the port for a moment: a client's connection from a port that happens to be ours.
	for range 100 {
		listener, err := net.Listen("tcp", s.address)
		if err == nil {
			s.listen(listener)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) listen(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil || s.closed {
		_ = l.Close()
		return
	}
	s.listener = l
	s.serving.Go(func() { s.accept(l) })
}

// shut closes the port and all connections.
func (s *Server) shut() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	if s.resume != nil {
		close(s.resume)
		s.resume = nil
	}
	s.mu.Unlock()
	s.Cut()
}

// Cut closes all connections now. What they had begun goes on.
func (s *Server) Cut() {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.cut()
	}
}

// Hang freezes the server for d: nothing is read, written or answered, on old connections and on new ones; then all
// goes on. Commands that run go on meanwhile.
func (s *Server) Hang(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resume != nil || s.listener == nil {
		return
	}
	resume := make(chan struct{})
	s.resume = resume
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.resume == resume {
			close(resume)
			s.resume = nil
		}
	})
}

// pass waits until nothing hangs, or until the connection is cut.
func (s *Server) pass(c *conn) error {
	for {
		s.mu.Lock()
		resume := s.resume
		s.mu.Unlock()
		if resume == nil {
			return c.ctx.Err()
		}
		select {
		case <-resume:
		case <-c.ctx.Done():
			return net.ErrClosed
		}
	}
}

// conn is a connection that can be cut and can hang.
type conn struct {
	net.Conn
	s   *Server
	ctx context.Context // ends with the connection
	end context.CancelFunc
}

func (c *conn) cut() {
	c.end()
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, as when the power of a host or its network goes and comes back
	}
	_ = c.Close()
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if passed := c.s.pass(c); passed != nil {
		return 0, passed
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.s.pass(c); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (s *Server) accept(l net.Listener) {
	for {
		tcp, err := l.Accept()
		if err != nil {
			return
		}
		ctx, end := context.WithCancel(context.Background())
		c := &conn{Conn: tcp, s: s, ctx: ctx, end: end}
		s.mu.Lock()
		if s.listener != l {
			s.mu.Unlock()
			c.cut()
			return
		}
		s.conns[c] = true
		s.serving.Go(func() { s.serve(c) })
		s.mu.Unlock()
	}
}

func (s *Server) serve(c *conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.end()
		_ = c.Close()
	}()
	server, channels, requests, err := gossh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	go answer(requests)
	var mu sync.Mutex
	open := 0
	for channel := range channels {
		if channel.ChannelType() != "session" {
			_ = channel.Reject(gossh.UnknownChannelType, "unknown channel type")
			continue
		}
		mu.Lock()
		refuse := open == maxSessions
		if !refuse {
			open++
		}
		mu.Unlock()
		if refuse {
			// sshd's answer to a session too many (session.c).
			_ = channel.Reject(gossh.ConnectionFailed, "open failed")
			continue
		}
		go func() {
			s.session(c, server.User(), channel)
			mu.Lock()
			open--
			mu.Unlock()
		}()
	}
}

// answer answers requests that are not about a session, keepalive@openssh.com among them: sshd does not know it either,
// and to say so is the answer (channels.c of OpenSSH, client_alive_check).
func answer(requests <-chan *gossh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

// session runs the one command of a session.
func (s *Server) session(c *conn, user string, n gossh.NewChannel) {
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	for r := range requests {
		if r.Type != "exec" {
			if r.WantReply {
				_ = r.Reply(false, nil) // no pty, no environment, no subsystem
			}
			continue
		}
		var payload struct{ Command string }
		if err := gossh.Unmarshal(r.Payload, &payload); err != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		go answer(requests)
		code := s.opts.Machine.Run(c.ctx, payload.Command, user, channel, channel, channel.Stderr())
		if code >= 0 {
			// A shell that was ended by a signal would be told of by "exit-signal"; a login shell that runs a command
			// reports 128 + the signal.
			_, _ = channel.SendRequest("exit-status", false, gossh.Marshal(struct{ Code uint32 }{uint32(code)}))
		}
		break
	}
	_ = channel.Close()
}

// String names the server for people.
func (s *Server) String() string {
	return fmt.Sprintf("sshd of %s at %s", s.opts.Machine.Name(), s.address)
}
