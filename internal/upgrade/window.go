package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Windows say when work on a cluster may begin, as its definition has them. The zero value is: at any time.
type Windows struct {
	// TimeZone is the IANA name of the zone that days and times are in, such as Europe/Zurich.
	TimeZone string   `json:"timeZone,omitempty"`
	Open     []Window `json:"open,omitempty"`
	// Except are days on which no window opens: "2026-12-24", or from the first to the last "2026-12-20/2027-01-06".
	Except []string `json:"except,omitempty"`
}

// Window opens on some days at a time. It belongs to the day on which it opens, however far it goes into the next.
type Window struct {
	// Days on which it opens: "sat", "mon-fri", "first sun" or "last fri" of a month. None are all days.
	Days []string `json:"days,omitempty"`
	// Start is the time of the day, "22:00" or "22:00:30".
	Start string `json:"start"`
	// Duration is elapsed time, also where clocks are changed meanwhile.
	Duration Duration `json:"duration"`
}

// Defined reports whether there are windows at all.
func (w Windows) Defined() bool { return len(w.Open) > 0 }

// Opening is a time in which work may begin: a window, or several that touch or overlap.
type Opening struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"` // zero: it does not end
	// TimeZone is the name of the zone that From and To are written in.
	TimeZone string `json:"timeZone,omitempty"`
}

// Fits reports whether what needs so long, and begins at that time, ends before the opening does.
func (o Opening) Fits(at time.Time, needs time.Duration) bool {
	return !at.Before(o.From) && (o.To.IsZero() || !at.Add(needs).After(o.To))
}

// Length is how long it is open.
func (o Opening) Length() time.Duration { return o.To.Sub(o.From) }

// Opens is when it opens, for people: "Sat 28 Nov 22:00 Europe/Zurich".
func (o Opening) Opens() string { return Moment(o.From) + " " + o.TimeZone }

// String is when it opens and closes, for people: "Sat 28 Nov 22:00 - Sun 29 Nov 04:00".
func (o Opening) String() string {
	to := Moment(o.To)
	if o.From.Format(time.DateOnly) == o.To.Format(time.DateOnly) {
		to = strings.TrimPrefix(to, o.To.Format("Mon 2 Jan "))
	}
	return Moment(o.From) + " - " + to
}

// Moment is a day and a time for people, in the time's own zone.
func Moment(t time.Time) string {
	if t.Second() != 0 {
		return t.Format("Mon 2 Jan 15:04:05")
	}
	return t.Format("Mon 2 Jan 15:04")
}

// WindowWait is a time in which an upgrade waited for a maintenance window.
type WindowWait struct {
	For  string    `json:"for"` // what was to begin: a node, or the cluster for the next hop
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"` // zero while it waits
	// Opened is who opened one, if somebody did.
	Opened *Action `json:"opened,omitempty"`
}

// mostOpen bounds the duration of one window.
const mostOpen = 7 * 24 * time.Hour

// Calendar reads the windows. An error names the field, what it is and what was wanted.
func (w Windows) Calendar() (*Calendar, error) {
	c := &Calendar{}
	if !w.Defined() {
		if w.TimeZone != "" || len(w.Except) > 0 {
			return nil, fmt.Errorf("windows.open: is empty, wanted at least one like {days: [sat], start: \"22:00\", duration: 6h}")
		}
		return c, nil
	}
	var err error
	// LoadLocation would take these for UTC and for the zone of whatever machine reads it.
	if w.TimeZone == "" || w.TimeZone == "Local" {
		return nil, fmt.Errorf("windows.timeZone: is %q, wanted a name like Europe/Zurich or UTC", w.TimeZone)
	}
	if c.zone, err = time.LoadLocation(w.TimeZone); err != nil {
		return nil, fmt.Errorf("windows.timeZone: is %q, wanted a name like Europe/Zurich or UTC", w.TimeZone)
	}
	for i, o := range w.Open {
		rule, field, err := o.read()
		if err != nil {
			return nil, fmt.Errorf("windows.open[%d].%s: %w", i, field, err)
		}
		c.rules = append(c.rules, rule)
	}
	for i, text := range w.Except {
		days, err := readDates(text)
		if err != nil {
			return nil, fmt.Errorf("windows.except[%d]: %w", i, err)
		}
		c.except = append(c.except, days)
	}
	return c, nil
}

// windowRule is a window that has been read.
type windowRule struct {
	days     []dayRule // none: every day
	start    time.Duration
	duration time.Duration
}

// dayRule is some days of the week, of every week or of one in a month.
type dayRule struct {
	weekdays [7]bool
	nth      int // 0: every week; -1: the last one of the month
}

func (o Window) read() (r windowRule, field string, err error) {
	for _, text := range o.Days {
		days, err := readDays(text)
		if err != nil {
			return r, "days", err
		}
		r.days = append(r.days, days)
	}
	if r.start, err = readClock(o.Start); err != nil {
		return r, "start", err
	}
	r.duration = o.Duration.Std()
	if r.duration <= 0 || r.duration > mostOpen {
		return r, "duration", fmt.Errorf("is %s, wanted more than 0s and at most %s", o.Duration, Duration(mostOpen))
	}
	return r, "", nil
}

var ordinals = map[string]int{"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}

// readDays reads "sat", "mon-fri", "first sun". Days may be written out.
func readDays(text string) (d dayRule, err error) {
	wanted := fmt.Errorf("is %q, wanted one like sat, mon-fri, first sun or last fri", text)
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 2 {
		d.nth = ordinals[words[0]]
		if d.nth == 0 {
			return d, wanted
		}
		words = words[1:]
	}
	if len(words) != 1 {
		return d, wanted
	}
	first, last, isRange := strings.Cut(words[0], "-")
	from, known := weekday(first)
	to := from
	if isRange && known {
		to, known = weekday(last)
	}
	if !known {
		return d, wanted
	}
	for day := from; ; day = (day + 1) % 7 {
		d.weekdays[day] = true
		if day == to {
			return d, nil
		}
	}
}

func weekday(text string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		name := strings.ToLower(day.String())
		if text == name || text == name[:3] {
			return day, true
		}
	}
	return 0, false
}

// readClock reads "22:00" or "22:00:30" as the time since midnight.
func readClock(text string) (time.Duration, error) {
	for _, form := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(form, text); err == nil && len(text) == len(form) {
			return t.Sub(t.Truncate(24 * time.Hour)), nil
		}
	}
	return 0, fmt.Errorf("is %q, wanted a time like \"22:00\"", text)
}

// dates are days from one to another, both included, each as its midnight in UTC.
type dates struct{ from, to time.Time }

func readDates(text string) (dates, error) {
	first, last, isRange := strings.Cut(text, "/")
	if !isRange {
		last = first
	}
	from, err := time.Parse(time.DateOnly, first)
	to, err2 := time.Parse(time.DateOnly, last)
	if err != nil || err2 != nil || to.Before(from) {
		return dates{}, fmt.Errorf("is %q, wanted a day like \"2026-12-24\" or days like \"2026-12-20/2027-01-06\"", text)
	}
	return dates{from, to}, nil
}

// opens reports whether the window opens on a day, given as its midnight in UTC.
func (r windowRule) opens(day time.Time) bool {
	return len(r.days) == 0 || slices.ContainsFunc(r.days, func(d dayRule) bool { return d.matches(day) })
}

func (d dayRule) matches(day time.Time) bool {
	switch {
	case !d.weekdays[day.Weekday()]:
		return false
	case d.nth > 0:
		return (day.Day()-1)/7+1 == d.nth
	case d.nth < 0:
		return day.AddDate(0, 0, 7).Month() != day.Month()
	}
	return true
}
