package supervise

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Starter starts every child from one thread that lives as long as the process. The kernel sends the parent-death
// signal when the *thread* that started the child ends, and Go ends threads as it likes.
type Starter struct {
	requests chan request
}

type request struct {
	cmd  *exec.Cmd
	done chan error
}

// NewStarter makes a Starter. It is never given back.
func NewStarter() *Starter {
	s := &Starter{requests: make(chan request)}
	go func() {
		runtime.LockOSThread() // never unlocked
		for r := range s.requests {
			r.done <- r.cmd.Start()
		}
	}()
	return s
}

// Start starts a child that dies with this process, kill -9 included. It gets a process group of its own, so that
// Ctrl-C reaches only this process, which then ends the children in their order. Whatever else its attributes say, such
// as another user, stays.
func (s *Starter) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
	r := request{cmd, make(chan error)}
	s.requests <- r
	return <-r.done
}
