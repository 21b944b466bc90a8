package workflows

import (
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// reasonMax is how much of a cluster's reason its row shows, in bytes.
const reasonMax = 80

// fleetDetails is what Temporal's UI shows as the current details of a fleet's upgrade: Markdown, at most 20,000 bytes.
// Clusters that are over or have not begun are counted first where there are many.
func fleetDetails(s upgrade.FleetStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s → %s: %s\n\nWave %d of %d.\n\n", s.Fleet, s.Target, s.State, s.Wave, s.Waves)
	if s.Message != "" && len(s.Waits) == 0 {
		fmt.Fprintf(&b, "**%s**\n\n", s.Message)
	}
	for _, w := range s.Waits {
		waitDetails(&b, w, "this workflow")
	}
	b.WriteString("| | cluster | wave | from | why |\n|---|---|---|---|---|\n")
	left := 0
	for _, c := range s.Clusters {
		quiet := c.State == upgrade.Done || c.State == upgrade.Pending || c.State == upgrade.Skipped
		if quiet && len(s.Clusters) > detailsMaxRows {
			left++
			continue
		}
		from := ""
		if !c.From.IsZero() {
			from = c.From.String()
		}
		why := strings.ReplaceAll(c.Reason, "|", "\\|")
		if len(why) > reasonMax {
			why = strings.ToValidUTF8(why[:reasonMax], "") + " ..."
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s |\n", symbol(c.State), c.Cluster, c.Wave, from, why)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n%d clusters are done, skipped or not begun.\n", left)
	}
	return b.String()
}
