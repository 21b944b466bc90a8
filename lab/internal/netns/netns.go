// Package netns works with named network namespaces. Rule: a thread that has
// entered one is never used for anything else afterwards.
package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const dir = "/run/netns"

// Exists reports whether the namespace is there.
func Exists(name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// List names the namespaces that begin with prefix.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Add makes a namespace.
func Add(name string) error { return IP("", "netns add "+name) }

// Delete removes a namespace; a missing one is no error.
func Delete(name string) error {
	if !Exists(name) {
		return nil
	}
	return IP("", "netns del "+name)
}

// IP runs ip(8) commands one after another, in a namespace if one is named.
func IP(name string, commands ...string) error {
	var args []string
	if name != "" {
		args = append(args, "-n", name)
	}
	for _, c := range commands {
		// One call each: ip's batch mode names the failing line only by number.
		out, err := exec.Command("ip", append(append([]string(nil), args...), strings.Fields(c)...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", c, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// Do runs fn on a thread of its own inside the namespace.
func Do(name string, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := enter(name); err != nil {
			done <- err
			return
		}
		done <- fn()
	}()
	return <-done
}

// Start starts a command inside the namespace.
func Start(name string, cmd *exec.Cmd) error {
	return Do(name, cmd.Start)
}

// Exec replaces this process by a program inside the namespace.
func Exec(name string, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("run %s: %w", argv[0], errors.Unwrap(err)) // without naming it twice
	}
	runtime.LockOSThread()
	if err := enter(name); err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

// Dial connects to an address (not a name) inside the namespace.
func Dial(ctx context.Context, name, address string) (net.Conn, error) {
	var conn net.Conn
	err := Do(name, func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

func enter(name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("enter network %s: %w; is the lab up? (pawl-lab up)", name, err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network %s: %w", name, err)
	}
	return nil
}
