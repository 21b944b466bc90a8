package upgrade

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func calendarOf(t require.TestingT, w Windows) *Calendar {
	c, err := w.Calendar()
	require.NoError(t, err)
	return c
}

// one is a window of one kind.
func one(zone, start string, d time.Duration, days ...string) Windows {
	return Windows{TimeZone: zone, Open: []Window{{Days: days, Start: start, Duration: Duration(d)}}}
}

func when(t require.TestingT, zone, text string) time.Time {
	location, err := time.LoadLocation(zone)
	require.NoError(t, err)
	at, err := time.ParseInLocation("2006-01-02 15:04", text, location)
	require.NoError(t, err)
	return at
}

const zurich = "Europe/Zurich"

func TestNextOpening(t *testing.T) {
	weekend := one(zurich, "22:00", 6*time.Hour, "sat", "sun")
	weekend.Except = []string{"2026-12-26", "2027-01-01/2027-01-08"}
	for name, c := range map[string]struct {
		windows  Windows
		at       string
		needs    time.Duration
		from, to string // RFC 3339
	}{
		"before it opens":                        {weekend, "2026-11-25 12:00", time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T04:00:00+01:00"},
		"open, and there is room":                {weekend, "2026-11-28 23:00", time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T04:00:00+01:00"},
		"the night belongs to the opening day":   {weekend, "2026-11-30 03:00", time.Hour, "2026-11-29T22:00:00+01:00", "2026-11-30T04:00:00+01:00"},
		"just enough room":                       {weekend, "2026-11-29 03:00", time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T04:00:00+01:00"},
		"about to close":                         {weekend, "2026-11-29 03:01", time.Hour, "2026-11-29T22:00:00+01:00", "2026-11-30T04:00:00+01:00"},
		"closed":                                 {weekend, "2026-11-29 04:00", time.Hour, "2026-11-29T22:00:00+01:00", "2026-11-30T04:00:00+01:00"},
		"an excepted day opens none":             {weekend, "2026-12-26 23:00", time.Hour, "2026-12-27T22:00:00+01:00", "2026-12-28T04:00:00+01:00"},
		"its night is not that of the next day":  {weekend, "2026-12-27 01:00", time.Hour, "2026-12-27T22:00:00+01:00", "2026-12-28T04:00:00+01:00"},
		"nor do days from one to another":        {weekend, "2026-12-28 04:00", time.Hour, "2027-01-09T22:00:00+01:00", "2027-01-10T04:00:00+01:00"},
		"every day":                              {one(zurich, "01:00", time.Hour), "2026-11-25 12:00", time.Hour, "2026-11-26T01:00:00+01:00", "2026-11-26T02:00:00+01:00"},
		"a range of days over the week's end":    {one(zurich, "01:00", time.Hour, "fri-mon"), "2026-11-24 12:00", time.Hour, "2026-11-27T01:00:00+01:00", "2026-11-27T02:00:00+01:00"},
		"the first of the month":                 {one(zurich, "01:00", time.Hour, "first sat"), "2026-11-24 12:00", time.Hour, "2026-12-05T01:00:00+01:00", "2026-12-05T02:00:00+01:00"},
		"the second of the month":                {one(zurich, "01:00", time.Hour, "Second Tuesday"), "2026-11-24 12:00", time.Hour, "2026-12-08T01:00:00+01:00", "2026-12-08T02:00:00+01:00"},
		"the last of the month":                  {one(zurich, "01:00", time.Hour, "last sun"), "2027-02-01 00:00", time.Hour, "2027-02-28T01:00:00+01:00", "2027-02-28T02:00:00+01:00"},
		"the last of the month is not the fifth": {one(zurich, "01:00", time.Hour, "last mon"), "2026-11-24 12:00", time.Hour, "2026-11-30T01:00:00+01:00", "2026-11-30T02:00:00+01:00"},
		"of several windows the first with room": {
			Windows{TimeZone: zurich, Open: []Window{{Days: []string{"mon-fri"}, Start: "02:00", Duration: Duration(time.Hour)}, {Days: []string{"sat"}, Start: "22:00", Duration: Duration(6 * time.Hour)}}},
			"2026-11-25 12:00", 2 * time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T04:00:00+01:00"},
		"windows that touch are one": {
			Windows{TimeZone: zurich, Open: []Window{{Days: []string{"sat"}, Start: "22:00", Duration: Duration(2 * time.Hour)}, {Days: []string{"sun"}, Start: "00:00", Duration: Duration(3 * time.Hour)}}},
			"2026-11-25 12:00", 5 * time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T03:00:00+01:00"},
		"windows that overlap are one": {
			Windows{TimeZone: zurich, Open: []Window{{Days: []string{"sat"}, Start: "23:00", Duration: Duration(4 * time.Hour)}, {Days: []string{"sat"}, Start: "22:00", Duration: Duration(2 * time.Hour)}}},
			"2026-11-25 12:00", 5 * time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T03:00:00+01:00"},
		"one within another adds nothing": {
			Windows{TimeZone: zurich, Open: []Window{{Days: []string{"sat"}, Start: "22:00", Duration: Duration(4 * time.Hour)}, {Days: []string{"sat"}, Start: "23:00", Duration: Duration(time.Hour)}}},
			"2026-11-25 12:00", 4 * time.Hour, "2026-11-28T22:00:00+01:00", "2026-11-29T02:00:00+01:00"},
		"seconds": {one(zurich, "22:00:30", time.Minute), "2026-11-24 22:01", 29 * time.Second, "2026-11-24T22:00:30+01:00", "2026-11-24T22:01:30+01:00"},

		// Zurich: 02:00 is 03:00 on 2026-03-29, 03:00 is 02:00 on 2026-10-25.
		"a duration is elapsed time when clocks go forward":  {one(zurich, "22:00", 6*time.Hour, "sat"), "2026-03-28 12:00", time.Hour, "2026-03-28T22:00:00+01:00", "2026-03-29T05:00:00+02:00"},
		"a duration is elapsed time when clocks go back":     {one(zurich, "22:00", 6*time.Hour, "sat"), "2026-10-24 12:00", time.Hour, "2026-10-24T22:00:00+02:00", "2026-10-25T03:00:00+01:00"},
		"a start that does not exist comes as much later":    {one(zurich, "02:30", time.Hour), "2026-03-28 12:00", time.Hour, "2026-03-29T03:30:00+02:00", "2026-03-29T04:30:00+02:00"},
		"a start at the end of what is left out":             {one(zurich, "03:00", time.Hour), "2026-03-28 12:00", time.Hour, "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
		"a start that exists twice is the first":             {one(zurich, "02:30", time.Hour), "2026-10-24 12:00", time.Hour, "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		"and not the second":                                 {one(zurich, "02:30", 45*time.Minute), "2026-10-25 03:00", time.Minute, "2026-10-26T02:30:00+01:00", "2026-10-26T03:15:00+01:00"},
		"New York leaves out 02:30 on 8 March":               {one("America/New_York", "02:30", time.Hour), "2026-03-07 12:00", time.Hour, "2026-03-08T03:30:00-04:00", "2026-03-08T04:30:00-04:00"},
		"New York has 01:30 twice on 1 November":             {one("America/New_York", "01:30", time.Hour), "2026-10-31 12:00", time.Hour, "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"},
		"Lord Howe's clocks move by half an hour":            {one("Australia/Lord_Howe", "02:15", time.Hour), "2026-10-03 12:00", time.Hour, "2026-10-04T02:45:00+11:00", "2026-10-04T03:45:00+11:00"},
		"Lord Howe has 01:45 twice":                          {one("Australia/Lord_Howe", "01:45", time.Hour), "2026-04-04 12:00", time.Hour, "2026-04-05T01:45:00+11:00", "2026-04-05T02:15:00+10:30"},
		"Kolkata is half an hour off":                        {one("Asia/Kolkata", "02:30", time.Hour), "2026-03-28 12:00", time.Hour, "2026-03-29T02:30:00+05:30", "2026-03-29T03:30:00+05:30"},
		"Apia had no 30 December 2011":                       {one("Pacific/Apia", "22:00", time.Hour, "fri"), "2011-12-29 12:00", time.Hour, "2012-01-06T22:00:00+14:00", "2012-01-06T23:00:00+14:00"},
		"a window of the day before goes on after it":        {one("Pacific/Apia", "22:00", 4*time.Hour, "thu"), "2011-12-29 12:00", time.Hour, "2011-12-29T22:00:00-10:00", "2011-12-31T02:00:00+14:00"},
		"Nuuk leaves out the last hour of a Saturday":        {one("America/Nuuk", "23:30", time.Hour, "sat"), "2024-03-30 12:00", time.Hour, "2024-03-31T00:30:00-01:00", "2024-03-31T01:30:00-01:00"},
		"Cairo leaves out the first hour of a Friday":        {one("Africa/Cairo", "00:30", time.Hour, "fri"), "2026-04-23 12:00", time.Hour, "2026-04-24T01:30:00+03:00", "2026-04-24T02:30:00+03:00"},
		"UTC knows nothing of this":                          {one("UTC", "02:30", time.Hour), "2026-03-28 12:00", time.Hour, "2026-03-29T02:30:00Z", "2026-03-29T03:30:00Z"},
		"more than a month ahead":                            {Windows{TimeZone: zurich, Open: one(zurich, "02:30", time.Hour).Open, Except: []string{"2026-11-01/2027-06-30"}}, "2026-11-20 12:00", time.Hour, "2027-07-01T02:30:00+02:00", "2027-07-01T03:30:00+02:00"},
		"a window of seven days is open on the seventh, too": {one(zurich, "08:00", 7*24*time.Hour, "first mon"), "2026-12-14 07:00", time.Hour, "2026-12-07T08:00:00+01:00", "2026-12-14T08:00:00+01:00"},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := calendarOf(t, c.windows).Next(when(t, c.windows.TimeZone, c.at), c.needs)
			require.True(t, ok)
			require.Equal(t, c.from, o.From.Format(time.RFC3339))
			require.Equal(t, c.to, o.To.Format(time.RFC3339))
			require.Equal(t, c.windows.TimeZone, o.TimeZone)
		})
	}
}

func TestTurn(t *testing.T) {
	w := one(zurich, "22:00", 2*time.Hour, "sat")
	c, now := calendarOf(t, w), when(t, zurich, "2026-11-25 12:00")
	turn, err := c.Turn(now, time.Hour, false)
	require.NoError(t, err)
	require.Equal(t, "the next maintenance window opens Sat 28 Nov 22:00 Europe/Zurich", turn.Reason)
	turn, err = c.Turn(when(t, zurich, "2026-11-28 23:00"), 90*time.Minute, false)
	require.NoError(t, err)
	require.Equal(t, "it is expected to take 1h30m, too long for the maintenance window that closes Sun 29 Nov 00:00; the next one opens Sat 5 Dec 22:00 Europe/Zurich", turn.Reason)
	turn, err = c.Turn(when(t, zurich, "2026-11-28 23:00"), time.Hour, false)
	require.NoError(t, err)
	require.Empty(t, turn.Reason)

	_, err = c.Turn(now, 3*time.Hour+time.Second, false)
	require.EqualError(t, err, "it is expected to take 3h0m1s, the longest maintenance window has 2h")
	turn, err = c.Turn(now, 3*time.Hour, true)
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, turn.Needs.Std(), "it begins when a window has just opened")
	turn, err = c.Turn(when(t, zurich, "2026-11-28 22:01"), 3*time.Hour, true)
	require.NoError(t, err)
	require.Equal(t, "Sat 5 Dec 22:00 Europe/Zurich", turn.Opens())

	w.Except = []string{"2026-01-01/2030-01-01"}
	_, err = calendarOf(t, w).Turn(now, time.Hour, true)
	require.EqualError(t, err, "no maintenance window opens within 400 days")
	turn, err = calendarOf(t, Windows{}).Turn(now, 1000*time.Hour, false)
	require.NoError(t, err)
	require.True(t, turn.Fits(now, 1000*time.Hour), "without windows it is open at any time")
	require.Empty(t, turn.Reason)
}

func TestShortly(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Second: "1s", 12 * time.Minute: "12m", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m",
		10*time.Hour + 20*time.Second: "10h0m20s", 20 * time.Minute: "20m", 10 * time.Hour: "10h", 30 * time.Second: "30s"} {
		require.Equal(t, want, shortly(d))
	}
}

func TestBadWindowsSayWhatWasWanted(t *testing.T) {
	const hour = Duration(time.Hour)
	for want, w := range map[string]Windows{
		`windows.open: is empty, wanted at least one like {days: [sat], start: "22:00", duration: 6h}`: {TimeZone: zurich},
		`windows.timeZone: is "", wanted a name like Europe/Zurich or UTC`:                             {Open: []Window{{Start: "22:00", Duration: hour}}},
		`windows.timeZone: is "Local", wanted a name like Europe/Zurich or UTC`:                        one("Local", "22:00", time.Hour),
		`windows.timeZone: is "Zurich", wanted a name like Europe/Zurich or UTC`:                       one("Zurich", "22:00", time.Hour),
		`windows.open[0].days: is "some", wanted one like sat, mon-fri, first sun or last fri`:         one(zurich, "22:00", time.Hour, "some"),
		`windows.open[0].days: is "fifth sun", wanted one like sat, mon-fri, first sun or last fri`:    one(zurich, "22:00", time.Hour, "fifth sun"),
		`windows.open[0].days: is "", wanted one like sat, mon-fri, first sun or last fri`:             one(zurich, "22:00", time.Hour, ""),
		`windows.open[0].start: is "24:00", wanted a time like "22:00"`:                                one(zurich, "24:00", time.Hour),
		`windows.open[0].start: is "", wanted a time like "22:00"`:                                     one(zurich, "", time.Hour),
		`windows.open[0].start: is "9:00", wanted a time like "22:00"`:                                 one(zurich, "9:00", time.Hour),
		`windows.open[0].duration: is 0s, wanted more than 0s and at most 168h0m0s`:                    one(zurich, "22:00", 0),
		`windows.open[0].duration: is 169h0m0s, wanted more than 0s and at most 168h0m0s`:              one(zurich, "22:00", 169*time.Hour),
		`windows.except[0]: is "24.12.2026", wanted a day like "2026-12-24" or days like "2026-12-20/2027-01-06"`: {
			TimeZone: zurich, Open: []Window{{Start: "22:00", Duration: hour}}, Except: []string{"24.12.2026"}},
		`windows.except[0]: is "2026-12-24/2026-12-23", wanted a day like "2026-12-24" or days like "2026-12-20/2027-01-06"`: {
			TimeZone: zurich, Open: []Window{{Start: "22:00", Duration: hour}}, Except: []string{"2026-12-24/2026-12-23"}},
	} {
		_, err := w.Calendar()
		require.EqualError(t, err, want)
	}
}

var zones = []string{zurich, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "America/Nuuk", "Africa/Cairo",
	"Africa/Casablanca", "America/Sao_Paulo", "Pacific/Kiritimati", "Asia/Tehran", "Europe/Dublin", "America/St_Johns", "Antarctica/Troll", "Asia/Pyongyang"}

// windowsAt are windows in any of the zones, and a time within decades. Days are few, so that clocks are often changed.
func windowsAt(t *rapid.T) (Windows, time.Time) {
	w := Windows{TimeZone: rapid.SampledFrom(zones).Draw(t, "zone")}
	for range rapid.IntRange(1, 3).Draw(t, "windows") {
		o := Window{
			Start:    time.Unix(rapid.Int64Range(0, 24*60-1).Draw(t, "start")*60, 0).UTC().Format("15:04"),
			Duration: Duration(rapid.Int64Range(1, 30*60).Draw(t, "minutes")) * Duration(time.Minute),
		}
		if rapid.Bool().Draw(t, "some days") {
			o.Days = []string{rapid.SampledFrom([]string{"sat", "sun", "mon-fri", "fri-sun", "first sun", "last sun", "second tue"}).Draw(t, "days")}
		}
		w.Open = append(w.Open, o)
	}
	from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return w, time.Unix(rapid.Int64Range(from, from+35*366*86400).Draw(t, "at"), 0)
}

// TestOpeningsByTheClock: whatever the zone's clocks do, an opening begins when a clock of that zone shows a window's start,
// on one of its days, or would have; and in between nothing begins that is not part of it.
func TestOpeningsByTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, now := windowsAt(t)
		c := calendarOf(t, w)
		needs := time.Duration(rapid.Int64Range(0, 120).Draw(t, "needs")) * time.Minute
		o, ok := c.Next(now, needs)
		if !ok {
			for _, o := range c.openings(now, Ahead) {
				require.Less(t, o.To.Sub(later(now, o.From)), needs, "%s would do", o)
			}
			return
		}
		begin := later(now, o.From)
		require.True(t, o.Fits(begin, needs))
		require.True(t, o.To.After(now))
		again, ok := c.Next(begin, needs)
		require.True(t, ok)
		require.True(t, again.To.Equal(o.To), "asked again when it begins: %s, %s", o, again)

		// Nothing would do before it begins.
		for before := later(now, begin.Add(-48*time.Hour)); before.Before(begin); before = before.Add(7 * time.Minute) {
			for _, p := range c.openings(before, 1) {
				require.False(t, p.Fits(before, needs), "%s at %s", p, before)
			}
		}

		// It begins when the clock shows a start, or as much later as clocks went forward just before.
		local := o.From.In(c.zone)
		shows := func(at time.Time) bool {
			for _, r := range c.rules {
				if day := midnight(at); r.opens(day) && day.Add(r.start).Equal(time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)) {
					return true
				}
			}
			return false
		}
		if !shows(local) {
			begins, _ := local.ZoneBounds()
			before := begins.Add(-time.Second)
			_, offset := before.Zone()
			asBefore := o.From.In(time.FixedZone("", offset))
			require.True(t, shows(asBefore), "%s begins when no clock shows a start", o)
			require.Less(t, o.From.Sub(begins), 2*time.Hour)
		}
	})
}

// TestEveryDayHasItsWindow: over ten years, in every zone, a daily window opens once on each day that there is, and what it
// is open is always its duration.
func TestEveryDayHasItsWindow(t *testing.T) {
	for _, zone := range zones {
		for _, start := range []string{"00:00", "00:30", "01:45", "02:30", "23:30"} {
			c := calendarOf(t, one(zone, start, 20*time.Minute))
			begin := time.Date(2009, 1, 1, 0, 0, 0, 0, c.zone)
			opened := map[string]time.Time{}
			n := 0
			for _, o := range c.openings(begin, 3653) {
				require.Equal(t, 20*time.Minute, o.Length(), "%s %s", zone, o)
				day := o.From.Format(time.DateOnly)
				if first, twice := opened[day]; twice {
					require.Less(t, first.Hour(), 2, "%s: opens twice on %s, not because one was moved over midnight", zone, day)
				}
				opened[day] = o.From
				n++
			}
			days := 3654
			if zone == "Pacific/Apia" {
				days-- // there was no 30 December 2011
			}
			require.Equal(t, days, n, "%s %s", zone, start)
		}
	}
}

// FuzzWindows: whatever a definition says, it is refused in one line, or there is a calendar that keeps its promises.
func FuzzWindows(f *testing.F) {
	for _, seed := range []string{
		`{"timeZone":"Europe/Zurich","open":[{"days":["sat","sun"],"start":"22:00","duration":"6h"}],"except":["2026-12-24"]}`,
		`{"timeZone":"Pacific/Apia","open":[{"start":"22:00:30","duration":"168h"},{"days":["first mon-fri"],"start":"00:00","duration":"1s"}],"except":["2026-12-24/2027-01-06"]}`,
		`{"timeZone":"UTC","open":[{"days":["last fri-mon"],"start":"23:59","duration":"24h"}]}`, `{"open":[{}]}`, `{}`,
	} {
		f.Add([]byte(seed), int64(1795600000))
	}
	f.Fuzz(func(t *testing.T, text []byte, unix int64) {
		var w Windows
		if json.Unmarshal(text, &w) != nil || len(w.Open) > 20 {
			return
		}
		c, err := w.Calendar()
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		now := time.Unix(unix%(1<<35), 0)
		if o, ok := c.Next(now, time.Minute); ok {
			require.True(t, o.Fits(later(now, o.From), time.Minute))
		}
	})
}
