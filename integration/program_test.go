package integration

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/pawl-dev/pawl/internal/supervise"
)

// beside starts what runs beside the tests and ends with them.
var beside = supervise.NewStarter()

// program is one that runs beside a test and can be ended and started again; what it says goes to a file.
type program struct {
	path string
	args []string
	env  []string // beside ours
	as   *syscall.Credential
	log  string
	cmd  *exec.Cmd
}

func (p *program) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	return beside.Start(p.cmd)
}

// end sends a signal and waits for the end. An end by the signal itself is none that it is blamed for.
func (p *program) end(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	err := p.cmd.Wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == signal {
		return nil
	}
	return err
}
