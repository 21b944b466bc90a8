// Package topology holds the lab's fixed names and addresses. Rule: every
// address in the lab is derived here and nowhere else.
package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// Names and addresses of what is not a node.
const (
	Name         = "pawl-lab"    // network namespace and cgroup of the lab
	Bridge       = "br0"         // the lab's only network
	Gateway      = "10.77.0.1"   // the infrastructure's address on the bridge
	APIName      = "k8s-api.lab" // the control plane's name inside the nodes
	APIPort      = 6443
	etcdPort     = 2379
	RegistryPort = 5000
	WebUIAddress = "127.0.0.1:8233" // Temporal's web UI, relayed to the machine
	NodePort     = 30080            // the web service on every node
	PodCIDR      = "10.244.0.0/16"
	ServiceCIDR  = "10.96.0.0/16"
	APIService   = "10.96.0.1"  // the API's address inside pods
	DNSService   = "10.96.0.10" // that of CoreDNS
)

// MaxControlPlanes and MaxWorkers bound the lab that is made at once. Workers
// that are added to it later go on to LastWorker: a name that was used is not
// given to another machine.
const (
	MaxControlPlanes = 3
	MaxWorkers       = 5
	LastWorker       = 40
)

// Node is one machine of the lab, by name: cp1 to cp3, w1 to w40.
type Node string

// Nodes names the nodes of a lab of the given size, control planes first.
func Nodes(controlPlanes, workers int) []Node {
	var nodes []Node
	for i := 1; i <= controlPlanes; i++ {
		nodes = append(nodes, Node("cp"+strconv.Itoa(i)))
	}
	for i := 1; i <= workers; i++ {
		nodes = append(nodes, Worker(i))
	}
	return nodes
}

// Worker names a worker by its number.
func Worker(number int) Node { return Node("w" + strconv.Itoa(number)) }

// All names every node a lab can have.
func All() []Node { return Nodes(MaxControlPlanes, LastWorker) }

// Parse checks that name is a node's name.
func Parse(name string) (Node, error) {
	for _, n := range All() {
		if string(n) == name {
			return n, nil
		}
	}
	return "", fmt.Errorf("node %q: no such name; the lab's nodes are cp1 to cp%d and w1 to w%d", name, MaxControlPlanes, LastWorker)
}

// ControlPlane reports whether the node is a control plane.
func (n Node) ControlPlane() bool { return strings.HasPrefix(string(n), "cp") }

// Number is the worker's; 0 for a control plane.
func (n Node) Number() int {
	if n.ControlPlane() {
		return 0
	}
	return n.Index() - 20
}

// Index is the last number of the node's address; it also picks its pod network.
func (n Node) Index() int {
	if rest, ok := strings.CutPrefix(string(n), "cp"); ok {
		return 10 + atoi(rest)
	}
	return 20 + atoi(strings.TrimPrefix(string(n), "w"))
}

// Address is the node's address on the bridge.
func (n Node) Address() string { return fmt.Sprintf("10.77.0.%d", n.Index()) }

// MAC is the address of the node's network card: always the same, so that
// nobody has to forget that of an earlier machine of this name.
func (n Node) MAC() string { return fmt.Sprintf("02:0a:4d:00:00:%02x", n.Index()) }

// PodNet is the network of the node's pods.
func (n Node) PodNet() string { return fmt.Sprintf("10.244.%d.0/24", n.Index()) }

// NetNS is the node's network namespace.
func (n Node) NetNS() string { return Name + "-" + string(n) }

// Cable is the bridge's end of the node's network cable.
func (n Node) Cable() string { return "v-" + string(n) }

// Cgroup is the node's control group below each hierarchy's root.
func (n Node) Cgroup() string { return Name + "/" + string(n) }

// APIServer is the node's own API server.
func (n Node) APIServer() string { return fmt.Sprintf("%s:%d", n.Address(), APIPort) }

// Etcd is where clients find the node's own member.
func (n Node) Etcd() string { return fmt.Sprintf("https://%s:%d", n.Address(), etcdPort) }

// Hosts is /etc/hosts of every node.
func Hosts() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	fmt.Fprintf(&b, "%s %s\n", Gateway, APIName)
	for _, n := range All() {
		fmt.Fprintf(&b, "%s %s\n", n.Address(), n)
	}
	return b.String()
}

// atoi reads the number of a name that Parse has accepted.
func atoi(s string) int {
	i, _ := strconv.Atoi(s)
	return i
}
