package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Short renders a duration for people: 0.4s, 12s, 2m34s, 1h02m.
func Short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%dh%02dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}

// about renders an estimate, which would pretend too much with its seconds.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than 1m"
	case d < time.Hour:
		return fmt.Sprintf("about %dm", int((d + 30*time.Second).Minutes()))
	}
	return fmt.Sprintf("about %dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// path renders the way of an upgrade; where it begins is known only once it is planned.
func path(s upgrade.Status) string {
	switch {
	case s.Target.IsZero():
		return "upgrade"
	case s.From.IsZero():
		return "to " + s.Target.String()
	}
	return fmt.Sprintf("%s -> %s", s.From, s.Target)
}

// count renders "1 node", "3 nodes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// namesShown is how many names stand in a list before it is abbreviated.
const namesShown = 6

// names renders a list of names, abbreviated when it is long.
func names(all []string) string {
	if len(all) <= namesShown {
		return strings.Join(all, ", ")
	}
	what := "nodes"
	if strings.Contains(all[0], "/") { // as in cp1/etcd, and in no name of a node
		what = "parts"
	}
	return fmt.Sprintf("%s, ... %s (%d %s)", strings.Join(all[:namesShown-2], ", "), all[len(all)-1], len(all), what)
}
