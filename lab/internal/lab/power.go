package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// sshPatience is how long a starting node may take until it lets in.
const sshPatience = 60 * time.Second

// find checks that the running lab has the node.
func find(h home.Home, name string) (topology.Node, error) {
	n, err := topology.Parse(name)
	if err != nil {
		return "", err
	}
	state, err := LoadState(h)
	if err != nil {
		return "", err
	}
	return n, state.Has(n)
}

// StopNode pulls a node's plug.
func StopNode(h home.Home, name string) error {
	n, err := find(h, name)
	if err != nil {
		return err
	}
	return node.PowerOff(h, n)
}

// StartNode switches a node on and waits until it lets in.
func StartNode(ctx context.Context, h home.Home, name string) error {
	n, err := find(h, name)
	if err != nil {
		return err
	}
	if err := node.PowerOn(h, program(h), n); err != nil {
		return err
	}
	return waitSSH(ctx, h, n)
}

// RebootNode asks a node to reboot itself and waits until it lets in again.
func RebootNode(ctx context.Context, h home.Home, name string) error {
	n, err := find(h, name)
	if err != nil {
		return err
	}
	a, err := access(h)
	if err != nil {
		return err
	}
	c, err := a.Dial(ctx, string(n), n.Address())
	if err != nil {
		return fmt.Errorf("reboot: %w; a node that does not answer: pawl-lab node stop %s && pawl-lab node start %s", err, n, n)
	}
	before, err := bootID(ctx, h, n)
	if err != nil {
		return err
	}
	_, _ = c.Run(ctx, "systemctl reboot") // the connection goes down with the node
	c.Close()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if after, err := bootID(ctx, h, n); err == nil && after != before {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("reboot %s: not back within 2 minutes; see %s", n, h.Node(string(n), "keeper.log"))
}

// bootID tells one boot of a node from the next.
func bootID(ctx context.Context, h home.Home, n topology.Node) (string, error) {
	a, err := access(h)
	if err != nil {
		return "", err
	}
	c, err := a.Dial(ctx, string(n), n.Address())
	if err != nil {
		return "", err
	}
	defer c.Close()
	id, err := c.Run(ctx, "cat /proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(id), err
}

func waitSSH(ctx context.Context, h home.Home, n topology.Node) error {
	a, err := access(h)
	if err != nil {
		return err
	}
	c, err := a.Wait(ctx, string(n), n.Address(), sshPatience)
	if err != nil {
		return fmt.Errorf("start %s: %w; see %s", n, err, h.Node(string(n), "keeper.log"))
	}
	return c.Close()
}

// CutCable takes a node off the network.
func CutCable(h home.Home, name string) error {
	n, err := find(h, name)
	if err != nil {
		return err
	}
	return node.Cut(n)
}

// RestoreCable puts a node back on the network.
func RestoreCable(h home.Home, name string) error {
	n, err := find(h, name)
	if err != nil {
		return err
	}
	return node.Restore(n)
}

// SSH becomes ssh(1) on a node.
func SSH(h home.Home, name string, command []string) error {
	n, err := find(h, name)
	if err != nil {
		return err
	}
	argv := []string{
		"ssh", "-F", "none", "-i", keyFile(h), "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + knownHostsFile(h),
		"-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR", "root@" + n.Address(),
	}
	if len(command) > 0 {
		argv = append(append(argv, "--"), command...)
	}
	return netns.Exec(topology.Name, argv)
}

// Exec becomes a program inside the lab's network.
func Exec(h home.Home, command []string) error {
	if _, err := LoadState(h); err != nil {
		return err
	}
	return netns.Exec(topology.Name, command)
}
