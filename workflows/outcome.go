package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/activities"
)

// outcomeOf is what an activity told of itself: its result, or after a failure what its last attempt left in the error.
func outcomeOf(out activities.Outcome, err error) activities.Outcome {
	var failed *temporal.ApplicationError
	if err == nil || !errors.As(err, &failed) || !failed.HasDetails() {
		return out
	}
	var told activities.Outcome
	if failed.Details(&told) != nil {
		return out
	}
	return told
}
