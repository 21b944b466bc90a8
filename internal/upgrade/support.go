package upgrade

import (
	"fmt"
	"time"
)

// endOfLife is the day after which a minor gets no patches any more. Minors that are older than all of these are past it;
// of newer ones nothing is known.
// Source: https://kubernetes.io/releases/patch-releases/
var endOfLife = map[uint64]time.Time{
	34: day(2026, time.October, 27),
	35: day(2027, time.February, 28),
	36: day(2027, time.June, 28),
	37: day(2027, time.October, 28),
}

// oldestKnown is the oldest minor of endOfLife.
const oldestKnown = 34

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

// checkSupport warns of a target that gets no patches any more. now is when the plan is made; zero: nobody asks.
func checkSupport(p Plan, now time.Time) []Finding {
	ends, known := endOfLife[p.Target.minor]
	past := known && now.After(ends.AddDate(0, 0, 1)) || p.Target.minor < oldestKnown
	if now.IsZero() || !past || p.Target.major != 1 {
		return nil
	}
	since := ""
	if known {
		since = " since " + ends.Format(time.DateOnly)
	}
	return []Finding{{ID: EndOfLife, Severity: SeverityWarning, Target: p.Cluster,
		Message: fmt.Sprintf("%s is no longer supported%s, it gets no security fixes", p.Target.MinorString(), since),
		Remedy:  "go on to a newer minor afterwards", Source: "https://kubernetes.io/releases/patch-releases/"}}
}
