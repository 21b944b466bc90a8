package provision

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/internal/supervise"
)

// process is one run of a program.
type process struct {
	argv      []string
	folder    string
	in        []byte
	out, errs io.Writer
}

const (
	// patience is how long a program may take to end when it is asked to.
	patience = 10 * time.Second
	// afterwards is how long output is still read from what a program leaves behind.
	afterwards = 2 * time.Second
	// untilGone is how long is waited for what was killed.
	untilGone = 5 * time.Second
)

// starter starts programs that die with this one.
var starter = sync.OnceValue(supervise.NewStarter)

// run runs a program in a process group of its own, until it ends, or ctx does: then the whole group is asked to end, and
// killed where it does not. Nothing of the group is there when run returns.
func run(ctx context.Context, p process) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = p.folder, environment(os.Environ()), afterwards
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(p.in), p.out, p.errs
	if err := starter().Start(cmd); err != nil {
		return err
	}
	group := -cmd.Process.Pid
	defer endGroup(group)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if errors.Is(err, exec.ErrWaitDelay) {
			return nil // it ended well; only what it left behind held its output open
		}
		return err
	case <-ctx.Done():
	}
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-ended
	}
	return ctx.Err()
}

// endGroup kills what a program left behind in its group, and sees it gone. A number is not given to another process while
// it is that of a group.
func endGroup(group int) {
	for end := time.Now().Add(untilGone); syscall.Kill(group, syscall.SIGKILL) == nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// environment is the worker's, without what opens Temporal: that is no business of a provider.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(kv string) bool { return strings.HasPrefix(kv, "TEMPORAL_") })
}
