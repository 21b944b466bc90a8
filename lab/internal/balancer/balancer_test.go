package balancer

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestPickTurnsOverTheReadyOnes(t *testing.T) {
	b := New([]string{"a", "b", "c"})
	b.ready["a"], b.ready["c"] = true, true
	var got []string
	for range 3 {
		got = append(got, strings.Join(b.Pick(), ""))
	}
	if want := "acb cab acb"; strings.Join(got, " ") != want {
		t.Errorf("picks %v, want %s", got, want)
	}
}

func TestPickFallsBackToAll(t *testing.T) {
	if got := strings.Join(New([]string{"a", "b"}).Pick(), ""); got != "ab" {
		t.Errorf("with none ready: %s, want ab", got)
	}
}

// echo answers with its name and then holds the connection.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, name)
		}
	}()
	return l.Addr().String()
}

func TestSilentBackendLosesItsConnections(t *testing.T) {
	backend := echo(t, "x")
	b := New([]string{backend})
	b.check = func(context.Context, string) health { return silent }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	go b.Serve(ctx, l)

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal("no answer through the balancer:", err)
	}
	if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection was not closed")
	}
}

func TestDeadBackendIsSkipped(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	b := New([]string{dead, echo(t, "y")})
	client, server := net.Pipe()
	go b.forward(server)
	_ = client.SetDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, 1)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "y" {
		t.Errorf("got %q, %v; want y", got, err)
	}
	client.Close()
}
