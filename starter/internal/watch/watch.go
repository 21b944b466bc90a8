// Package watch follows an upgrade until it ends or waits for a person, who may answer on the screen.
//
// Rule: looking never disturbs. A server or worker that is away is reported, and asked again.
package watch

import (
	"context"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// Interval is how often the upgrade is looked at.
const Interval = time.Second

// Source is asked for the status of an upgrade.
type Source func(ctx context.Context) (snapshot.Snapshot, error)

// Seen is what one look gave: a snapshot, or why there is none now.
type Seen struct {
	Snapshot snapshot.Snapshot
	Away     string
}

// EndedOrHeld is where those stop who cannot answer: what needs a person needs another than who watches.
func EndedOrHeld(s upgrade.State) bool { return s.Ended() || s == upgrade.Held }

// Follow hands what it sees to show, once for each look, until the upgrade is where it is to stop; then it returns the
// last snapshot. It fails when the upgrade is not known, or the context ends.
func Follow(
	ctx context.Context, source Source, interval time.Duration, stop func(upgrade.State) bool, show func(Seen),
) (snapshot.Snapshot, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last snapshot.Snapshot
	for {
		s, err := source(ctx)
		switch {
		case ctx.Err() != nil:
			return last, exit.Silent(exit.Interrupted)
		case err == nil:
			last = s
			show(Seen{Snapshot: s})
			if stop(s.State) {
				return s, nil
			}
		case exit.Code(err) == exit.BadInput:
			return last, err
		default:
			show(Seen{Away: err.Error()})
		}
		select {
		case <-ctx.Done():
			return last, exit.Silent(exit.Interrupted)
		case <-tick.C:
		}
	}
}

// Code is the exit code for where an upgrade was left.
func Code(s upgrade.State) int {
	switch s {
	case upgrade.Failed, upgrade.Aborted:
		return exit.Unexpected
	case upgrade.Held:
		return exit.Held
	}
	return exit.Done
}
