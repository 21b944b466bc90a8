package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// BenchmarkOneSlowNode rolls over a hundred nodes, two workers at a time, one of which takes ten times as long as the others,
// and holds the time against the best possible schedule: `go test ./integration -run '^$' -bench OneSlowNode -benchtime 1x`.
// Beside it stands what batches of two would have taken.
func BenchmarkOneSlowNode(b *testing.B) {
	for range b.N {
		s := newStage(b, "slow", bed.Options{ControlPlanes: 1, Workers: 99, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.15}, "workers: {maxUnavailable: 2}\n")
		s.Slow("w1", 10)
		s.start()
		s.watch(0)
		var each []time.Duration // of workers, in their order
		var began, ended time.Time
		for _, n := range s.report().Nodes {
			if n.Role.IsControlPlane() {
				continue
			}
			from, to := n.Steps[0].Started, n.Steps[len(n.Steps)-1].Ended
			each = append(each, to.Sub(from))
			if began.IsZero() || from.Before(began) {
				began = from
			}
			if to.After(ended) {
				ended = to
			}
		}
		require.Len(b, each, 99)
		var all, batches time.Duration
		for i, d := range each {
			all += d
			if i%2 == 0 {
				batches += max(d, each[min(i+1, len(each)-1)])
			}
		}
		best, took := max(all/2, slices.Max(each)), ended.Sub(began)
		fmt.Printf("the workers took %s, the best possible schedule %s (%.1f %% more), batches of two %s; the slow node %s\n",
			took.Round(time.Millisecond), best.Round(time.Millisecond), 100*(took.Seconds()/best.Seconds()-1), batches.Round(time.Millisecond), slices.Max(each).Round(time.Millisecond))
		b.ReportMetric(took.Seconds(), "s/workers")
		b.ReportMetric(best.Seconds(), "s/best")
	}
}
