package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is one component that runs.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed at its end
}

// run starts a component. Its output goes to NAME.log.
func (c *ControlPlane) run(name string, args []string) error {
	log, err := os.Create(c.file(name + ".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	p := &process{name: name, cmd: exec.Command(c.program, append([]string{name}, args...)...), log: log.Name(), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = log, log, c.dir
	if err := c.starter.Start(p.cmd); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.running = append(c.running, p)
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	return nil
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// died says why a process ended by itself, with its last words.
func (p *process) died() error {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s died (%s): %s", p.name, p.cmd.ProcessState, lines[len(lines)-1])
}

// stop ends a process, by force when it takes long.
func (p *process) stop() {
	const patience = 5 * time.Second
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// tool runs one of the programs to its end and returns its standard output.
func (c *ControlPlane) tool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
