package upgrade

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Machine is what a node runs on, as whoever provides it knows it.
type Machine struct {
	// ID is the provider's own: an instance's id, or what a command answered. Of a machine that was there before it is the
	// node's providerID, which may be empty.
	ID string `json:"id,omitempty"`
	// Node is the node's name, empty where it is not known (yet).
	Node    string `json:"node,omitempty"`
	Address string `json:"address,omitempty"` // the node's InternalIP
	Zone    string `json:"zone,omitempty"`
}

// Replacement is that of a pool's nodes by new ones in one hop.
type Replacement struct {
	Cluster string  `json:"cluster"`
	Pool    string  `json:"pool"`
	Version Version `json:"version"` // of the new nodes' kubelets
	// Run is the same in every call for one hop of one upgrade, and no other's.
	Run string `json:"run"`
	// Surge is how many new nodes there may be at a time before their old ones are gone.
	Surge int `json:"surge"`
}

// Slot is the place of a new machine: that of an old one. Try counts from 0; another one follows when the machine of the
// last has been given up.
type Slot struct {
	Old Machine `json:"old"`
	Try int     `json:"try,omitempty"`
}

// Key names what is done for a slot, the same at every attempt: at most 64 characters, as clouds want of a client token.
func (r Replacement) Key(s Slot) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d", r.Cluster, r.Pool, r.Run, s.Old.Node, s.Try))
	return "pawl-" + hex.EncodeToString(sum[:16])
}

// Join is what a machine needs to become a node of a kubeadm cluster. It holds a secret: it goes to the provider and
// nowhere else, above all not into an activity's input or result.
type Join struct {
	Endpoint   string `json:"endpoint"` // host:port of the API
	Token      string `json:"token"`
	CACertHash string `json:"caCertHash"` // sha256:<hex>, for kubeadm join --discovery-token-ca-cert-hash
}

// String hides the token, whoever prints it.
func (j Join) String() string { return "join " + j.Endpoint }

// GoString does so too.
func (j Join) GoString() string { return j.String() }

// Machine is what the node runs on.
func (n Node) Machine() Machine {
	return Machine{ID: n.ProviderID, Node: n.Name, Address: n.Address, Zone: n.Zone}
}
