package upgrade

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTargetsThatAreNoLongerSupported(t *testing.T) {
	at := func(s string) time.Time {
		now, err := time.Parse(time.DateTime, s)
		require.NoError(t, err)
		return now
	}
	for _, c := range []struct {
		target string
		now    time.Time
		want   string
	}{
		{"v1.37.2", at("2026-11-24 12:00:00"), ""},
		{"v1.37.2", at("2027-10-28 23:59:59"), ""},
		{"v1.37.2", at("2027-10-29 00:00:01"), "lab: v1.37 is no longer supported since 2027-10-28, it gets no security fixes; go on to a newer minor afterwards"},
		{"v1.37.2", time.Time{}, ""},
		{"v1.34.9", at("2026-11-24 12:00:00"), "lab: v1.34 is no longer supported since 2026-10-27, it gets no security fixes; go on to a newer minor afterwards"},
		{"v1.33.9", at("2026-11-24 12:00:00"), "lab: v1.33 is no longer supported, it gets no security fixes; go on to a newer minor afterwards"},
		{"v1.40.0", at("2030-01-01 00:00:00"), ""}, // nothing is known of it
	} {
		got := ""
		for _, f := range checkSupport(Plan{Cluster: "lab", Target: MustVersion(c.target)}, c.now) {
			require.Equal(t, SeverityWarning, f.Severity)
			got = f.String()
		}
		require.Equal(t, c.want, got, "%s at %s", c.target, c.now)
	}
	p := MakePlan(healthy(1, 1), Wanted{Target: v137, Now: at("2028-01-01 00:00:00")}, settings())
	require.Len(t, p.Findings, 1)
	require.Len(t, p.Hops, 1, "it is a warning")
}
