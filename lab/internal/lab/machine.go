package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/infra"
	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/proc"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// The kernel counts root's inotify instances over all nodes together, and the
// usual 128 do not last for one.
const (
	inotifyFile   = "/proc/sys/fs/inotify/max_user_instances"
	inotifyWanted = 2048
)

func inotifyInstances() (string, error) {
	b, err := os.ReadFile(inotifyFile)
	return strings.TrimSpace(string(b)), err
}

// raiseInotify lifts the limit if it is lower than what a lab takes.
func raiseInotify() error {
	now, err := inotifyInstances()
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(now); err == nil && n >= inotifyWanted {
		return nil
	}
	return os.WriteFile(inotifyFile, []byte(strconv.Itoa(inotifyWanted)), 0o644)
}

// restoreInotify puts the earlier limit back, unless somebody has set another
// one since.
func restoreInotify(before string) error {
	now, err := inotifyInstances()
	if err != nil {
		return err
	}
	if before == "" || now != strconv.Itoa(inotifyWanted) {
		return nil
	}
	return os.WriteFile(inotifyFile, []byte(before), 0o644)
}

// makeNetwork makes the lab's network: a namespace with a bridge and no way
// out. The gateway says so to whoever tries: a pod that starts before
// kube-proxy knows the services would else wait half a minute for an answer.
func makeNetwork() error {
	if err := netns.Add(topology.Name); err != nil {
		return err
	}
	commands := []string{
		"link set lo up",
		"link add " + topology.Bridge + " type bridge",
		fmt.Sprintf("addr add %s/24 dev %s", topology.Gateway, topology.Bridge),
		"link set " + topology.Bridge + " up",
		"route add unreachable default",
	}
	for _, n := range topology.All() {
		commands = append(commands, fmt.Sprintf("route add %s via %s", n.PodNet(), n.Address()))
	}
	if err := netns.IP(topology.Name, commands...); err != nil {
		return err
	}
	return netns.Do(topology.Name, func() error {
		return errors.Join(
			// Only a router answers for others,
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0o644),
			// and a pod's failing lookups must not use up what it may be told: no
			// kind of answer is rationed, else they all draw on one ration.
			os.WriteFile("/proc/sys/net/ipv4/icmp_ratemask", []byte("0\n"), 0o644),
		)
	})
}

// listenRelay opens the web UI's address on the machine's own loopback. It is
// the one thing that leads into the lab from outside; nil if it is taken.
func listenRelay() *os.File {
	l, err := net.Listen("tcp", topology.WebUIAddress)
	if err != nil {
		return nil
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil
	}
	return f
}

// startInfra starts the infrastructure process and waits until it listens.
func startInfra(h home.Home, controlPlanes []topology.Node, relay *os.File) error {
	out, err := os.OpenFile(h.Run("infra.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	args := []string{infra.Command, "--dir", string(h)}
	for _, n := range controlPlanes {
		args = append(args, "--control-plane", string(n))
	}
	cmd := exec.Command(program(h), args...)
	if relay != nil {
		cmd.Args = append(cmd.Args, "--relay")
		cmd.ExtraFiles = []*os.File{relay}
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := netns.Start(topology.Name, cmd); err != nil {
		return fmt.Errorf("start infrastructure: %w", err)
	}
	defer cmd.Process.Release()
	id, err := proc.Of(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("start infrastructure: %w; see %s", err, out.Name())
	}
	if err := id.Save(infraFile(h)); err != nil {
		return err
	}
	if err := cgroup.Enter(node.KeeperCgroup, id.PID); err != nil {
		return fmt.Errorf("start infrastructure: %w", err)
	}
	for range 200 {
		if _, err := os.Stat(infra.ReadyFile(h)); err == nil {
			return nil
		}
		if !id.Alive() {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("start infrastructure: it does not listen; see %s", out.Name())
}
