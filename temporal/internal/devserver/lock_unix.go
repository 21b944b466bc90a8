//go:build unix

package devserver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile makes this process the only user of the database, until it ends in whatever way: the kernel gives the
// lock back. The lock has a file of its own, since SQLite uses locks on the database itself.
func lockFile(database string) (release func(), err error) {
	f, err := os.OpenFile(database+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", database, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: another server uses this file; end that one first, or name another file", database)
		}
		return nil, fmt.Errorf("lock %s: %w", database, err)
	}
	return func() { f.Close() }, nil
}
