package ssh

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"
)

// Config says how to reach one host.
type Config struct {
	User    string
	Address string // host or host:port; IPv6 as ::1 or [::1]:22
	Port    int    // used when Address has none; 0 means 22
	// KeyFile is the private key. Without one the keys of ssh-agent are tried.
	KeyFile string
	// CertificateFile is what an SSH CA signed for the key. "" means KeyFile-cert.pub, where there is one.
	CertificateFile string
	// KnownHostsFile holds the host keys to accept. It is read again at every connection, so that a line put right
	// by hand takes effect at the next attempt.
	KnownHostsFile string
	// AgentSocket is ssh-agent's socket, usually $SSH_AUTH_SOCK. Empty means that there is none.
	AgentSocket string
	// Dial opens the TCP connection; nil means directly. It is where a jump host fits in: (*Client).DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	DialTimeout       time.Duration // TCP and SSH handshake together; 0 means 10 s
	KeepAliveInterval time.Duration // 0 means 5 s
	KeepAliveTimeout  time.Duration // 0 means 10 s: a dead peer is noticed after 15 s at most
}

func (c Config) withDefaults() Config {
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 10 * time.Second
	}
	if c.KeepAliveInterval == 0 {
		c.KeepAliveInterval = 5 * time.Second
	}
	if c.KeepAliveTimeout == 0 {
		c.KeepAliveTimeout = 10 * time.Second
	}
	return c
}

// hostPort is the address to dial, always with a port.
func (c Config) hostPort() string {
	if host, port, err := net.SplitHostPort(c.Address); err == nil {
		return net.JoinHostPort(host, port)
	}
	port := c.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(strings.Trim(c.Address, "[]"), strconv.Itoa(port))
}

// target names the connection in errors: "root@10.0.0.11:22".
func (c Config) target() string { return c.User + "@" + c.hostPort() }
