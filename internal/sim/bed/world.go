package bed

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"

	"github.com/pawl-dev/pawl/internal/sim/scenario"
)

// A Bed is the world that scenarios happen to. A node that does not exist is nobody's.
var _ scenario.World = (*Bed)(nil)

// rebootTakes is how long a host is away when it reboots, on a real node.
const rebootTakes = 25 * time.Second

func (b *Bed) on(name string, do func(*node)) {
	if n := b.node(name); n != nil {
		do(n)
	}
}

// Cut implements scenario.World.
func (b *Bed) Cut(name string) { b.on(name, func(n *node) { n.ssh.Cut() }) }

// Hang implements scenario.World.
func (b *Bed) Hang(name string, d time.Duration) { b.on(name, func(n *node) { n.ssh.Hang(d) }) }

// Reboot implements scenario.World.
func (b *Bed) Reboot(name string, down time.Duration) {
	b.on(name, func(n *node) {
		if down == 0 {
			n.machine.Reboot(rebootTakes)
			return
		}
		n.machine.Stop()
		time.AfterFunc(down, n.machine.Start)
	})
}

// Kill implements scenario.World.
func (b *Bed) Kill(name string) { b.on(name, func(n *node) { n.machine.Stop() }) }

// FillDisk implements scenario.World.
func (b *Bed) FillDisk(name string, full bool) {
	b.on(name, func(n *node) { n.machine.FillDisk(full) })
}

// LockPackages implements scenario.World.
func (b *Bed) LockPackages(name string, locked bool) {
	b.on(name, func(n *node) { n.machine.LockPackages(locked) })
}

// FailKubelet implements scenario.World.
func (b *Bed) FailKubelet(name string, failing bool) {
	b.on(name, func(n *node) { n.machine.SetHealthz(!failing) })
}

// FailHealth implements scenario.World.
func (b *Bed) FailHealth(name, check string) {
	b.on(name, func(n *node) {
		if n.endpoint != nil {
			n.endpoint.Fail("fault", check)
		}
	})
}

// TakeAPI implements scenario.World.
func (b *Bed) TakeAPI(name string, away bool) {
	b.on(name, func(n *node) {
		if n.endpoint == nil {
			return
		}
		if err := n.endpoint.Block(away); err != nil {
			b.opts.Say(fmt.Sprintf("API server of %s: %v", name, err))
		}
	})
}

// DelayKubelet implements scenario.World.
func (b *Bed) DelayKubelet(name string, d time.Duration) {
	b.on(name, func(n *node) { n.machine.DelayKubelet(time.Duration(float64(d) / b.opts.Pace)) })
}

// Slow implements scenario.World.
func (b *Bed) Slow(name string, factor float64) {
	b.on(name, func(n *node) { n.machine.SetSlow(factor) })
}

// savedBudget is what a budget said before it was blocked.
type savedBudget struct{ minAvailable, maxUnavailable *intstr.IntOrString }

// BlockBudget implements scenario.World.
func (b *Bed) BlockBudget(ctx context.Context, budget string, blocked bool) error {
	namespace, name, ok := strings.Cut(budget, "/")
	if !ok {
		return fmt.Errorf("block budget %q: wanted NAMESPACE/NAME", budget)
	}
	budgets := b.client.PolicyV1().PodDisruptionBudgets(namespace)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		p, err := budgets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		b.mu.Lock()
		saved, was := b.budgets[budget]
		switch {
		case blocked && !was:
			b.budgets[budget] = savedBudget{p.Spec.MinAvailable, p.Spec.MaxUnavailable}
			none := intstr.FromInt32(0)
			p.Spec.MinAvailable, p.Spec.MaxUnavailable = nil, &none
		case !blocked && was:
			p.Spec.MinAvailable, p.Spec.MaxUnavailable = saved.minAvailable, saved.maxUnavailable
		}
		b.mu.Unlock()
		if _, err := budgets.Update(ctx, p, metav1.UpdateOptions{}); err != nil {
			return err
		}
		if !blocked {
			b.mu.Lock()
			delete(b.budgets, budget)
			b.mu.Unlock()
		}
		return nil
	})
}
