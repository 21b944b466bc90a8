package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"al.essio.dev/pkg/shellescape"
	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/fault"
)

// Command is what to run. It and Result are aliases, so that a consumer can name the same shape in an interface of
// its own without importing this package.
type Command = struct {
	Argv  []string // program and arguments; each reaches the program as it is
	Stdin []byte   // may hold secrets; never part of an error
	Root  bool     // run as root: by sudo when the user is another
}

// Result is how a command ended.
type Result = struct {
	Stdout   string
	Stderr   string
	ExitCode int  // 128 + the signal's number when a signal ended it
	Cut      bool // there was more output than maxOutput, and the rest of it is lost
}

// maxOutput bounds each of standard output and standard error.
const maxOutput = 1 << 20

// Run runs the command and waits for its end. A command that ends with another exit code than 0 is not an error.
func (c *Client) Run(ctx context.Context, cmd Command) (Result, error) {
	line, err := commandLine(cmd, c.cfg.User)
	if err != nil {
		return Result{}, fault.Wrap(fault.InvalidInput, "run a command on", c.cfg.target(), err, "")
	}
	select {
	case c.sessions <- struct{}{}:
		defer func() { <-c.sessions }()
	case <-ctx.Done():
		return Result{}, c.unreachable(ctx.Err())
	}
	session, err := c.open(ctx)
	if err != nil {
		return Result{}, err
	}
	result, err := c.run(ctx, session, line, cmd)
	if err != nil {
		return Result{}, err
	}
	if cmd.Root && c.cfg.User != "root" && sudoRefused(result) {
		return Result{}, fault.New(fault.Unauthorized, "run "+cmd.Argv[0]+" as root on", c.cfg.target(), lastLine(result.Stderr),
			"let user "+c.cfg.User+" run it by sudo without a password: install the file that `pawl sudoers` writes (docs/sudo.md)")
	}
	return result, nil
}

// sessionPatience is how long a refused session is asked for again. sshd counts a session until it has cleaned up after
// it, a moment after its end was seen here, so a refusal for too many sessions is usually over at once.
const sessionPatience = 2 * time.Second

// open opens a session. Nothing was started yet, so a connection that turns out to be dead is replaced once, and a
// refusal is asked again.
func (c *Client) open(ctx context.Context) (*gossh.Session, error) {
	deadline := time.Now().Add(sessionPatience)
	for dead := 0; ; {
		conn, err := c.connect(ctx)
		if err != nil {
			return nil, err
		}
		session, err := await(ctx, conn.NewSession, func(s *gossh.Session) { _ = s.Close() })
		if err == nil {
			return session, nil
		}
		if ctx.Err() != nil {
			return nil, c.unreachable(ctx.Err())
		}
		var refused *gossh.OpenChannelError
		if errors.As(err, &refused) { // the peer is alive and says no
			if refused.Reason != gossh.ConnectionFailed || time.Now().After(deadline) {
				return nil, fault.Wrap(fault.Conflict, "open a session on", c.cfg.target(), err, "")
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		c.drop(conn)
		if dead++; dead == 2 {
			return nil, c.unreachable(err)
		}
	}
}

// run runs the line in the session. From here on, whatever goes wrong, the command may have been started.
func (c *Client) run(ctx context.Context, session *gossh.Session, line string, cmd Command) (Result, error) {
	var stdout, stderr output
	session.Stdout, session.Stderr = &stdout, &stderr
	stdin, err := session.StdinPipe()
	if err != nil {
		return Result{}, fault.Wrap(fault.Unexpected, "run "+cmd.Argv[0]+" on", c.cfg.target(), err, "")
	}
	wait := func() (struct{}, error) {
		if err := session.Start(line); err != nil {
			return struct{}{}, err
		}
		go func() {
			// A command need not read its standard input to the end, so a failure here is none.
			_, _ = stdin.Write(cmd.Stdin)
			_ = stdin.Close()
		}()
		return struct{}{}, session.Wait()
	}
	_, err = await(ctx, wait, func(struct{}) {})
	if ctx.Err() != nil && err != nil {
		go func() { // sending can block while the peer does not answer
			_ = session.Signal(gossh.SIGTERM)
			_ = session.Close()
		}()
		return Result{}, c.unknown(cmd, ctx.Err())
	}
	defer func() { _ = session.Close() }()
	var exit *gossh.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
	default:
		return Result{}, c.unknown(cmd, err)
	}
	result := Result{Cut: stdout.cut || stderr.cut, Stdout: stdout.String(), Stderr: stderr.String()}
	if exit != nil {
		result.ExitCode = exit.ExitStatus()
	}
	return result, nil
}

func (c *Client) unknown(cmd Command, err error) error {
	return &fault.Error{
		Kind: fault.OutcomeUnknown, Op: "run " + cmd.Argv[0] + " on", Target: c.cfg.target(),
		Fact: "the connection was lost while it ran", Err: err,
	}
}

// await runs f and returns what it returns, or ctx's error when ctx ends first; then discard gets what f returns later.
func await[T any](ctx context.Context, f func() (T, error), discard func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				discard(o.value)
			}
		}()
		var none T
		return none, ctx.Err()
	}
}

// commandLine renders the command for the user's login shell, which sshd hands it to (sshd(8), LOGIN PROCESS).
// sudo's own messages are read below, so they are asked for in English.
func commandLine(cmd Command, user string) (string, error) {
	if len(cmd.Argv) == 0 {
		return "", errors.New("the command is empty")
	}
	for i, arg := range cmd.Argv {
		if strings.ContainsRune(arg, 0) {
			return "", fmt.Errorf("argument %d of %s holds a NUL byte", i, cmd.Argv[0])
		}
	}
	line := shellescape.QuoteCommand(cmd.Argv)
	if cmd.Root && user != "root" {
		return "LC_ALL=C sudo -n -- " + line, nil
	}
	return line, nil
}

// sudoRefused reports whether sudo itself, not the command, said no (the messages are those of sudo 1.9 and 1.8).
func sudoRefused(r Result) bool {
	if r.ExitCode != 1 {
		return false
	}
	line := lastLine(r.Stderr)
	for _, said := range []string{"a password is required", "a terminal is required", "not in the sudoers file", "is not allowed to execute", "may not run sudo"} {
		if strings.Contains(line, said) {
			return true
		}
	}
	return false
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// output keeps the first maxOutput bytes that are written to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
	cut bool
}

// Write takes everything, so that the command never blocks on a full pipe.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := maxOutput - o.buf.Len()
	if len(p) > room {
		o.cut = true
		o.buf.Write(p[:room])
		return len(p), nil
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
