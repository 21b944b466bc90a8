package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// windowsListed is how many maintenance windows have a line of their own.
const windowsListed = 12

// windows lists the maintenance windows that a plan will use, and when it will end, in the cluster's time zone.
func windows(p upgrade.Plan, st Style) string {
	if len(p.Windows) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", st.bold(fmt.Sprintf("Maintenance windows (%s), if it is started now", p.Settings.Windows.TimeZone)))
	for i, w := range p.Windows {
		if i == windowsListed {
			fmt.Fprintf(&b, "    and %d more, the last one %s\n", len(p.Windows)-i, p.Windows[len(p.Windows)-1])
			break
		}
		fmt.Fprintf(&b, "    %d. %s: %s\n", i+1, w, names(w.Nodes))
	}
	fmt.Fprintf(&b, "  It ends about %s\n", p.Ends.Format("Mon 2 Jan 15:04"))
	return b.String()
}

// remaining says how long it will still take: the work, without the time until a maintenance window opens.
func remaining(s snapshot.Snapshot, now time.Time) string {
	left := about(s.Remaining(now))
	i := slices.IndexFunc(s.Waits, func(w upgrade.Wait) bool { return w.For == upgrade.ForWindow })
	switch {
	case i < 0:
		return left + " left"
	case s.State == upgrade.Waiting:
		return left + " of work left, goes on in " + Short(s.Waits[i].Until.Sub(now))
	}
	return left + " of work left"
}
