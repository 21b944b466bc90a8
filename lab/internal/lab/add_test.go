package lab

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/pawl-dev/pawl/lab/internal/topology"
)

var fresh = State{Version: "v1.36.3", Served: []string{"v1.36.3", "v1.37.2"}, Nodes: topology.Nodes(1, 2)}

func clone(s State) State {
	s.Nodes = append([]topology.Node(nil), s.Nodes...)
	return s
}

func TestANameIsNotGivenToTwoMachines(t *testing.T) {
	s := clone(fresh)
	pick := func(key string) topology.Node {
		t.Helper()
		n, err := s.choose(Addition{Key: key, Version: "v1.37.2"})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b := pick("one"), pick("two"); a != "w3" || b != "w4" {
		t.Errorf("got %s and %s, want w3 and w4", a, b)
	}
	if again := pick("one"); again != "w3" {
		t.Errorf("the same key: got %s, want w3", again)
	}
	for _, n := range []topology.Node{"w4", "w3", "w2"} {
		s.leave(n)
		s.left(n)
	}
	if n := pick("three"); n != "w5" {
		t.Errorf("after all had gone: got %s, want w5", n)
	}
	if want := []topology.Node{"cp1", "w1", "w5"}; !reflect.DeepEqual(s.Nodes, want) {
		t.Errorf("nodes %v, want %v", s.Nodes, want)
	}
	if err := s.begin(Addition{Node: pick("one"), Key: "one", Version: "v1.37.2"}); !errors.Is(err, ErrGone) {
		t.Errorf("the key of a removed machine: %v, want %v", err, ErrGone)
	}
	s.Used = topology.LastWorker
	if _, err := s.choose(Addition{Key: "four", Version: "v1.37.2"}); err == nil {
		t.Error("no name is left, and one was given")
	}
}

func TestWhatIsAdded(t *testing.T) {
	good := Join{Endpoint: "10.77.0.1:6443", Token: "aaaaaa.bbbbbbbbbbbbbbbb", CACertHash: "sha256:" + strings.Repeat("0", 64)}
	with := func(change func(*Join)) *Join {
		j := good
		change(&j)
		return &j
	}
	for _, c := range []struct {
		name string
		a    Addition
		err  string
	}{
		{"a worker", Addition{Node: "w3", Version: "v1.37.2", Zone: "a", Join: &good}, ""},
		{"once more", Addition{Node: "w3", Version: "v1.37.2", Zone: "a"}, ""},
		{"another version", Addition{Node: "w3", Version: "v1.36.3", Zone: "a"}, `it was added as v1.37.2 in zone "a", wanted v1.36.3 in zone "a"`},
		{"another zone", Addition{Node: "w3", Version: "v1.37.2", Zone: "b"}, `wanted v1.37.2 in zone "b"`},
		{"one of up's", Addition{Node: "w1", Version: "v1.36.3"}, "it is one of those that up has made"},
		{"a control plane", Addition{Node: "cp2", Version: "v1.36.3"}, "only workers are added"},
		{"no packages", Addition{Node: "w4", Version: "v1.35.4"}, "version v1.35.4: the lab's repositories have [v1.36.3 v1.37.2]"},
		{"a zone of two lines", Addition{Node: "w4", Version: "v1.36.3", Zone: "a\nb"}, "not a label's value"},
		{"an endpoint of two lines", Addition{Node: "w4", Version: "v1.36.3", Join: with(func(j *Join) { j.Endpoint = "a:1\nb: 2" })}, "not host:port"},
		{"no token", Addition{Node: "w4", Version: "v1.36.3", Join: with(func(j *Join) { j.Token = "bbbbbbbbbbbbbbbb" })}, "the token has not kubeadm's form"},
		{"no hash", Addition{Node: "w4", Version: "v1.36.3", Join: with(func(j *Join) { j.CACertHash = "" })}, "not sha256:HEX"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := clone(fresh)
			s.Nodes, s.Added = append(s.Nodes, "w3"), []Added{{Node: "w3", Version: "v1.36.3"}, {Node: "w3", Version: "v1.37.2", Zone: "a"}}
			err := s.begin(c.a)
			if c.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var refusal Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want a refusal with %q", err, c.err)
			}
			if strings.Contains(err.Error(), "bbbbbbbbbbbbbbbb") {
				t.Errorf("the token is in %q", err)
			}
			if len(s.Nodes) != 4 {
				t.Errorf("nodes %v", s.Nodes)
			}
		})
	}
}

func TestNoNodeIsAddedToALabByHand(t *testing.T) {
	s := clone(fresh)
	s.Shape = HardWay
	var refusal Refusal
	if _, err := s.choose(Addition{Key: "one", Version: "v1.37.2"}); !errors.As(err, &refusal) || len(s.Nodes) != 3 {
		t.Errorf("got %v, want a refusal; nodes %v", err, s.Nodes)
	}
}

func TestChangesSideBySideAreAllRemembered(t *testing.T) {
	h := tempHome(t)
	if _, err := change(context.Background(), h, func(*State) error { return nil }); err != ErrNoLab {
		t.Errorf("without a lab: %v, want %v", err, ErrNoLab)
	}
	if err := fresh.save(h); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, key := range strings.Split("abcdefgh", "") {
		wg.Go(func() {
			if _, err := change(context.Background(), h, func(s *State) error {
				_, err := s.choose(Addition{Key: key, Version: "v1.36.3"})
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := LoadState(h)
	if err != nil || len(s.Nodes) != 11 || s.Has("w10") != nil {
		t.Errorf("nodes %v, %v; want those of up and w3 to w10", s.Nodes, err)
	}
}

func TestOnlyWorkersAreRemoved(t *testing.T) {
	h := tempHome(t)
	if err := fresh.save(h); err != nil {
		t.Fatal(err)
	}
	if err := RemoveNode(context.Background(), h, "cp1"); err == nil {
		t.Error("a control plane was removed")
	}
	if err := RemoveNode(context.Background(), h, "w9"); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
}
