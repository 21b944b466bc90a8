package binaries

import (
	"os"
	"testing"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestKilledAtEveryCommand loses the connection before each command in turn, and begins anew: at the end the new binary runs
// and has passed, and the old one is kept; or, of one that does not pass, the old one runs.
func TestKilledAtEveryCommand(t *testing.T) {
	for flaw, runs := range map[string]string{"": "v1.37.2", "crash": "v1.36.3"} {
		name := "good"
		if flaw != "" {
			name = "bad"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, change := server(t, flaw)
			clean := func() { // as before: only the old binary, and its process
				t.Helper()
				w.system.mu.Lock()
				u := w.system.units["kube-apiserver.service"]
				w.system.stop(u)
				w.system.mu.Unlock()
				for _, name := range append(w.hidden(), w.file("bin/kube-apiserver.v1.37.2"), w.file("bin/kube-apiserver.v1.36.3"), w.file("pawl/binaries")) {
					if err := os.RemoveAll(name); err != nil {
						t.Fatal(err)
					}
				}
				if out, err := os.ReadFile(w.file("old")); err == nil {
					_ = os.Remove(w.file("bin/kube-apiserver"))
					if err := os.WriteFile(w.file("bin/kube-apiserver"), out, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				w.system.mu.Lock()
				u.restarts = 0
				w.system.start(u)
				w.system.mu.Unlock()
			}
			old, err := os.ReadFile(w.file("bin/kube-apiserver"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.file("old"), old, 0o600); err != nil {
				t.Fatal(err)
			}
			all := func() error {
				h := w.host()
				if err := h.Fetch(t.Context(), w.source(), change); err != nil {
					return err
				}
				return h.Swap(t.Context(), change)
			}
			cuts, step := 0, 1
			if testing.Short() {
				step = 7
			}
			for cut := 1; ; cut += step {
				clean()
				w.commands()
				w.cut = cut
				err := all()
				w.cut = 0
				if !fault.Is(err, fault.Unreachable) {
					break // it came to its end before
				}
				cuts++
				again := all()
				if flaw == "" && again != nil || flaw != "" && !fault.Is(again, fault.VerificationFailed) {
					t.Fatalf("cut before command %d (%s): %v", cut, w.last(cut), again)
				}
				if got := w.running("kube-apiserver.service"); got != runs {
					t.Fatalf("cut before command %d (%s): %s runs", cut, w.last(cut), got)
				}
				if err := w.host().Healthy(t.Context(), upgrade.APIServer, upgrade.MustVersion(runs)); err != nil {
					t.Fatalf("cut before command %d: %v", cut, err)
				}
				if v, err := parsedVersion(w.file("bin/kube-apiserver.v1.36.3")); err != nil || v != v136 {
					t.Fatalf("cut before command %d: what is kept is %s, %v", cut, v, err)
				}
				if left := w.hidden(); len(left) > 0 {
					t.Fatalf("cut before command %d: left: %v", cut, left)
				}
			}
			if cuts < 40/step {
				t.Errorf("it was cut at %d commands only", cuts)
			}
			t.Logf("cut at %d commands", cuts)
		})
	}
}
