package scenario

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pawl-dev/pawl/internal/sim/machine"
)

// World is what faults happen to. Nodes are known by name.
type World interface {
	Cut(node string)
	Hang(node string, d time.Duration)
	Reboot(node string, down time.Duration) // 0: as long as a reboot takes
	Kill(node string)
	FillDisk(node string, full bool)
	LockPackages(node string, locked bool)
	FailKubelet(node string, failing bool)
	FailHealth(node, check string) // "" makes it well again
	TakeAPI(node string, away bool)
	DelayKubelet(node string, d time.Duration)
	Slow(node string, factor float64)
	BlockBudget(ctx context.Context, budget string, blocked bool) error
}

// Engine lets the faults of a scenario happen when their time has come.
type Engine struct {
	world World
	say   func(string)

	mu      sync.Mutex
	waiting []Fault
	fired   []Fault
	over    bool
}

// NewEngine makes an engine; say is told of every fault.
func NewEngine(world World, say func(string)) *Engine { return &Engine{world: world, say: say} }

// Add takes in more faults. Those that wait for nothing happen at once.
func (e *Engine) Add(ctx context.Context, faults ...Fault) error {
	for _, f := range faults {
		if f.When != start {
			e.mu.Lock()
			e.waiting = append(e.waiting, f)
			e.mu.Unlock()
			continue
		}
		if err := e.happen(ctx, f, f.Node); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the scenario: what is under way is not undone any more, for there is nothing left to undo it in.
func (e *Engine) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over, e.waiting = true, nil
}

// later undoes a fault that lasts for a while.
func (e *Engine) later(f Fault, undo func()) {
	if f.For == 0 {
		return // for good
	}
	time.AfterFunc(f.For, func() {
		e.mu.Lock()
		over := e.over
		e.mu.Unlock()
		if !over {
			undo()
		}
	})
}

// Hook is the machines' hook.
func (e *Engine) Hook(ctx context.Context, event machine.Event) {
	node := event.Machine.Name()
	for _, f := range e.due(node, event) {
		if err := e.happen(ctx, f, node); err != nil {
			e.say(fmt.Sprintf("fault %q: %v", f.Line, err))
		}
	}
}

// due takes out the faults whose time has come.
func (e *Engine) due(node string, event machine.Event) []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due, waiting []Fault
	for _, f := range e.waiting {
		if f.awaits(node, event) {
			due = append(due, f)
		} else {
			waiting = append(waiting, f)
		}
	}
	e.waiting = waiting
	return due
}

// Waiting are the faults that have not happened.
func (e *Engine) Waiting() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, f := range e.waiting {
		lines = append(lines, f.Line)
	}
	return lines
}

// Fired are the faults that have happened, in their order.
func (e *Engine) Fired() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, f := range e.fired {
		lines = append(lines, f.Line)
	}
	return lines
}

func (e *Engine) happen(ctx context.Context, f Fault, node string) error {
	w := e.world
	if f.Do == "block-budget" { // the only one that may not succeed
		if err := w.BlockBudget(ctx, f.Arg, true); err != nil {
			return err
		}
	}
	e.mu.Lock()
	e.fired = append(e.fired, f)
	e.mu.Unlock()
	e.say("fault: " + f.Line)
	state := func(set func(on bool)) {
		set(true)
		e.later(f, func() { set(false) })
	}
	switch f.Do {
	case "cut":
		w.Cut(node)
	case "hang":
		w.Hang(node, f.For)
	case "reboot":
		w.Reboot(node, f.For)
	case "kill":
		w.Kill(node)
	case "fill-disk":
		state(func(on bool) { w.FillDisk(node, on) })
	case "lock-packages":
		state(func(on bool) { w.LockPackages(node, on) })
	case "fail-kubelet":
		state(func(on bool) { w.FailKubelet(node, on) })
	case "fail-health":
		state(func(on bool) {
			check := ""
			if on {
				check = f.Arg
			}
			w.FailHealth(node, check)
		})
	case "api-down":
		state(func(on bool) { w.TakeAPI(node, on) })
	case "delay-kubelet":
		w.DelayKubelet(node, f.For)
	case "slow":
		state(func(on bool) {
			factor := 1.0
			if on {
				factor, _ = strconv.ParseFloat(f.Arg, 64) // checked when it was read
			}
			w.Slow(node, factor)
		})
	case "block-budget":
		e.later(f, func() {
			if err := w.BlockBudget(context.Background(), f.Arg, false); err != nil {
				e.say(fmt.Sprintf("fault %q: %v", f.Line, err))
			}
		})
	}
	return nil
}
