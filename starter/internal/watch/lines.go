package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

// Lines shows one line for each change.
func Lines(out io.Writer, now func() time.Time) func(Seen) {
	var prev *snapshot.Snapshot
	away := ""
	return func(seen Seen) {
		if seen.Away != "" {
			if away == "" { // once for each time that it goes away
				fmt.Fprintf(out, "%s %s; trying again\n", now().Format("15:04:05"), seen.Away)
			}
			away = seen.Away
			return
		}
		if away != "" {
			fmt.Fprintf(out, "%s Temporal answers again\n", now().Format("15:04:05"))
			away = ""
		}
		for _, line := range view.Changes(prev, seen.Snapshot, now()) {
			fmt.Fprintln(out, line)
		}
		s := seen.Snapshot
		prev = &s
	}
}

// JSONLines shows each changed status as one line of JSON. What is away is told on the other stream.
func JSONLines(out, errOut io.Writer) func(Seen) {
	var prev *snapshot.Snapshot
	away := false
	return func(seen Seen) {
		if seen.Away != "" {
			if !away {
				fmt.Fprintf(errOut, "pawl: %s; trying again\n", seen.Away)
			}
			away = true
			return
		}
		away = false
		if prev != nil && prev.Equal(seen.Snapshot) {
			return
		}
		_ = json.NewEncoder(out).Encode(seen.Snapshot)
		s := seen.Snapshot
		prev = &s
	}
}
