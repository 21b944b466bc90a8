package schedule

import (
	"fmt"
	"strconv"
	"strings"

	"go.temporal.io/sdk/client"
)

// Text writes when a schedule is due, as When reads it where that is possible: schedules may be made elsewhere.
func Text(spec client.ScheduleSpec) string {
	var parts []string
	for _, c := range spec.Calendars {
		parts = append(parts, calendar(c))
	}
	for _, i := range spec.Intervals {
		part := "every " + i.Every.String()
		if i.Offset > 0 {
			part += " from " + i.Offset.String()
		}
		parts = append(parts, part)
	}
	for _, expression := range spec.CronExpressions {
		parts = append(parts, "cron "+expression)
	}
	if len(parts) == 0 {
		return "never by itself"
	}
	text := strings.Join(parts, "; ")
	if len(spec.Skip) > 0 {
		text += fmt.Sprintf("; but for %d exclusions", len(spec.Skip))
	}
	return text
}

func calendar(c client.ScheduleCalendarSpec) string {
	clock, exact := clock(c)
	everyDay := daysOfMonth.text(c.DayOfMonth) == "*" && months.text(c.Month) == "*" && len(c.Year) == 0
	year, _ := single(c.Year)
	month, oneMonth := single(c.Month)
	day, oneDay := single(c.DayOfMonth)
	days := daysOfWeek.text(c.DayOfWeek)
	switch {
	case exact && year > 0 && oneMonth && oneDay && days == "*":
		return fmt.Sprintf("%04d-%02d-%02d %s", year, month, day, clock)
	case exact && everyDay && days == "*":
		return "every day " + clock
	case exact && everyDay:
		return days + " " + clock
	}
	cron := []string{minutes.text(c.Minute), hours.text(c.Hour), daysOfMonth.text(c.DayOfMonth), months.text(c.Month), days}
	if second := seconds.text(c.Second); second != "0" {
		cron = append(append([]string{second}, cron...), years.text(c.Year))
	} else if len(c.Year) > 0 {
		cron = append(cron, years.text(c.Year))
	}
	return "cron " + strings.Join(cron, " ")
}

// clock is the time of the day, where it is one.
func clock(c client.ScheduleCalendarSpec) (string, bool) {
	hour, oneHour := single(c.Hour)
	minute, oneMinute := single(c.Minute)
	second, oneSecond := single(c.Second)
	text := fmt.Sprintf("%02d:%02d", hour, minute)
	if second > 0 {
		text += fmt.Sprintf(":%02d", second)
	}
	return text, oneHour && oneMinute && oneSecond
}

// single is the only value of ranges.
func single(ranges []client.ScheduleRange) (int, bool) {
	if len(ranges) != 1 || ranges[0].End > ranges[0].Start {
		return 0, false
	}
	return ranges[0].Start, true
}

// text writes ranges as parse reads them.
func (f field) text(ranges []client.ScheduleRange) string {
	if len(ranges) == 0 {
		return "*"
	}
	var parts []string
	for _, r := range ranges {
		part := f.valueText(r.Start)
		switch {
		case r.Start == f.min && r.End == f.max:
			part = "*"
		case r.End > r.Start:
			part += "-" + f.valueText(r.End)
		}
		if r.Step > 1 && r.End > r.Start {
			part += "/" + strconv.Itoa(r.Step)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// valueText is a day's name, or a number.
func (f field) valueText(n int) string {
	if f.name == daysOfWeek.name && n >= f.min && n <= f.max {
		return f.names[n-f.min][:3]
	}
	return strconv.Itoa(n)
}
