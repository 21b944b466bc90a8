package workflows

import (
	"go.temporal.io/sdk/workflow"
)

// inParallel runs do for every item, at most limit at a time, starting them in order, as a sliding window: as soon as
// one ends the next one starts. After an error no further item starts; those under way end first. It returns the first
// error.
func inParallel[T any](ctx workflow.Context, items []T, limit int, do func(workflow.Context, int, T) error) error {
	window := workflow.NewSemaphore(ctx, int64(max(1, limit)))
	running := workflow.NewWaitGroup(ctx)
	var first error
	for i, item := range items {
		if err := window.Acquire(ctx, 1); err != nil {
			first = err
		}
		if first != nil {
			break
		}
		running.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer running.Done()
			defer window.Release(1)
			if err := do(ctx, i, item); err != nil && first == nil {
				first = err
			}
		})
	}
	running.Wait(ctx)
	return first
}
