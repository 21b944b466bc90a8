package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/supervise"
)

// dev is a `pawl dev`, a Temporal server and a worker, on ports of its own.
type dev struct {
	dir, address, ui string
	namespace        string
	cmd              *exec.Cmd
}

// startDev starts one with a folder of its own.
func startDev() (d *dev, err error) {
	d = &dev{namespace: client.DefaultNamespace}
	if d.dir, err = os.MkdirTemp("", "pawl-integration-"); err != nil {
		return nil, err
	}
	if err = os.Mkdir(d.clusters(), 0o700); err != nil {
		return nil, err
	}
	if d.address, err = endpoint.FreeAddress(); err != nil {
		return nil, err
	}
	if d.ui, err = endpoint.FreeAddress(); err != nil {
		return nil, err
	}
	return d, d.start()
}

// clusters is the folder of cluster definitions.
func (d *dev) clusters() string { return filepath.Join(d.dir, "clusters") }

func (d *dev) start() error {
	_, port, _ := net.SplitHostPort(d.address)
	_, uiPort, _ := net.SplitHostPort(d.ui)
	log, err := os.OpenFile(filepath.Join(d.dir, "dev.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	d.cmd = exec.Command("pawl", "dev", "--clusters", d.clusters(), "--data", filepath.Join(d.dir, "data"), "--port", port, "--ui-port", uiPort)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	return supervise.NewStarter().Start(d.cmd)
}

// killAndRestart ends the server, the worker and what started them in an instant, and starts them anew.
func (d *dev) killAndRestart() error {
	_ = d.cmd.Process.Kill() // its children die with it
	_ = d.cmd.Wait()
	for _, address := range []string{d.address, d.ui} { // of children that are still dying
		for {
			c, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			_ = c.Close()
			time.Sleep(10 * time.Millisecond)
		}
	}
	return d.start()
}

func (d *dev) stop() {
	_ = d.cmd.Process.Signal(os.Interrupt)
	_ = d.cmd.Wait()
	_ = os.RemoveAll(d.dir)
}
