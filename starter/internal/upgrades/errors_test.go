package upgrades

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

func TestTranslate(t *testing.T) {
	c := &Client{Address: "127.0.0.1:7233", Namespace: "default"}
	fromWorkflow := func(kind fault.Kind) error {
		return fmt.Errorf("workflow execution error (type: X): %w", temporal.NewApplicationError("plan lab: a fact; a remedy", string(kind)))
	}
	const noWorker = `plan lab: no pawl-worker is polling task queue pawl of namespace default at 127.0.0.1:7233; start one, or "pawl dev"`
	for name, tc := range map[string]struct {
		err  error
		code int
		text string
	}{
		"invalid input":       {fromWorkflow(fault.InvalidInput), exit.BadInput, "plan lab: a fact; a remedy"},
		"not found":           {fromWorkflow(fault.NotFound), exit.BadInput, "plan lab: a fact; a remedy"},
		"skew":                {fromWorkflow(fault.SkewViolation), exit.Refused, "plan lab: a fact; a remedy"},
		"unreachable host":    {fromWorkflow(fault.Unreachable), exit.Refused, "plan lab: a fact; a remedy"},
		"no worker (query)":   {serviceerror.NewFailedPrecondition("no poller"), exit.Unreachable, noWorker},
		"not ready":           {serviceerror.NewWorkflowNotReady("not yet"), exit.Unreachable, noWorker},
		"unavailable":         {serviceerror.NewUnavailable("down"), exit.Unreachable, "plan lab: Temporal at 127.0.0.1:7233 does not answer (down)"},
		"too slow":            {context.DeadlineExceeded, exit.Unreachable, "plan lab: Temporal at 127.0.0.1:7233 does not answer (context deadline exceeded)"},
		"unknown namespace":   {serviceerror.NewNamespaceNotFound("default"), exit.BadInput, `plan lab: Temporal at 127.0.0.1:7233 has no namespace "default"; create it, or set TEMPORAL_NAMESPACE`},
		"interrupted":         {context.Canceled, exit.Interrupted, "plan lab: interrupted"},
		"known already":       {exit.Errorf(exit.Held, "held"), exit.Held, "held"},
		"anything else":       {errors.New("odd\nthing"), exit.Unexpected, "plan lab: odd thing"},
		"success is no fault": {nil, exit.Done, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.translate("plan lab", tc.err, exit.Refused)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if exit.Code(err) != tc.code || text != tc.text {
				t.Errorf("got %d %q\nwant %d %q", exit.Code(err), text, tc.code, tc.text)
			}
		})
	}
}

func TestLink(t *testing.T) {
	c := &Client{Address: "127.0.0.1:7233", Namespace: "default"}
	if got, want := c.Link("cluster-upgrade/lab", "r"), "http://127.0.0.1:8233/namespaces/default/workflows/cluster-upgrade%2Flab/r/history"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
