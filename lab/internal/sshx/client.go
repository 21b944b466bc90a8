package sshx

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pawl-dev/pawl/lab/internal/netns"
)

// Access says how the nodes are reached.
type Access struct {
	NetNS      string // network namespace to connect from
	User       string
	Signer     ssh.Signer
	KnownHosts string // file
}

// Client is a connection to one host.
type Client struct {
	name string
	conn *ssh.Client
}

// Dial connects to a host once.
func (a Access) Dial(ctx context.Context, name, address string) (*Client, error) {
	check, err := knownhosts.New(a.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("ssh %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	target := address + ":22"
	raw, err := netns.Dial(ctx, a.NetNS, target)
	if err != nil {
		return nil, fmt.Errorf("ssh %s: %w", name, err)
	}
	deadline, _ := ctx.Deadline()
	_ = raw.SetDeadline(deadline)
	conn, chans, reqs, err := ssh.NewClientConn(raw, target, &ssh.ClientConfig{
		User:              a.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(a.Signer)},
		HostKeyCallback:   check,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("ssh %s: %w", name, err)
	}
	_ = raw.SetDeadline(time.Time{})
	return &Client{name: name, conn: ssh.NewClient(conn, chans, reqs)}, nil
}

// Wait connects to a host that is starting, trying until patience ends.
func (a Access) Wait(ctx context.Context, name, address string, patience time.Duration) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c, err := a.Dial(ctx, name, address)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no answer within %s: %w", patience, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Run runs a shell command and returns its output. A failure carries the end
// of what the command wrote.
func (c *Client) Run(ctx context.Context, command string) (string, error) {
	return c.run(ctx, command, nil)
}

// Put writes a file on the host.
func (c *Client) Put(ctx context.Context, path string, content []byte) error {
	_, err := c.run(ctx, "cat > "+path, content)
	return err
}

func (c *Client) run(ctx context.Context, command string, stdin []byte) (string, error) {
	s, err := c.conn.NewSession()
	if err != nil {
		return "", fmt.Errorf("ssh %s: %w", c.name, err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr, s.Stdin = &out, &errs, bytes.NewReader(stdin)
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Run(command); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return out.String(), fmt.Errorf("%s: %s: %w%s", c.name, firstLine(command), err, tail(out.String()+errs.String(), 15))
	}
	return out.String(), nil
}

func firstLine(s string) string {
	s, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more {
		s += " ..."
	}
	return s
}

// tail is the last lines of a command's output, each on an indented line.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "\n    " + strings.Join(lines, "\n    ")
}
