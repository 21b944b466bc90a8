package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// SuccessorInput says what takes a node's place.
type SuccessorInput struct {
	upgrade.Replacement
	Old upgrade.Machine `json:"old"`
	UID string          `json:"uid"` // of the old node's API object
	// Try counts the machines that were given up before.
	Try int `json:"try,omitempty"`
	// New is the machine that was added; nil before.
	New *upgrade.Machine `json:"new,omitempty"`
	// JoinTimeout is how long a machine may take to become a Ready node.
	JoinTimeout upgrade.Duration `json:"joinTimeout"`
}

func (s SuccessorInput) slot() upgrade.Slot { return upgrade.Slot{Old: s.Old, Try: s.Try} }

// ReplacementInput is what is done to a pool before its nodes are replaced, and after.
type ReplacementInput struct {
	ClusterInput
	Replacement upgrade.Replacement `json:"replacement"`
	Old         []upgrade.Machine   `json:"old"`
	Snapshot    json.RawMessage     `json:"snapshot,omitempty"`
}

// BeginReplacement readies a pool whose nodes will be replaced, and tells how it was before.
func (a *Activities) BeginReplacement(ctx context.Context, in ReplacementInput) (Outcome, error) {
	provider, err := a.Directory.Provider(ctx, in.Cluster, in.Replacement.Pool)
	if err != nil {
		return Outcome{}, err
	}
	snapshot, err := provider.Begin(ctx, in.Replacement, in.Old)
	return Outcome{Snapshot: snapshot}, err
}

// EndReplacement puts the pool's settings back as they were.
func (a *Activities) EndReplacement(ctx context.Context, in ReplacementInput) (Outcome, error) {
	provider, err := a.Directory.Provider(ctx, in.Cluster, in.Replacement.Pool)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, provider.End(ctx, in.Replacement, in.Snapshot)
}

// AddNode gets a machine for the node's place and waits until it is a Ready node of the version. One that does not get
// there in time is removed again: the old node has not been touched.
func (a *Activities) AddNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, provider, err := a.replacing(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	key := in.Successor.Key(in.Successor.slot())
	var join upgrade.Join
	if provider.TakesJoin() {
		if join, err = api.Join(ctx, key); err != nil {
			return Outcome{}, err
		}
	}
	machine, err := provider.Add(ctx, in.Successor.Replacement, in.Successor.slot(), join)
	if err != nil {
		return Outcome{GivenUp: fault.Is(err, fault.VerificationFailed)}, err
	}
	name, err := awaitJoined(ctx, api, in, machine)
	if fault.Is(err, fault.VerificationFailed) {
		return a.giveUp(ctx, api, provider, in, machine, err)
	}
	if err == nil && provider.TakesJoin() {
		err = api.EndJoin(ctx, key)
	}
	return Outcome{Successor: name, Machine: &machine}, err
}

func (a *Activities) replacing(ctx context.Context, in NodeInput) (API, NodeProvider, error) {
	if in.Successor == nil {
		return nil, nil, fault.New(fault.InvalidInput, "replace", in.Node, "it is not said by what", "")
	}
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return nil, nil, err
	}
	provider, err := a.Directory.Provider(ctx, in.Cluster, in.Successor.Pool)
	return api, provider, err
}

// awaitJoined waits until the machine is a node that may take pods.
func awaitJoined(ctx context.Context, api API, in NodeInput, m upgrade.Machine) (name string, err error) {
	patience := upgrade.Verify{Timeout: in.Successor.JoinTimeout}
	err = await(ctx, patience, "add a node in place of", in.Node, func(ctx context.Context) error {
		if name, err = api.NodeOf(ctx, m); err != nil {
			return err
		}
		if name == in.Node {
			return fault.New(fault.InvalidInput, "add a node in place of", in.Node, "the new machine has the old one's name", "let the provider give it another")
		}
		return api.NodeReady(ctx, name, in.Version, time.Time{})
	})
	return name, err
}

// giveUp removes a machine that did not become a node. Only when it is gone may another be made in its place.
func (a *Activities) giveUp(ctx context.Context, api API, provider NodeProvider, in NodeInput, m upgrade.Machine, why error) (Outcome, error) {
	name, err := api.NodeOf(ctx, m)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Outcome{}, err
	}
	if err := provider.Remove(ctx, in.Successor.Replacement, m); err != nil {
		return Outcome{}, err
	}
	if name != "" {
		if err := api.DeleteNode(ctx, name, ""); err != nil {
			return Outcome{}, err
		}
	}
	if provider.TakesJoin() {
		if err := api.EndJoin(ctx, in.Successor.Key(in.Successor.slot())); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{GivenUp: true}, fault.Wrap(fault.VerificationFailed, "give up machine", m.ID, why, "it was removed again; the old node is as it was")
}

// WithdrawNode cordons the old node and lets load balancers send it nothing more, before its pods go.
func (a *Activities) WithdrawNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, provider, err := a.replacing(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	if err := api.Cordon(ctx, in.Node, in.Owner); err != nil {
		return Outcome{}, err
	}
	if err := api.Withdraw(ctx, in.Node, in.Owner); err != nil {
		return Outcome{}, err
	}
	return Outcome{}, provider.Withdraw(ctx, in.Successor.Replacement, in.Successor.Old)
}

// ReleaseVolumes waits until no volume is attached to the old node: one that is when the machine goes cannot be attached
// elsewhere for minutes.
func (a *Activities) ReleaseVolumes(ctx context.Context, in NodeInput) (Outcome, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, await(ctx, in.Settings.Verify, "release the volumes of", in.Node, func(ctx context.Context) error {
		return api.VolumesReleased(ctx, in.Node)
	})
}

// RemoveNode ends the old node's machine, and then deletes its API object: not before, or its pods would run twice.
func (a *Activities) RemoveNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, provider, err := a.replacing(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	if err := provider.Remove(ctx, in.Successor.Replacement, in.Successor.Old); err != nil {
		return Outcome{}, err
	}
	return Outcome{}, api.DeleteNode(ctx, in.Node, in.Successor.UID)
}

// KeepNode takes everything back for a node that stays after all: it is what it was, and its successor, where there is one,
// is emptied and removed.
func (a *Activities) KeepNode(ctx context.Context, in NodeInput) (Outcome, error) {
	api, provider, err := a.replacing(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	if err := provider.Readmit(ctx, in.Successor.Replacement, in.Successor.Old); err != nil {
		return Outcome{}, err
	}
	if err := api.Uncordon(ctx, in.Node, in.Owner); err != nil {
		return Outcome{}, err
	}
	if in.Successor.New == nil {
		return Outcome{}, nil
	}
	name, err := api.NodeOf(ctx, *in.Successor.New)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Outcome{}, err
	}
	if name != "" {
		surplus := in
		surplus.Node = name
		if _, err := empty(ctx, api, surplus, api.Evict); err != nil {
			return Outcome{}, err
		}
	}
	if err := provider.Remove(ctx, in.Successor.Replacement, *in.Successor.New); err != nil || name == "" {
		return Outcome{}, err
	}
	return Outcome{}, api.DeleteNode(ctx, name, "")
}

// lookAtProviders asks where new nodes will come from whether they can.
func (a *Activities) lookAtProviders(ctx context.Context, s upgrade.Settings, c upgrade.Cluster, target upgrade.Version) []upgrade.Finding {
	var found []upgrade.Finding
	for _, pool := range s.Pools {
		var old []upgrade.Machine
		for _, n := range c.Nodes {
			if n.Replaced && n.Group == "" && n.Pool == pool.Name && n.Kubelet != target {
				old = append(old, n.Machine())
			}
		}
		if len(old) == 0 {
			continue
		}
		provider, err := a.Directory.Provider(ctx, c.Name, pool.Name)
		if err != nil {
			found = append(found, upgrade.Finding{ID: upgrade.NodeProvider, Severity: upgrade.SeverityError, Target: pool.Name, Message: err.Error()})
			continue
		}
		r := upgrade.Replacement{Cluster: c.Name, Pool: pool.Name, Version: target, Run: "plan", Surge: pool.MaxSurge.Of(len(old))}
		found = append(found, provider.Check(ctx, r, old)...)
	}
	return found
}

func rebalanced(moved int) string {
	if moved == 0 {
		return "the pods were spread evenly, as far as budgets allow"
	}
	return fmt.Sprintf("%d pods were evicted to spread them", moved)
}
