package node

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/proc"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// KeeperCgroup holds the lab's own processes, outside the nodes: a version 2
// group with processes of its own cannot hand out controllers.
const KeeperCgroup = topology.Name + "/keepers"

// The keeper's hidden commands of pawl-lab.
const (
	KeepCommand = "keep-node"
	InitCommand = "init-node"
)

// Keep is a node's power supply: it boots the node, and boots it again when
// the node reboots itself. It runs in the node's network namespace and ends
// when the node is switched off. Were it killed, the node would go with it.
func Keep(h home.Home, n topology.Node) error {
	runtime.LockOSThread() // the node's life hangs on this thread
	unlock, err := h.Lock("run/nodes/" + string(n) + "/keeper")
	if err != nil {
		return err // another keeps it
	}
	defer unlock()
	self, err := proc.Of(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Save(keeperFile(h, n)); err != nil {
		return err
	}
	defer os.Remove(keeperFile(h, n))
	for {
		again, err := boot(h, n)
		if err != nil || !again {
			return err
		}
		log.Printf("%s reboots", n)
	}
}

// boot runs the node once; again means that it rebooted.
func boot(h home.Home, n topology.Node) (again bool, err error) {
	// The kubelet spends seconds on every group that an earlier boot left.
	if err := cgroup.Remove(n.Cgroup()); err != nil {
		return false, err
	}
	if err := cgroup.Create(n.Cgroup()); err != nil {
		return false, err
	}
	sweep()
	if err := configure(n); err != nil {
		return false, err
	}
	defer silence()
	exe, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(exe, InitCommand, h.Node(string(n), "root"), string(n))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("boot %s: %w", n, err)
	}
	first, err := proc.Of(cmd.Process.Pid)
	if err == nil {
		err = first.Save(initFile(h, n))
	}
	if err != nil {
		return false, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	defer os.Remove(initFile(h, n))
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	log.Printf("%s ended: %s", n, cmd.ProcessState)
	// How reboot(2) ends the first process of a pid namespace.
	return ok && status.Signaled() && status.Signal() == syscall.SIGHUP, nil
}

// Keeper is the process that keeps the node.
func Keeper(h home.Home, n topology.Node) (proc.ID, error) { return proc.Load(keeperFile(h, n)) }

// First is the node's own first process.
func First(h home.Home, n topology.Node) (proc.ID, error) { return proc.Load(initFile(h, n)) }

// Exists reports whether the node has a disk.
func Exists(h home.Home, n topology.Node) bool {
	_, err := os.Stat(h.Node(string(n), "root"))
	return err == nil
}

func keeperFile(h home.Home, n topology.Node) string {
	return filepath.Join(h.Node(string(n)), "keeper.json")
}

func initFile(h home.Home, n topology.Node) string {
	return filepath.Join(h.Node(string(n)), "init.json")
}
