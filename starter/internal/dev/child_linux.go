package dev

import (
	"os/exec"
	"runtime"
	"syscall"
)

// starter starts every child from one thread that lives as long as the process. The kernel sends the parent-death
// signal when the *thread* that started the child ends, and Go ends threads as it likes.
type starter struct {
	requests chan startRequest
}

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest)}
	go func() {
		runtime.LockOSThread() // never unlocked
		for r := range s.requests {
			r.done <- r.cmd.Start()
		}
	}()
	return s
}

// start starts a child that dies with this process, kill -9 included. It gets a process group of its own, so that
// Ctrl-C reaches only this process, which then ends the children in their order.
func (s *starter) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	r := startRequest{cmd, make(chan error)}
	s.requests <- r
	return <-r.done
}
