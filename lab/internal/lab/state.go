// Package lab runs the whole: up, down, status and the way in. Rule: what up
// will make is written down before it is made, so that down always finds it.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/sshx"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Shape is a way of installing a cluster, by its name in pawl's definition.
type Shape string

// The shapes of a lab: with kubeadm, and by hand.
const (
	Kubeadm Shape = "kubeadm"
	HardWay Shape = "binaries"
)

// State is what is remembered of the running lab.
type State struct {
	Shape            Shape           `json:"shape"`
	ExternalEtcd     bool            `json:"externalEtcd,omitempty"` // beside kubeadm's control planes, as a unit on the same machines
	Version          string          `json:"version"`                // the one it began with
	Served           []string        `json:"served"`                 // versions with packages in the repositories, or in the mirror
	Nodes            []topology.Node `json:"nodes"`
	CgroupV1         bool            `json:"cgroupV1"`
	Started          time.Time       `json:"started"`
	Ready            bool            `json:"ready"`            // up came to its end
	Relay            bool            `json:"relay"`            // the web UI is relayed to the machine's loopback
	InotifyInstances string          `json:"inotifyInstances"` // the machine's setting before
	Added            []Added         `json:"added,omitempty"`
	Leaving          []topology.Node `json:"leaving,omitempty"` // being removed
	Used             int             `json:"used,omitempty"`    // the highest number of a worker that was removed
}

// Added is a node that was added to the running lab. It is remembered when the
// node is gone.
type Added struct {
	Node    topology.Node `json:"node"`
	Version string        `json:"version"`
	Zone    string        `json:"zone,omitempty"`
	Key     string        `json:"key,omitempty"` // by which a provider was asked for it
}

// change changes what is remembered of the running lab, one command at a time.
func change(ctx context.Context, h home.Home, how func(*State) error) (State, error) {
	if _, err := LoadState(h); err != nil {
		return State{}, err
	}
	unlock, err := h.Await(ctx, "run/state")
	if err != nil {
		return State{}, err
	}
	defer unlock()
	s, err := LoadState(h)
	if err != nil {
		return State{}, err
	}
	if err := how(&s); err != nil {
		return State{}, err
	}
	return s, s.save(h)
}

// ErrNoLab says that nothing is up.
var ErrNoLab = errors.New("lab: none is up; run: pawl-lab up")

func stateFile(h home.Home) string { return h.Run("state.json") }

// save writes the state down.
func (s State) save(h home.Home) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return home.WriteFile(stateFile(h), append(b, '\n'), 0o644)
}

// LoadState reads what is remembered; ErrNoLab if there is nothing.
func LoadState(h home.Home) (State, error) {
	b, err := os.ReadFile(stateFile(h))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, ErrNoLab
	}
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, fmt.Errorf("read %s: %w", stateFile(h), err)
	}
	return s, nil
}

// Has reports whether the lab has that node.
func (s State) Has(n topology.Node) error {
	for _, m := range s.Nodes {
		if m == n {
			return nil
		}
	}
	return fmt.Errorf("node %s: not in this lab, which has %v", n, s.Nodes)
}

// controlPlanes are the nodes with an API server.
func (s State) controlPlanes() []topology.Node {
	var cps []topology.Node
	for _, n := range s.Nodes {
		if n.ControlPlane() {
			cps = append(cps, n)
		}
	}
	return cps
}

// program is this program's copy in the run folder. Nodes outlive the file
// that made them: it may be rebuilt or removed, and they still reboot.
func program(h home.Home) string { return h.Run("bin", "pawl-lab") }

func keyFile(h home.Home) string        { return h.Cluster("id_ed25519") }
func knownHostsFile(h home.Home) string { return h.Cluster("known_hosts") }
func kubeconfigFile(h home.Home) string { return h.Cluster("admin.conf") }
func infraFile(h home.Home) string      { return h.Run("infra.json") }

// access is the way in with the lab's key.
func access(h home.Home) (sshx.Access, error) {
	b, err := os.ReadFile(keyFile(h))
	if err != nil {
		return sshx.Access{}, fmt.Errorf("ssh key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return sshx.Access{}, fmt.Errorf("ssh key %s: %w", keyFile(h), err)
	}
	return sshx.Access{NetNS: topology.Name, User: "root", Signer: signer, KnownHosts: knownHostsFile(h)}, nil
}

// copySelf puts this program into the run folder.
func copySelf(h home.Home) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(program(h)), 0o755); err != nil {
		return err
	}
	return home.WriteFile(program(h), b, 0o755)
}
