package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
)

// JobChecks runs the tests of jobs on a machine of that pace. It is exported to the external test package only.
func JobChecks(t *testing.T, r Runner, pace float64) {
	h := New("machine", r)
	SetPace(h, pace)
	d := func(d time.Duration) time.Duration { return time.Duration(float64(d) * pace) }
	sh := func(line string) string {
		t.Helper()
		result, err := h.root(context.WithoutCancel(t.Context()), "sh", "-c", line)
		if err != nil || result.ExitCode != 0 {
			t.Fatalf("%s: %+v, %v", line, result, err)
		}
		return strings.TrimSpace(result.Stdout)
	}
	marks := "/run/pawl-test-" + strings.TrimSpace(time.Now().Format("150405"))
	t.Cleanup(func() { sh("rm -f " + marks + "*") })
	command := func(name, line string) remote.Job {
		return remote.Job{Unit: "pawl-test-" + name, Argv: []string{"sh", "-c", "echo x >> " + marks + "-" + name + "; " + line}}
	}
	runs := func(name string) string { return sh("wc -l < " + marks + "-" + name) }
	// begun is a context that ends as soon as the command runs. Whoever waits for it then is cut off while it asks, or
	// before it can ask again.
	begun := func(name string) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			sh("for i in $(seq 300); do test -e " + marks + "-" + name + " && exit 0; sleep 0.1; done")
		}()
		return ctx
	}
	forgotten := func(name string) {
		t.Helper()
		if s, err := h.on.JobState(t.Context(), "pawl-test-"+name); err != nil || s.Load != "not-found" {
			t.Errorf("%s is not forgotten: %+v, %v", name, s, err)
		}
	}

	t.Run("success and its output", func(t *testing.T) {
		end, err := h.on.RunJob(t.Context(), command("ok", `x=1; echo "out $x $HOME $PATH"; echo err >&2; sleep 0.5`))
		if err != nil || end.Failure != "" {
			t.Fatalf("%+v, %v", end, err)
		}
		if !strings.Contains(end.Output, "out 1 /root /usr/local/sbin:") || !strings.Contains(end.Output, "err") {
			t.Errorf("output: %q", end.Output)
		}
		forgotten("ok")
	})
	t.Run("failure and its output", func(t *testing.T) {
		end, err := h.on.RunJob(t.Context(), command("bad", `echo "[ERROR Some]: reason"; exit 7`))
		if err != nil || end.Failure != "exit-code, status 7" || !strings.Contains(end.Output, "[ERROR Some]: reason") {
			t.Errorf("%+v, %v", end, err)
		}
		forgotten("bad")
	})
	t.Run("output is that of the last run only", func(t *testing.T) {
		for _, word := range []string{"first", "second"} {
			end, err := h.on.RunJob(t.Context(), command("twice", "echo "+word))
			if err != nil || strings.TrimSpace(end.Output) != word {
				t.Errorf("%+v, %v", end, err)
			}
		}
	})
	t.Run("a run that was cut off is found running and waited for", func(t *testing.T) {
		j := command("long", "sleep 3; echo end")
		_, err := h.on.RunJob(begun("long"), j)
		if !fault.Is(err, fault.OutcomeUnknown, fault.Unreachable) || !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
		end, err := h.on.RunJob(t.Context(), j)
		if err != nil || end.Failure != "" || !strings.Contains(end.Output, "end") {
			t.Errorf("%+v, %v", end, err)
		}
		if n := runs("long"); n != "1" {
			t.Errorf("it ran %s times", n)
		}
		forgotten("long")
	})
	t.Run("a run that ended meanwhile is not repeated", func(t *testing.T) {
		for _, line := range []string{"sleep 1; echo good", "sleep 1; echo evil; exit 3"} {
			sh("rm -f " + marks + "-ended")
			j := command("ended", line)
			_, err := h.on.RunJob(begun("ended"), j)
			if !fault.Is(err, fault.OutcomeUnknown, fault.Unreachable) {
				t.Fatalf("%v", err)
			}
			time.Sleep(d(1500 * time.Millisecond))
			end, err := h.on.RunJob(t.Context(), j)
			if err != nil || (end.Failure == "") != strings.Contains(line, "good") || end.Output == "" {
				t.Errorf("%s: %+v, %v", line, end, err)
			}
			if n := runs("ended"); n != "1" {
				t.Errorf("%s: it ran %s times", line, n)
			}
			forgotten("ended")
		}
	})
	t.Run("a unit that vanishes is an unknown outcome", func(t *testing.T) {
		done := make(chan error)
		go func() {
			_, err := h.on.RunJob(t.Context(), command("gone", "sleep 60"))
			done <- err
		}()
		time.Sleep(d(time.Second))
		sh("systemctl stop pawl-test-gone; systemctl reset-failed pawl-test-gone 2>/dev/null; true")
		err := <-done
		if err != nil && !fault.Is(err, fault.OutcomeUnknown) {
			t.Errorf("%v", err)
		}
		t.Log(err)
		forgotten("gone")
	})
	t.Run("a hook runs once, however often it is asked for, until it is forgotten", func(t *testing.T) {
		hook := func(name, line string, most time.Duration) (string, error) {
			return h.RunHook(t.Context(), "pawl-test-"+name, command(name, line).Argv, []string{"PAWL_NODE=machine", "PAWL_TO=it's $HOME"}, most)
		}
		// The pause is for journald, which cannot tell whose a line is when its writer is gone before it looks.
		// Source: https://github.com/systemd/systemd/issues/2913
		for _, line := range []string{`echo "$PAWL_NODE goes to $PAWL_TO"; sleep 0.5`, `echo "$PAWL_NODE is not ready"; sleep 0.5; exit 4`} {
			sh("rm -f " + marks + "-hook")
			var said []string
			for range 2 {
				out, err := hook("hook", line, time.Minute)
				if strings.Contains(line, "exit") && (!fault.Is(err, fault.HookFailed) || !strings.Contains(err.Error(), "it failed (exit-code, status 4): machine is not ready")) {
					t.Errorf("%q, %v", out, err)
				}
				said = append(said, out)
			}
			if n := runs("hook"); n != "1" || said[0] != said[1] {
				t.Errorf("it ran %s times, and said %q", n, said)
			}
			if !strings.Contains(line, "exit") && said[0] != "machine goes to it's $HOME" {
				t.Errorf("it said %q", said[0])
			}
			for range 2 {
				if err := h.ForgetHook(t.Context(), "pawl-test-hook"); err != nil {
					t.Error(err)
				}
			}
			forgotten("hook")
		}
	})
	t.Run("a hook that takes too long is ended", func(t *testing.T) {
		_, err := h.RunHook(t.Context(), "pawl-test-slow", command("slow", "echo begun; sleep 60").Argv, nil, 2*time.Second)
		if !fault.Is(err, fault.HookFailed) || !strings.Contains(err.Error(), "it failed (timeout, status 15): begun") {
			t.Errorf("%v", err)
		}
		if err := h.ForgetHook(t.Context(), "pawl-test-slow"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a hook that vanishes is a person's question", func(t *testing.T) {
		done := make(chan error)
		go func() {
			_, err := h.RunHook(t.Context(), "pawl-test-lost", command("lost", "sleep 60").Argv, nil, 5*time.Minute)
			done <- err
		}()
		sh("for i in $(seq 300); do test -e " + marks + "-lost && break; sleep 0.1; done; systemctl stop pawl-test-lost; systemctl reset-failed pawl-test-lost 2>/dev/null; true")
		if err := <-done; !fault.Is(err, fault.HookFailed) || !strings.Contains(err.Error(), "nobody knows whether it did its work") {
			t.Errorf("%v", err)
		}
	})
	t.Run("killed by a signal", func(t *testing.T) {
		end, err := h.on.RunJob(t.Context(), command("killed", "kill -9 $$"))
		if err != nil || end.Failure != "signal, status 9" {
			t.Errorf("%+v, %v", end, err)
		}
	})
}

// SetPace makes the host look as often as fits a machine of that pace.
func SetPace(h *Host, pace float64) { h.on.Poll = time.Duration(float64(h.on.Poll) * pace) }

// RunJob runs one job, for tests of what becomes of it when the process that waits for it is killed.
func RunJob(ctx context.Context, r Runner, unit, line string) (failure, output string, err error) {
	end, err := New("machine", r).on.RunJob(ctx, remote.Job{Unit: unit, Argv: []string{"sh", "-c", line}})
	return end.Failure, end.Output, err
}
