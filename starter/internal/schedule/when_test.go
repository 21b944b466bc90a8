package schedule

import (
	"reflect"
	"testing"
	"time"
	_ "time/tzdata"

	"go.temporal.io/sdk/client"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestWhen(t *testing.T) {
	for _, tc := range []struct {
		when When
		text string // as it is written again
		once bool
		err  string
	}{
		{when: When{At: "22:00"}, text: "every day 22:00"},
		{when: When{At: "22:00:30", On: "tue,Thu", TimeZone: "Europe/Zurich"}, text: "tue,thu 22:00:30"},
		{when: When{At: "04:05", On: "mon-fri"}, text: "mon-fri 04:05"},
		{when: When{At: "04:05", On: "saturday-sunday"}, text: "sun,sat 04:05"},
		{when: When{At: "04:05", On: "mon-sun"}, text: "sun,mon-sat 04:05"},
		{when: When{At: "04:05", On: "7"}, text: "sun 04:05"},
		{when: When{At: "2026-12-01T22:00", TimeZone: "Europe/Zurich"}, text: "2026-12-01 22:00", once: true},
		{when: When{At: "2026-12-01 22:00:05"}, text: "2026-12-01 22:00:05", once: true},
		{when: When{At: "2026-11-24T13:00:01", TimeZone: "Europe/Zurich"}, text: "2026-11-24 13:00:01", once: true},
		{when: When{Cron: "0 22 * * *"}, text: "every day 22:00"},
		{when: When{Cron: "0 22 8-14 * TUE"}, text: "cron 0 22 8-14 * tue"},
		{when: When{Cron: "*/15 1,3-5 * jan-mar,12 1-5/2"}, text: "cron */15 1,3-5 * 1-3,12 mon-fri/2"},
		{when: When{Cron: "0 22 1 1 * 2027"}, text: "2027-01-01 22:00"},
		{when: When{Cron: "0 22 1 * * 2027-2029"}, text: "cron 0 22 1 * * 2027-2029"},
		{when: When{Cron: "*/5 * * * * * *"}, text: "cron */5 * * * * * *"},
		{when: When{Cron: "5/20 * * * *"}, text: "cron 5-59/20 * * * *"},

		{when: When{}, err: "say when: --at 22:00, --at 2026-12-01T22:00 or --cron '0 22 * * tue'"},
		{when: When{On: "tue"}, err: "say when: --at 22:00, --at 2026-12-01T22:00 or --cron '0 22 * * tue'"},
		{when: When{At: "22:00", Cron: "0 22 * * *"}, err: "--cron says it all: leave out --at and --on"},
		{when: When{At: "10pm"}, err: `"10pm" is not a time, wanted one like 22:00 or 2026-12-01T22:00`},
		{when: When{At: "25:00"}, err: `"25:00" is not a time, wanted one like 22:00 or 2026-12-01T22:00`},
		{when: When{At: "22:00", On: "tu"}, err: `--on: "tu" is not a day of the week, wanted one like mon or mon-thu`},
		{when: When{At: "22:00", On: "fri-mon"}, err: `--on: "fri-mon" goes backwards, wanted a range like mon or mon-thu`},
		{when: When{At: "2026-12-01T22:00", On: "tue"}, err: "a date is one day: leave out --on"},
		{when: When{At: "2026-11-24T12:59", TimeZone: "Europe/Zurich"}, err: "2026-11-24T12:59 in Europe/Zurich is over: it is 2026-11-24 13:00 there"},
		{when: When{At: "2027-03-28T02:30", TimeZone: "Europe/Zurich"}, err: "2027-03-28T02:30 does not exist in Europe/Zurich: clocks are put forward then"},
		{when: When{At: "22:00", TimeZone: "Mars/Olympus"}, err: `"Mars/Olympus" is not a time zone, wanted an IANA name like Europe/Zurich or UTC`},
		{when: When{At: "22:00", TimeZone: "Local"}, err: `"Local" is not a time zone, wanted an IANA name like Europe/Zurich or UTC`},
		{when: When{Cron: "0 22 * *"}, err: `cron "0 22 * *": wanted minute, hour, day of the month, month, day of the week, like '0 22 * * tue'`},
		{when: When{Cron: "@daily"}, err: `cron "@daily": wanted minute, hour, day of the month, month, day of the week, like '0 22 * * tue'`},
		{when: When{Cron: "60 22 * * *"}, err: `cron "60 22 * * *": "60" is not a minute, wanted one like 0 or 0-59`},
		{when: When{Cron: "0 22 0 * *"}, err: `cron "0 22 0 * *": "0" is not a day of the month, wanted one like 1 or 1-31`},
		{when: When{Cron: "0 22 * foo *"}, err: `cron "0 22 * foo *": "foo" is not a month, wanted one like feb or feb-may`},
		{when: When{Cron: "0 22 * * 8"}, err: `cron "0 22 * * 8": "8" is not a day of the week, wanted one like mon or mon-thu`},
		{when: When{Cron: "*/0 22 * * *"}, err: `cron "*/0 22 * * *": "0" is not a step of the minute, wanted 1 to 59`},
		{when: When{Cron: "9-5 22 * * *"}, err: `cron "9-5 22 * * *": "9-5" goes backwards, wanted a range like 0 or 0-59`},
		{when: When{Cron: ", 22 * * *"}, err: `cron ", 22 * * *": "" is not a minute, wanted one like 0 or 0-59`},
	} {
		spec, once, err := tc.when.Spec(now)
		if tc.err != "" {
			if err == nil || err.Error() != tc.err {
				t.Errorf("%+v: got %v\nwant %s", tc.when, err, tc.err)
			}
			continue
		}
		if err != nil || once != tc.once || Text(spec) != tc.text {
			t.Errorf("%+v: got %q once=%t %v, want %q once=%t", tc.when, Text(spec), once, err, tc.text, tc.once)
		}
		if zone := tc.when.TimeZone; zone != "" && spec.TimeZoneName != zone || zone == "" && spec.TimeZoneName != "UTC" {
			t.Errorf("%+v: time zone %q", tc.when, spec.TimeZoneName)
		}
	}
}

func TestTextOfSchedulesMadeElsewhere(t *testing.T) {
	for want, spec := range map[string]client.ScheduleSpec{
		"never by itself":             {},
		"every 6h0m0s from 1h0m0s":    {Intervals: []client.ScheduleIntervalSpec{{Every: 6 * time.Hour, Offset: time.Hour}}},
		"every 6h0m0s; cron @monthly": {Intervals: []client.ScheduleIntervalSpec{{Every: 6 * time.Hour}}, CronExpressions: []string{"@monthly"}},
		"every 6h0m0s; but for 1 exclusions": {Intervals: []client.ScheduleIntervalSpec{{Every: 6 * time.Hour}},
			Skip: []client.ScheduleCalendarSpec{{}}},
	} {
		if got := Text(spec); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzParseCron: what is accepted is within what Temporal accepts, and reads the same when it is written again.
func FuzzParseCron(f *testing.F) {
	for _, s := range []string{"0 22 * * tue", "*/15 1,3-5 * jan-mar,12 1-5/2", "0 22 1 1 * 2027", "*/5 * * * * * *", "1 2 3 4 5-7", "0 0 * * fri-sun/2", "a b c d e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCron(s)
		if err != nil {
			return
		}
		for _, part := range []struct {
			field  field
			ranges []client.ScheduleRange
		}{{seconds, c.Second}, {minutes, c.Minute}, {hours, c.Hour}, {daysOfMonth, c.DayOfMonth}, {months, c.Month}, {daysOfWeek, c.DayOfWeek}, {years, c.Year}} {
			if len(part.ranges) == 0 && part.field.name != years.name {
				t.Fatalf("%q: no %s", s, part.field.name)
			}
			for _, r := range part.ranges {
				if r.Start < part.field.min || r.End < r.Start || r.End > part.field.max || r.Step < 1 {
					t.Fatalf("%q: %s %+v", s, part.field.name, r)
				}
			}
			again, err := part.field.parse(part.field.text(part.ranges))
			if err != nil || !same(part.ranges, again) {
				t.Fatalf("%q: %s %+v became %+v (%v)", s, part.field.name, part.ranges, again, err)
			}
		}
	})
}

// same reports whether ranges have the same values.
func same(a, b []client.ScheduleRange) bool {
	set := func(ranges []client.ScheduleRange) map[int]bool {
		values := map[int]bool{}
		for _, r := range ranges {
			for v := r.Start; v <= r.End; v += r.Step {
				values[v] = true
			}
		}
		return values
	}
	return reflect.DeepEqual(set(a), set(b))
}
