package node

import (
	"fmt"
	"net"
	"slices"

	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Plug makes the node's network: a namespace with one cable to the lab's bridge.
func Plug(n topology.Node) error {
	if err := netns.Add(n.NetNS()); err != nil {
		return err
	}
	err := netns.IP("", fmt.Sprintf("link add %s netns %s type veth peer name eth0 netns %s", n.Cable(), topology.Name, n.NetNS()))
	if err != nil {
		return err
	}
	return netns.IP(topology.Name, fmt.Sprintf("link set %s master %s up", n.Cable(), topology.Bridge))
}

// configure gives the node, in whose network namespace it runs, its address
// and the routes to every other node's pods.
func configure(n topology.Node) error {
	commands := []string{
		"link set lo up",
		"link set eth0 up",
		fmt.Sprintf("addr replace %s/24 dev eth0", n.Address()),
		"route replace default via " + topology.Gateway,
	}
	for _, other := range topology.All() {
		if other != n {
			commands = append(commands, fmt.Sprintf("route replace %s via %s", other.PodNet(), other.Address()))
		}
	}
	return netns.IP("", commands...)
}

// silence takes the node off the network: a machine that is off answers
// nothing, not even that a port is closed.
func silence() { _ = netns.IP("", "link set eth0 down") }

// Cut pulls the node's cable, Restore puts it back.
func Cut(n topology.Node) error { return netns.IP(topology.Name, "link set "+n.Cable()+" down") }

// Restore puts the node's cable back.
func Restore(n topology.Node) error { return netns.IP(topology.Name, "link set "+n.Cable()+" up") }

// Connected reports whether the node's cable is in.
func Connected(n topology.Node) bool {
	up := false
	_ = netns.Do(topology.Name, func() error {
		i, err := net.InterfaceByName(n.Cable())
		up = err == nil && i.Flags&net.FlagUp != 0
		return err
	})
	return up
}

// sweep removes the links that pods left in this process's network namespace:
// a machine that boots has only its own.
func sweep() {
	links, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, l := range links {
		if slices.Contains([]string{"lo", "eth0"}, l.Name) {
			continue
		}
		// Devices that the kernel makes in every namespace cannot be removed.
		_ = netns.IP("", "link del "+l.Name)
	}
}
