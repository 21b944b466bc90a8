//go:build !linux

package supervise

import (
	"os/exec"
	"syscall"
)

// Starter starts children. There is no parent-death signal here: after a kill -9 of this process they have to be
// ended by hand.
type Starter struct{}

// NewStarter makes a Starter.
func NewStarter() *Starter { return &Starter{} }

// Start starts a child in a process group of its own, so that Ctrl-C reaches only this process, which then ends the
// children in their order. Whatever else its attributes say stays.
func (*Starter) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	return cmd.Start()
}
