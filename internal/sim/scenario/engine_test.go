package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// world writes down what happens to it.
type world struct {
	mu       sync.Mutex
	happened []string
	refuses  error // changes of budgets
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.happened = append(w.happened, fmt.Sprintf(format, args...))
}

// since is what has happened since the last call.
func (w *world) since() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.happened
	w.happened = nil
	return all
}

func (w *world) Cut(node string)                           { w.note("cut %s", node) }
func (w *world) Hang(node string, d time.Duration)         { w.note("hang %s %s", node, d) }
func (w *world) Reboot(node string, d time.Duration)       { w.note("reboot %s %s", node, d) }
func (w *world) Kill(node string)                          { w.note("kill %s", node) }
func (w *world) FillDisk(node string, on bool)             { w.note("fill-disk %s %t", node, on) }
func (w *world) LockPackages(node string, on bool)         { w.note("lock-packages %s %t", node, on) }
func (w *world) FailKubelet(node string, on bool)          { w.note("fail-kubelet %s %t", node, on) }
func (w *world) FailHealth(node, check string)             { w.note("fail-health %s %q", node, check) }
func (w *world) TakeAPI(node string, on bool)              { w.note("api-down %s %t", node, on) }
func (w *world) DelayKubelet(node string, d time.Duration) { w.note("delay-kubelet %s %s", node, d) }
func (w *world) Slow(node string, factor float64)          { w.note("slow %s %g", node, factor) }

func (w *world) BlockBudget(_ context.Context, budget string, on bool) error {
	w.note("block-budget %s %t", budget, on)
	return w.refuses
}

// told collects what an engine says.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (s *told) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func parse(t *testing.T, lines string) []Fault {
	t.Helper()
	faults, err := Parse(lines)
	require.NoError(t, err)
	return faults
}

func newMachine(t *testing.T, name string) *machine.Machine {
	t.Helper()
	m, err := machine.New(machine.Options{Name: name, Dir: t.TempDir(), Version: upgrade.MustVersion("v1.36.3")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// Every fault does what it says, and what lasts for a while is undone afterwards.
func TestEngineFaults(t *testing.T) {
	for line, want := range map[string]struct{ at, undone []string }{
		"w1 start cut":                          {at: []string{"cut w1"}},
		"w1 start hang for 5s":                  {at: []string{"hang w1 5s"}},
		"w1 start reboot":                       {at: []string{"reboot w1 0s"}},
		"w1 start reboot for 5s":                {at: []string{"reboot w1 5s"}},
		"w1 start kill":                         {at: []string{"kill w1"}},
		"w1 start fill-disk":                    {at: []string{"fill-disk w1 true"}},
		"w1 start fill-disk for 5s":             {at: []string{"fill-disk w1 true"}, undone: []string{"fill-disk w1 false"}},
		"w1 start lock-packages for 5s":         {at: []string{"lock-packages w1 true"}, undone: []string{"lock-packages w1 false"}},
		"w1 start fail-kubelet for 5s":          {at: []string{"fail-kubelet w1 true"}, undone: []string{"fail-kubelet w1 false"}},
		"w1 start fail-health etcd":             {at: []string{`fail-health w1 "etcd"`}},
		"w1 start fail-health etcd for 5s":      {at: []string{`fail-health w1 "etcd"`}, undone: []string{`fail-health w1 ""`}},
		"w1 start api-down for 5s":              {at: []string{"api-down w1 true"}, undone: []string{"api-down w1 false"}},
		"w1 start delay-kubelet for 5s":         {at: []string{"delay-kubelet w1 5s"}},
		"w1 start slow 2.5":                     {at: []string{"slow w1 2.5"}},
		"w1 start slow 2.5 for 5s":              {at: []string{"slow w1 2.5"}, undone: []string{"slow w1 1"}},
		"* start block-budget shop/web":         {at: []string{"block-budget shop/web true"}},
		"w1 start block-budget shop/web for 5s": {at: []string{"block-budget shop/web true"}, undone: []string{"block-budget shop/web false"}},
	} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w world
				var s told
				e := NewEngine(&w, s.say)
				require.NoError(t, e.Add(t.Context(), parse(t, line)...))
				require.Equal(t, want.at, w.since())
				time.Sleep(5*time.Second - 1)
				synctest.Wait()
				require.Empty(t, w.since(), "nothing is undone too early")
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, want.undone, w.since())
				require.Equal(t, []string{line}, e.Fired())
				require.Empty(t, e.Waiting())
				require.Equal(t, []string{"fault: " + line}, s.lines)
			})
		})
	}
}

func TestEngineLetsEachFaultHappenOnce(t *testing.T) {
	var w world
	var s told
	e := NewEngine(&w, s.say)
	const cut, any1, any2, kill = `w1 before "apt-get install" cut`, `* during kubeadm fill-disk`, `* during kubeadm fail-kubelet`, `w2 after kubeadm kill`
	require.NoError(t, e.Add(t.Context(), parse(t, cut+"\n"+any1+"\n"+any2+"\n"+kill)...))
	require.Equal(t, []string{cut, any1, any2, kill}, e.Waiting())
	require.Empty(t, e.Fired())

	w1, w2 := newMachine(t, "w1"), newMachine(t, "w2")
	hook := func(m *machine.Machine, when machine.When, what string) []string {
		e.Hook(t.Context(), machine.Event{Machine: m, When: when, What: what})
		return w.since()
	}
	require.Empty(t, hook(w2, machine.Before, "apt-get install"))
	require.Equal(t, []string{"cut w1"}, hook(w1, machine.Before, "apt-get install"))
	require.Empty(t, hook(w1, machine.Before, "apt-get install"), "it happens once")
	require.Equal(t, []string{"fill-disk w2 true", "fail-kubelet w2 true"}, hook(w2, machine.During, "kubeadm upgrade node"), "to the first node that does it")
	require.Empty(t, hook(w1, machine.During, "kubeadm upgrade node"))
	require.Equal(t, []string{kill}, e.Waiting())
	require.Equal(t, []string{cut, any1, any2}, e.Fired())
	require.Equal(t, []string{"kill w2"}, hook(w2, machine.After, "kubeadm upgrade node"))
	require.Empty(t, e.Waiting())

	// The same line may be added again.
	require.NoError(t, e.Add(t.Context(), parse(t, kill)...))
	require.Equal(t, []string{"kill w2"}, hook(w2, machine.After, "kubeadm upgrade node"))
}

func TestEngineSaysWhatCouldNotBeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{refuses: errors.New("no such budget")}
		var s told
		e := NewEngine(&w, s.say)
		require.EqualError(t, e.Add(t.Context(), parse(t, "* start block-budget a/b for 5s")...), "no such budget")
		require.NoError(t, e.Add(t.Context(), parse(t, "* before kubeadm block-budget c/d for 5s")...))
		e.Hook(t.Context(), machine.Event{Machine: newMachine(t, "w1"), When: machine.Before, What: "kubeadm"})
		w.refuses = nil
		require.NoError(t, e.Add(t.Context(), parse(t, "* start block-budget e/f for 5s")...))
		w.refuses = errors.New("gone")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"block-budget a/b true", "block-budget c/d true", "block-budget e/f true", "block-budget e/f false"}, w.since(),
			"what was not done is not undone")
		require.Equal(t, []string{
			`fault "* before kubeadm block-budget c/d for 5s": no such budget`,
			"fault: * start block-budget e/f for 5s", `fault "* start block-budget e/f for 5s": gone`,
		}, s.lines, "what was not done is not said to have happened")
		require.Equal(t, []string{"* start block-budget e/f for 5s"}, e.Fired())
	})
}

func TestStoppedEngineUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		e := NewEngine(&w, func(string) {})
		require.NoError(t, e.Add(t.Context(), parse(t, "w1 start fill-disk for 5s\nw1 before kubeadm cut")...))
		w.since()
		e.Stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		e.Hook(t.Context(), machine.Event{Machine: newMachine(t, "w1"), When: machine.Before, What: "kubeadm"})
		require.Empty(t, w.since())
		require.Empty(t, e.Waiting())
	})
}
