package lab

import (
	"context"
	"fmt"
	"slices"

	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// RemoveNode destroys a worker's machine with all that belongs to it. What the
// cluster's API has of it stays: nobody told the cluster. One that is not there
// is no error.
func RemoveNode(ctx context.Context, h home.Home, name string) error {
	n, err := topology.Parse(name)
	if err != nil {
		return err
	}
	if n.ControlPlane() {
		return fmt.Errorf("remove %s: only workers are removed; pawl-lab down removes the lab", n)
	}
	unlock, err := h.Share("lab")
	if err != nil {
		return err
	}
	defer unlock()
	release, err := lockNode(ctx, h, n)
	if err != nil {
		return err
	}
	defer release()
	_, err = change(ctx, h, func(s *State) error { s.leave(n); return nil })
	if err != nil {
		return err
	}
	return finishRemoval(ctx, h, n)
}

// finishRemoval removes what is left of a node that is being removed.
func finishRemoval(ctx context.Context, h home.Home, n topology.Node) error {
	state, err := LoadState(h)
	if err != nil || !slices.Contains(state.Leaving, n) {
		return err
	}
	for _, s := range []struct {
		what string
		run  func() error
	}{
		{"power", func() error { return node.PowerOff(h, n) }},
		{"processes", func() error { return endGroup(n.Cgroup()) }},
		{"network", func() error { return node.Unplug(n) }},
		{"control groups", func() error { return cgroup.Remove(n.Cgroup()) }},
		{"host key", func() error { return know(ctx, h, n, nil) }},
		{"disk", func() error { return removeFolder(h.Node(string(n))) }},
	} {
		if err := s.run(); err != nil {
			return fmt.Errorf("remove %s: %s: %w", n, s.what, err)
		}
	}
	_, err = change(ctx, h, func(s *State) error { s.left(n); return nil })
	return err
}

// leave writes down that the node will be gone.
func (s *State) leave(n topology.Node) {
	if slices.Contains(s.Nodes, n) && !slices.Contains(s.Leaving, n) {
		s.Leaving = append(s.Leaving, n)
	}
}

// left writes down that it is.
func (s *State) left(n topology.Node) {
	is := func(m topology.Node) bool { return m == n }
	s.Nodes, s.Leaving = slices.DeleteFunc(s.Nodes, is), slices.DeleteFunc(s.Leaving, is)
	s.Used = max(s.Used, n.Number())
}
