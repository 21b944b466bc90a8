// Package home knows where the lab keeps its files. Rule: cache/ is made once
// and may be kept for ever, run/ belongs to the running lab and goes with it.
package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// EnvVar names the environment variable that overrides the default folder.
const EnvVar = "PAWL_LAB_HOME"

// Home is the lab's folder.
type Home string

// Locate picks the folder: the flag if given, else $PAWL_LAB_HOME, else
// pawl-lab in the user's cache folder.
func Locate(flag string) (Home, error) {
	dir := flag
	if dir == "" {
		dir = os.Getenv(EnvVar)
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the lab's folder: %w; give --dir or set %s", err, EnvVar)
		}
		dir = filepath.Join(base, "pawl-lab")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the lab's folder: %w", err)
	}
	return Home(abs), nil
}

// Cache is a path below the folder of what is built once.
func (h Home) Cache(elem ...string) string {
	return filepath.Join(append([]string{string(h), "cache"}, elem...)...)
}

// Run is a path below the folder of the running lab.
func (h Home) Run(elem ...string) string {
	return filepath.Join(append([]string{string(h), "run"}, elem...)...)
}

// Node is a path below one node's folder.
func (h Home) Node(name string, elem ...string) string {
	return h.Run(append([]string{"nodes", name}, elem...)...)
}

// Cluster is a path below the folder with the cluster definition and the files
// it points at.
func (h Home) Cluster(elem ...string) string {
	return h.Run(append([]string{"clusters"}, elem...)...)
}

// Lock takes an exclusive lock that keeps a second command of the same kind
// out. It is released by the returned function or by the end of the process.
func (h Home) Lock(name string) (func(), error) { return h.lock(name, syscall.LOCK_EX) }

// Share takes the lock together with others that share it.
func (h Home) Share(name string) (func(), error) { return h.lock(name, syscall.LOCK_SH) }

// Await takes an exclusive lock as soon as it is free.
func (h Home) Await(ctx context.Context, name string) (func(), error) {
	for {
		unlock, err := h.Lock(name)
		if err == nil || !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ErrLocked says that somebody else has the lock.
var ErrLocked = errors.New("another pawl-lab command works there; wait for it to end")

func (h Home) lock(name string, how int) (func(), error) {
	path := filepath.Join(string(h), name+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the lab's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", h, err)
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// Once makes the directory target by calling fill on a temporary sibling and
// renaming it, so that a killed build leaves nothing half-made. It reports
// whether the directory was there already.
func Once(target string, fill func(tmp string) error) (cached bool, err error) {
	if _, err := os.Stat(target); err == nil {
		return true, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	tmp := target + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return false, fmt.Errorf("clear an unfinished build: %w", err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return false, err
	}
	if err := fill(tmp); err != nil {
		os.RemoveAll(tmp)
		return false, err
	}
	return false, os.Rename(tmp, target)
}

// WriteFile writes a file by way of a temporary sibling, so that a reader sees
// the old content or the new one.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	if err := os.Chmod(tmp, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
