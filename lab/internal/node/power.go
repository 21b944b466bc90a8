package node

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// PowerOn starts the node's keeper with the given copy of this program.
func PowerOn(h home.Home, exe string, n topology.Node) error {
	if id, err := Keeper(h, n); err != nil || id.Alive() {
		if err == nil {
			err = fmt.Errorf("start %s: it runs already", n)
		}
		return err
	}
	out, err := os.OpenFile(h.Node(string(n), "keeper.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(exe, KeepCommand, string(n), "--dir", string(h))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := netns.Start(n.NetNS(), cmd); err != nil {
		return fmt.Errorf("start %s: %w", n, err)
	}
	defer cmd.Process.Release()
	// Out of the group of whoever called: its end must not be the node's.
	if err := cgroup.Enter(KeeperCgroup, cmd.Process.Pid); err != nil {
		return fmt.Errorf("start %s: %w", n, err)
	}
	for range 100 {
		if id, err := First(h, n); err == nil && id.Alive() {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("start %s: its first process did not appear; see %s", n, out.Name())
}

// EnsureOn is PowerOn for a node that may be on already, or about to be.
func EnsureOn(h home.Home, exe string, n topology.Node) error {
	id, err := Keeper(h, n)
	if err != nil {
		return err
	}
	if id.Alive() {
		return cgroup.Enter(KeeperCgroup, id.PID) // whoever started it may not have come so far
	}
	return PowerOn(h, exe, n)
}

// PowerOff pulls the node's plug: all its processes end at once, its disk
// stays. A node that is off is left alone.
func PowerOff(h home.Home, n topology.Node) error {
	first, err := First(h, n)
	if err != nil {
		return err
	}
	keeper, err := Keeper(h, n)
	if err != nil {
		return err
	}
	if first.Alive() {
		// First the network: a machine without power says no goodbye.
		_ = netns.IP(n.NetNS(), "link set eth0 down")
	}
	if err := first.Stop(syscall.SIGKILL, 10*time.Second); err != nil {
		return err
	}
	// It ends by itself when the node does; unless it was just about to boot it.
	for range 100 {
		if !keeper.Alive() {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return keeper.Stop(syscall.SIGKILL, 10*time.Second)
}
