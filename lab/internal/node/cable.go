package node

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/pawl-dev/pawl/lab/internal/netns"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Plug makes the node's network, or what is missing of it: a namespace with one
// cable to the lab's bridge.
func Plug(n topology.Node) error {
	if err := netns.Do(n.NetNS(), func() error { return nil }); err != nil {
		// None, or what was left when the making of one was interrupted.
		if err := errors.Join(netns.Delete(n.NetNS()), netns.Add(n.NetNS())); err != nil {
			return err
		}
	}
	if !hasLink(n.Cable()) {
		err := netns.IP("", fmt.Sprintf("link add %s netns %s type veth peer name eth0 address %s netns %s", n.Cable(), topology.Name, n.MAC(), n.NetNS()))
		if err != nil {
			return err
		}
	}
	return netns.IP(topology.Name, fmt.Sprintf("link set %s master %s up", n.Cable(), topology.Bridge))
}

// Unplug removes the node's network; what is missing of it is no error.
func Unplug(n topology.Node) error {
	// The link by itself: a namespace takes its own down only some time after.
	if hasLink(n.Cable()) {
		if err := netns.IP(topology.Name, "link del "+n.Cable()); err != nil {
			return err
		}
	}
	return netns.Delete(n.NetNS())
}

// hasLink reports whether the lab's network has the link.
func hasLink(name string) bool {
	return netns.Do(topology.Name, func() error {
		_, err := net.InterfaceByName(name)
		return err
	}) == nil
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
