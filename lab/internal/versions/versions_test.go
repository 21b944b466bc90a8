package versions

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{"v1.36.3": "v1.36.3", "1.37.2": "v1.37.2", " v1.33.0 ": "v1.33.0"} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "v1.36", "v1.32.9", "v2.40.0", "v1.37.0-rc.1", "latest"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", in, got)
		}
	}
}

func TestParseListSortsAndDropsRepeats(t *testing.T) {
	got, err := ParseList([]string{"v1.37.2", "1.36.3", "v1.37.2"})
	if err != nil || strings.Join(got, " ") != "v1.36.3 v1.37.2" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestNextIsOneMinorUp(t *testing.T) {
	for in, want := range map[string]string{"v1.36.0": "v1.37.2", "v1.35.4": "v1.36.3", "v1.37.2": ""} {
		if got := Next(in); got != want {
			t.Errorf("Next(%s) = %q, want %q", in, got, want)
		}
	}
}
