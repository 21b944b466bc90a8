package picture

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

var (
	v136  = upgrade.MustVersion("v1.36.3")
	v137  = upgrade.MustVersion("v1.37.2")
	began = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
)

// node is how far a node's steps are: all before the last of done, and that one in state.
func node(name string, role upgrade.Role, hop int, state upgrade.State, done int, now upgrade.State) upgrade.NodeStatus {
	n := upgrade.NodeStatus{Node: name, Role: role, Hop: hop, State: state}
	for i, step := range upgrade.KubeadmSteps(role, false) {
		s := upgrade.StepStatus{Step: step, State: upgrade.Pending}
		if i < done {
			s.State = upgrade.Done
		} else if i == done {
			s.State = now
		}
		n.Steps = append(n.Steps, s)
	}
	return n
}

// pods are the pods of an application: + is ready, - is coming, x is leaving.
func pods(app, states string) []bed.Pod {
	var all []bed.Pod
	for _, c := range states {
		all = append(all, bed.Pod{App: app, Ready: c != '-', Leaving: c == 'x'})
	}
	return all
}

func pictures() map[string]Picture {
	running := Picture{
		Now: began.Add(83 * time.Second),
		Nodes: []bed.Node{
			{Name: "cp1", Kubelet: v137.String(), Ready: true, On: true, APIServer: v137, APIReady: true},
			{Name: "cp2", Kubelet: v136.String(), Ready: true, On: true, APIServer: v136},
			{Name: "cp3", Kubelet: v136.String(), Ready: true, On: true, APIServer: v136, APIReady: true},
			{Name: "w1", Kubelet: v136.String(), Ready: true, On: true, Cordoned: true, Pods: append(pods("cart", "x"), pods("web", "+x")...)},
			{Name: "w2", Kubelet: v137.String(), Ready: true, On: true, Pods: append(pods("search", "+-"), pods("web", "-")...)},
			{Name: "w3", Kubelet: v136.String(), Ready: true},
			{Name: "w4", Kubelet: v136.String(), On: true, Cordoned: true, Pods: pods("coredns", "+")},
		},
		Waiting: append(pods("cart", "-"), pods("web", "-")...),
		Status: upgrade.Status{
			Cluster: "demo", From: upgrade.MustVersion("v1.35.4"), Target: v137, State: upgrade.Running, Hop: 2, Hops: 2, Started: began,
			Nodes: []upgrade.NodeStatus{
				node("cp2", upgrade.AdditionalControlPlane, 1, upgrade.Done, 9, ""),
				node("cp1", upgrade.FirstControlPlane, 2, upgrade.Done, 9, ""),
				node("cp2", upgrade.AdditionalControlPlane, 2, upgrade.Running, 1, upgrade.Running),
				node("w1", upgrade.Worker, 2, upgrade.Running, 2, upgrade.Running),
				node("w2", upgrade.Worker, 2, upgrade.Pending, 0, upgrade.Pending),
			},
		},
		Faults: "\nfault: w3 start kill\n",
	}
	held := running
	held.Waiting, held.Faults = nil, ""
	held.Nodes = running.Nodes[3:5]
	held.Status.State, held.Status.Message = upgrade.Held, "w1 is held at Drain: payments/api-2 blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)"
	held.Status.Nodes = []upgrade.NodeStatus{node("w1", upgrade.Worker, 2, upgrade.Held, 2, upgrade.Held)}
	ended := Picture{
		Now:   began.Add(time.Hour),
		Nodes: []bed.Node{{Name: "cp1", Kubelet: v137.String(), Ready: true, On: true, APIServer: v137, APIReady: true}},
		Status: upgrade.Status{
			Cluster: "demo", From: v136, Target: v137, State: upgrade.Done, Hop: 1, Hops: 1, Started: began, Ended: began.Add(2 * time.Minute),
			Nodes: []upgrade.NodeStatus{node("cp1", upgrade.FirstControlPlane, 1, upgrade.Done, 9, "")},
		},
	}
	return map[string]Picture{"running": running, "held": held, "ended": ended}
}

func TestRender(t *testing.T) {
	for name, p := range pictures() {
		got := p.Render()
		file := filepath.Join("testdata", name+".golden")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			continue
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err, "write it with: go test ./sim/internal/picture -update")
		require.Equal(t, string(want), got, "%s differs; write it with -update and look at it", file)
	}
}

// TestColorIsAllThatIsAdded: with colour, the same is said at the same place.
func TestColorIsAllThatIsAdded(t *testing.T) {
	text.EnableColors()
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for name, p := range pictures() {
		plain := p.Render()
		p.Color = true
		colored := p.Render()
		require.NotEqual(t, plain, colored, name)
		require.Equal(t, plain, escapes.ReplaceAllString(colored, ""), name)
	}
}

// TestRenderNothing: before anything is known there is a picture as well.
func TestRenderNothing(t *testing.T) {
	require.NotPanics(t, func() { Picture{}.Render() })
}
