package activities

import (
	"context"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// probeEvery is the pause between two looks at a node's API server: what is shorter may be missed.
const probeEvery = 250 * time.Millisecond

// probeAPIServer looks at the node's own API server again and again until end is called. It runs beside the step, never
// delays it and never fails it. The server's address is looked up first, while the server still answers.
func (a *Activities) probeAPIServer(ctx context.Context, in NodeInput) *probing {
	if !in.Role.IsControlPlane() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &probing{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.run(ctx, func(ctx context.Context) (func(context.Context) error, error) {
			api, err := a.Directory.API(in.Cluster)
			if err != nil {
				return nil, err
			}
			return api.APIServerProbe(ctx, in.Node)
		})
	}()
	return p
}

// probing is one API server under observation.
type probing struct {
	cancel   context.CancelFunc
	done     chan struct{}
	answered bool // at least once: who never answered may be out of reach for other reasons
	late     bool // the address was not known from the beginning
	seen     upgrade.Downtime
}

// end stops the probing and says what it saw; nil when that is nothing.
func (p *probing) end() *upgrade.Downtime {
	if p == nil {
		return nil
	}
	p.cancel()
	<-p.done
	if !p.answered {
		return nil
	}
	p.seen.AtLeast = p.late
	return &p.seen
}

func (p *probing) run(ctx context.Context, open func(context.Context) (func(context.Context) error, error)) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var probe func(context.Context) error
	var down time.Time // since when it is away; zero while it answers
	for {
		asked := time.Now()
		switch {
		case probe == nil:
			if opened, err := open(ctx); err == nil {
				probe = opened
				continue
			}
			p.late = true
		case probe(ctx) == nil:
			p.answered = true
			if !down.IsZero() {
				p.seen.Add(down, time.Now())
				down = time.Time{}
			}
		case ctx.Err() == nil && down.IsZero():
			down = asked
		}
		select {
		case <-ctx.Done():
			if !down.IsZero() {
				p.seen.Add(down, time.Now())
			}
			return
		case <-tick.C:
		}
	}
}
