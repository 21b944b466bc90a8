// Package recording keeps histories of real upgrades, for the tests that replay them.
//
// Rule: only tests use it. What is kept names no machine and no process.
package recording

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"
)

// identities name the machine and process that did a thing, which no replay needs.
var identities = regexp.MustCompile(`"identity": ?"[^"]*"`)

// Write keeps the history of a workflow's run, the newest if run is empty, as dir/<name>.json.
func Write(ctx context.Context, c client.Client, dir, name, workflow, run string) error {
	var h historypb.History
	events := c.GetWorkflowHistory(ctx, workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return fmt.Errorf("read history of %s: %w", workflow, err)
		}
		h.Events = append(h.Events, e)
	}
	text, err := protojson.Marshal(&h)
	if err != nil {
		return fmt.Errorf("write history of %s: %w", workflow, err)
	}
	text = identities.ReplaceAll(text, []byte(`"identity":"worker"`))
	return os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o644)
}
