package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/proc"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Down removes all that Up made, however far it came, and keeps the cache. It
// reports whether there was anything.
func Down(h home.Home) (something bool, err error) {
	unlock, err := h.Lock("lab")
	if err != nil {
		return false, err
	}
	defer unlock()
	state, err := LoadState(h)
	if errors.Is(err, ErrNoLab) {
		if netns.Exists(topology.Name) {
			return false, fmt.Errorf("lab: network %s exists, but not from %s; give the --dir that it was made with", topology.Name, h)
		}
		return false, os.RemoveAll(h.Run())
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(powerOff(h), removeNetworks(), removeGroups(), restoreInotify(state.InotifyInstances), removeFiles(h))
}

// powerOff ends the nodes, then the infrastructure, then whatever is left in
// the lab's own control groups.
func powerOff(h home.Home) error {
	var nodes errgroup.Group
	for _, n := range topology.All() {
		nodes.Go(func() error { return node.PowerOff(h, n) })
	}
	errs := []error{nodes.Wait()}
	infra, err := proc.Load(infraFile(h))
	if err == nil {
		err = infra.Stop(syscall.SIGTERM, 5*time.Second)
		if err != nil {
			err = infra.Stop(syscall.SIGKILL, 5*time.Second)
		}
	}
	return errors.Join(append(errs, err, endGroup(topology.Name))...)
}

// endGroup ends what is left in a control group of the lab's.
func endGroup(group string) error {
	var errs []error
	for range 50 {
		pids := cgroup.Procs(group)
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			if id, err := proc.Of(pid); err == nil && pid != os.Getpid() {
				errs = append(errs, id.Signal(syscall.SIGKILL))
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(errs...)
}

func removeNetworks() error {
	var errs []error
	for _, n := range topology.All() {
		errs = append(errs, netns.Delete(n.NetNS()))
	}
	return errors.Join(append(errs, netns.Delete(topology.Name))...)
}

func removeGroups() error { return cgroup.Remove(topology.Name) }

// removeFiles removes the run folder.
func removeFiles(h home.Home) error { return removeFolder(h.Run()) }

// removeFolder removes a folder, unless something is still mounted in it:
// nothing may be deleted through a mount.
func removeFolder(folder string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(b), " "+folder+"/") {
		return fmt.Errorf("remove %s: something is mounted below it (see /proc/self/mountinfo); unmount it and try again", folder)
	}
	return os.RemoveAll(folder)
}
