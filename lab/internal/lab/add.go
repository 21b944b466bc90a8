package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/kubeadm"
	"github.com/pawl-dev/pawl/lab/internal/progress"
	"github.com/pawl-dev/pawl/lab/internal/sshx"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Addition is a worker that is wanted.
type Addition struct {
	Node    topology.Node // empty: a name that was never used, the same for the same key
	Key     string
	Version string
	Zone    string // label topology.kubernetes.io/zone; empty: none
	Join    *Join  // nil: made from the cluster itself
}

// Join is what a machine needs to become a node. The token is a secret.
type Join struct {
	Endpoint   string `json:"endpoint"`
	Token      string `json:"token"`
	CACertHash string `json:"caCertHash"`
}

// Machine is a node as whoever asked for it is told.
type Machine struct {
	ID      string        `json:"id"`
	Node    topology.Node `json:"node"`
	Address string        `json:"address"`
	Zone    string        `json:"zone,omitempty"`
}

// ErrGone says that the node of a key was removed.
var ErrGone = errors.New("it was removed")

// Refusal is what a person has to ask for otherwise.
type Refusal string

// Error is the refusal.
func (r Refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return Refusal(fmt.Sprintf(format, args...)) }

// AddNode adds a worker to the running lab: boots a fresh machine with the
// version's packages and joins it to the cluster. What an earlier call for the
// same has done is found and gone on from.
func AddNode(ctx context.Context, h home.Home, a Addition, out *progress.Printer) (Machine, error) {
	unlock, err := h.Share("lab") // not while the lab comes up or goes down
	if err != nil {
		return Machine{}, err
	}
	defer unlock()
	if a.Node == "" {
		if _, err := change(ctx, h, func(s *State) (err error) { a.Node, err = s.choose(a); return err }); err != nil {
			return Machine{}, err
		}
	}
	release, err := lockNode(ctx, h, a.Node)
	if err != nil {
		return Machine{}, err
	}
	defer release()
	if err := finishRemoval(ctx, h, a.Node); err != nil {
		return Machine{}, err
	}
	state, err := change(ctx, h, func(s *State) error { return s.begin(a) })
	if err != nil {
		return Machine{}, fmt.Errorf("add %s: %w", a.Node, err)
	}
	return Machine{ID: string(a.Node), Node: a.Node, Address: a.Node.Address(), Zone: a.Zone}, a.make(ctx, h, state, out)
}

// make makes the machine a node, from wherever an earlier call has left it.
func (a Addition) make(ctx context.Context, h home.Home, state State, out *progress.Printer) error {
	way, err := access(h)
	if err != nil {
		return err
	}
	m := maker{home: h, version: a.Version}
	if err := m.prepare(ctx, way); err != nil {
		return err
	}
	var c *sshx.Client
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	if err := out.Step("boot "+string(a.Node), func() (err error) { c, err = m.boot(ctx, a.Node); return err }); err != nil {
		return err
	}
	if said, err := c.Run(ctx, "test -e /var/lib/pawl-lab/joined && echo joined || true"); err != nil || said != "" {
		return err
	}
	if err := out.Step("install packages of "+a.Version, func() error { return m.install(ctx, c) }); err != nil {
		return err
	}
	return out.Step("kubeadm join "+string(a.Node), func() error { return a.join(ctx, m, c, state) })
}

// join joins the machine with what was given, or with a token that is made for it.
func (a Addition) join(ctx context.Context, m maker, c *sshx.Client, state State) error {
	err := onControlPlane(ctx, m.home, state, func(_ topology.Node, cp *sshx.Client) error {
		// What an earlier machine of this name has left would be in the way.
		if _, err := cp.Run(ctx, "kubectl delete node --ignore-not-found "+string(a.Node)); err != nil || a.Join != nil {
			return err
		}
		token, err := cp.Run(ctx, "kubeadm token create --ttl 15m --description 'pawl-lab node add'")
		if err != nil {
			return err
		}
		conf, err := os.ReadFile(kubeconfigFile(m.home))
		if err != nil {
			return err
		}
		hash, err := kubeadm.CAHash(string(conf))
		a.Join = &Join{Token: strings.TrimSpace(token), CACertHash: hash}
		return err
	})
	if err != nil {
		return err
	}
	cluster := kubeadm.Cluster{CgroupV1: state.CgroupV1, Token: a.Join.Token, CAHash: a.Join.CACertHash, Endpoint: a.Join.Endpoint}
	config, err := cluster.Join(a.Node, a.Zone)
	if err != nil {
		return err
	}
	return m.join(ctx, c, config)
}

// lockNode keeps others from adding or removing the node.
func lockNode(ctx context.Context, h home.Home, n topology.Node) (func(), error) {
	if _, err := LoadState(h); err != nil {
		return nil, err
	}
	return h.Await(ctx, "run/"+string(n))
}

// choose is the node of a key: the one that it got, or one with a new name.
func (s *State) choose(a Addition) (topology.Node, error) {
	if a.Key == "" {
		return "", refuse("a node without a name and without a key")
	}
	last := s.Used
	for _, d := range s.Added {
		if d.Key == a.Key {
			return d.Node, nil
		}
		last = max(last, d.Node.Number())
	}
	for _, n := range s.Nodes {
		last = max(last, n.Number())
	}
	if last == topology.LastWorker {
		return "", refuse("a further node: all names up to w%d were used", topology.LastWorker)
	}
	a.Node = topology.Worker(last + 1)
	return a.Node, s.begin(a)
}

// begin writes down that the node will be there.
func (s *State) begin(a Addition) error {
	if err := a.check(); err != nil {
		return err
	}
	if s.Shape == HardWay {
		return refuse("this lab was made by hand (up --hard-way), and only kubeadm joins nodes")
	}
	if !slices.Contains(s.Served, a.Version) {
		return refuse("version %s: the lab's repositories have %v; see pawl-lab up --next", a.Version, s.Served)
	}
	var was *Added
	for i := range s.Added { // the last of this name counts
		if s.Added[i].Node == a.Node {
			was = &s.Added[i]
		}
	}
	if !slices.Contains(s.Nodes, a.Node) {
		if was != nil && a.Key != "" && was.Key == a.Key {
			return ErrGone
		}
		s.Added = append(s.Added, Added{Node: a.Node, Version: a.Version, Zone: a.Zone, Key: a.Key})
		s.Nodes = append(s.Nodes, a.Node)
		return nil
	}
	if was == nil {
		return refuse("it is one of those that up has made")
	}
	if was.Version != a.Version || was.Zone != a.Zone {
		return refuse("it was added as %s in zone %q, wanted %s in zone %q", was.Version, was.Zone, a.Version, a.Zone)
	}
	return nil
}

// What goes into kubeadm's configuration, as Kubernetes has it.
var (
	zoneForm     = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	endpointForm = regexp.MustCompile(`^[-A-Za-z0-9.:\[\]]+:[0-9]+$`)
	tokenForm    = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)
	hashForm     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func (a Addition) check() error {
	switch {
	case a.Node.ControlPlane():
		return refuse("only workers are added")
	case !zoneForm.MatchString(a.Zone):
		return refuse("zone %q: not a label's value", a.Zone)
	case a.Join == nil:
		return nil
	case !endpointForm.MatchString(a.Join.Endpoint):
		return refuse("join: endpoint %q: not host:port", a.Join.Endpoint)
	case !tokenForm.MatchString(a.Join.Token):
		return refuse("join: the token has not kubeadm's form")
	case !hashForm.MatchString(a.Join.CACertHash):
		return refuse("join: caCertHash %q: not sha256:HEX", a.Join.CACertHash)
	}
	return nil
}
