package temporalui

import "testing"

func TestBase(t *testing.T) {
	for _, tc := range []struct{ address, configured, want string }{
		{"127.0.0.1:7233", "", "http://127.0.0.1:8233"},
		{"localhost:7000", "", "http://localhost:8000"},
		{"127.0.0.1:7233", "https://temporal.example.com/", "https://temporal.example.com"},
		{"prod.a1b2c.tmprl.cloud:7233", "", "https://cloud.temporal.io"},
		{"temporal.example.com:7233", "", ""},
		{"nonsense", "", ""},
	} {
		if got := Base(tc.address, tc.configured); got != tc.want {
			t.Errorf("Base(%q, %q) = %q, want %q", tc.address, tc.configured, got, tc.want)
		}
	}
}

func TestLink(t *testing.T) {
	if got, want := Link("127.0.0.1:7233", "", "default", "cluster-upgrade/lab", "r"), "http://127.0.0.1:8233/namespaces/default/workflows/cluster-upgrade%2Flab/r/history"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Link("temporal.example.com:7233", "", "default", "w", "r"); got != "" {
		t.Errorf("got %s, want nothing", got)
	}
}
