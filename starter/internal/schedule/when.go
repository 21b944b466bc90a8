package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
)

// When says when a schedule is due, as a person writes it: at a time of the day, on days or on every one; once, at a
// date and time; or by a cron expression.
type When struct {
	At       string // 22:00, or 2026-12-01T22:00
	On       string // days of the week: tue,thu or mon-fri
	Cron     string // Temporal's: see ParseCron
	TimeZone string // IANA name; "" is UTC
}

var (
	dateLayouts  = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}
	clockLayouts = []string{"15:04", "15:04:05"}
)

// Spec is it for Temporal. It is due once where a date is given.
func (w When) Spec(now time.Time) (spec client.ScheduleSpec, once bool, err error) {
	zone, err := w.zone()
	if err != nil {
		return spec, false, err
	}
	spec.TimeZoneName = zone.String()
	var calendar client.ScheduleCalendarSpec
	switch {
	case w.Cron != "" && (w.At != "" || w.On != ""):
		return spec, false, errors.New("--cron says it all: leave out --at and --on")
	case w.Cron != "":
		calendar, err = ParseCron(w.Cron)
	case w.At == "":
		return spec, false, errors.New("say when: --at 22:00, --at 2026-12-01T22:00 or --cron '0 22 * * tue'")
	default:
		calendar, once, err = w.at(zone, now)
	}
	spec.Calendars = []client.ScheduleCalendarSpec{calendar}
	return spec, once, err
}

// zone is the time zone. Its name is looked up by Temporal's server too, so it must be one of the IANA's.
func (w When) zone() (*time.Location, error) {
	if w.TimeZone == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(w.TimeZone)
	if err != nil || w.TimeZone == "Local" {
		return nil, fmt.Errorf("%q is not a time zone, wanted an IANA name like Europe/Zurich or UTC", w.TimeZone)
	}
	return zone, nil
}

// at is the calendar of a time of the day, or of one moment.
func (w When) at(zone *time.Location, now time.Time) (c client.ScheduleCalendarSpec, once bool, err error) {
	if t, ok := parse(w.At, clockLayouts, time.UTC); ok {
		c = client.ScheduleCalendarSpec{Second: exactly(t.Second()), Minute: exactly(t.Minute()), Hour: exactly(t.Hour())}
		if w.On != "" {
			if c.DayOfWeek, err = daysOfWeek.parse(w.On); err != nil {
				return c, false, fmt.Errorf("--on: %w", err)
			}
		}
		return full(c), false, nil
	}
	t, ok := parse(w.At, dateLayouts, zone)
	switch {
	case !ok:
		return c, false, fmt.Errorf("%q is not a time, wanted one like 22:00 or 2026-12-01T22:00", w.At)
	case w.On != "":
		return c, false, errors.New("a date is one day: leave out --on")
	case !sameClock(w.At, t):
		return c, false, fmt.Errorf("%s does not exist in %s: clocks are put forward then", w.At, zone)
	case !t.After(now):
		return c, false, fmt.Errorf("%s in %s is over: it is %s there", w.At, zone, now.In(zone).Format("2006-01-02 15:04"))
	}
	return client.ScheduleCalendarSpec{
		Second: exactly(t.Second()), Minute: exactly(t.Minute()), Hour: exactly(t.Hour()), DayOfMonth: exactly(t.Day()),
		Month: exactly(int(t.Month())), Year: exactly(t.Year()), DayOfWeek: all(0, 6),
	}, true, nil
}

func parse(s string, layouts []string, zone *time.Location) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// sameClock reports whether the clocks of the zone ever show what was written. A time in the gap of daylight saving is
// moved by the library.
func sameClock(written string, t time.Time) bool {
	plain, _ := parse(written, dateLayouts, time.UTC)
	return plain.Format(time.DateTime) == t.Format(time.DateTime)
}

// ParseCron reads a cron expression as Temporal does: minute, hour, day of the month, month, day of the week; a sixth
// field is the year; with seven the first is the second. All of them have to match, the two kinds of days too: "0 22 8-14
// * tue" is the second Tuesday of each month.
// Source: https://docs.temporal.io/schedule#spec
func ParseCron(expression string) (client.ScheduleCalendarSpec, error) {
	c := client.ScheduleCalendarSpec{Second: exactly(0)}
	parts := []struct {
		field field
		to    *[]client.ScheduleRange
	}{{seconds, &c.Second}, {minutes, &c.Minute}, {hours, &c.Hour}, {daysOfMonth, &c.DayOfMonth}, {months, &c.Month}, {daysOfWeek, &c.DayOfWeek}, {years, &c.Year}}
	fields := strings.Fields(expression)
	switch len(fields) {
	case 5:
		parts = parts[1:6]
	case 6:
		parts = parts[1:]
	case 7:
	default:
		return c, fmt.Errorf("cron %q: wanted minute, hour, day of the month, month, day of the week, like '0 22 * * tue'", expression)
	}
	for i, part := range parts {
		ranges, err := part.field.parse(fields[i])
		if err != nil {
			return c, fmt.Errorf("cron %q: %w", expression, err)
		}
		*part.to = ranges
	}
	return c, nil
}

// field is one part of a calendar.
type field struct {
	name     string
	min, max int
	names    []string // of its values from min on
}

var (
	seconds     = field{name: "second", max: 59}
	minutes     = field{name: "minute", max: 59}
	hours       = field{name: "hour", max: 23}
	daysOfMonth = field{name: "day of the month", min: 1, max: 31}
	months      = field{name: "month", min: 1, max: 12, names: []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}}
	daysOfWeek  = field{name: "day of the week", max: 6, names: []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}}
	years       = field{name: "year", min: 2000, max: 2100}
)

// parse reads a list of values and ranges with steps, like 1,5-10/2 or mon-fri. "*" is all; of years that is no range.
func (f field) parse(text string) ([]client.ScheduleRange, error) {
	if text == "*" {
		if f.name == years.name {
			return nil, nil
		}
		return all(f.min, f.max), nil
	}
	var ranges []client.ScheduleRange
	for part := range strings.SplitSeq(text, ",") {
		r, err := f.parseRange(part)
		if err != nil {
			return nil, err
		}
		if f.name == daysOfWeek.name && r.End == sunday { // it is 0 to Temporal
			if (sunday-r.Start)%r.Step == 0 {
				ranges = append(ranges, client.ScheduleRange{Step: 1})
			}
			if r.End--; r.Start > r.End {
				continue
			}
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// sunday is the end of a week that begins on Monday.
const sunday = 7

func (f field) parseRange(part string) (client.ScheduleRange, error) {
	var r client.ScheduleRange
	span, step, stepped := strings.Cut(part, "/")
	r.Step = 1
	if stepped {
		n, err := strconv.Atoi(step)
		if err != nil || n < 1 || n > f.max {
			return r, fmt.Errorf("%q is not a step of the %s, wanted 1 to %d", step, f.name, f.max)
		}
		r.Step = n
	}
	from, to, isRange := strings.Cut(span, "-")
	var err error
	switch {
	case span == "*":
		r.Start, r.End = f.min, f.max
		return r, nil
	case isRange:
		if r.End, err = f.value(to); err != nil {
			return r, err
		}
	}
	if r.Start, err = f.value(from); err != nil {
		return r, err
	}
	if isRange && r.End == 0 && f.name == daysOfWeek.name && r.Start > 0 {
		r.End = sunday
	}
	switch {
	case !isRange && stepped:
		r.End = f.max
	case !isRange:
		r.End = r.Start
	case r.End < r.Start:
		return r, fmt.Errorf("%q goes backwards, wanted a range like %s", part, f.example())
	}
	return r, nil
}

// value reads a number or a name, of which three letters are enough. Sunday is 7 too.
func (f field) value(s string) (int, error) {
	lower := strings.ToLower(s)
	for i, name := range f.names {
		if len(lower) >= 3 && strings.HasPrefix(name, lower) {
			return f.min + i, nil
		}
	}
	n, err := strconv.Atoi(s)
	if err == nil && n == sunday && f.name == daysOfWeek.name {
		return sunday, nil
	}
	if err != nil || n < f.min || n > f.max {
		return 0, fmt.Errorf("%q is not a %s, wanted one like %s", s, f.name, f.example())
	}
	return n, nil
}

func (f field) example() string {
	if f.names != nil {
		return f.names[1][:3] + " or " + f.names[1][:3] + "-" + f.names[4][:3]
	}
	return fmt.Sprintf("%d or %d-%d", f.min, f.min, f.max)
}

func exactly(n int) []client.ScheduleRange {
	return []client.ScheduleRange{{Start: n, End: n, Step: 1}}
}

func all(from, to int) []client.ScheduleRange {
	return []client.ScheduleRange{{Start: from, End: to, Step: 1}}
}

// full fills in the days where none are given.
func full(c client.ScheduleCalendarSpec) client.ScheduleCalendarSpec {
	c.DayOfMonth, c.Month = all(daysOfMonth.min, daysOfMonth.max), all(months.min, months.max)
	if c.DayOfWeek == nil {
		c.DayOfWeek = all(daysOfWeek.min, daysOfWeek.max)
	}
	return c
}
