package home

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOnceLeavesNothingHalfMade(t *testing.T) {
	target := filepath.Join(t.TempDir(), "made")
	broken := errors.New("broken")
	fill := func(err error) func(string) error {
		return func(tmp string) error {
			return errors.Join(os.WriteFile(filepath.Join(tmp, "x"), nil, 0o644), err)
		}
	}
	if _, err := Once(target, fill(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the failed build is there")
	}
	// What a killed build left behind does not get in.
	if err := os.MkdirAll(filepath.Join(target+".tmp", "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, wantCached := range []bool{false, true} {
		if cached, err := Once(target, fill(nil)); err != nil || cached != wantCached {
			t.Errorf("cached %t, %v; want cached %t", cached, err, wantCached)
		}
	}
	if _, err := os.Stat(filepath.Join(target, "old")); err == nil {
		t.Error("remains of the killed build are in")
	}
}

func TestLocks(t *testing.T) {
	h := Home(t.TempDir())
	must := func(unlock func(), err error) func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return unlock
	}
	one, two := must(h.Share("lab")), must(h.Share("lab"))
	if _, err := h.Lock("lab"); !errors.Is(err, ErrLocked) {
		t.Errorf("while others share it: %v, want %v", err, ErrLocked)
	}
	one()
	two()
	alone := must(h.Lock("lab"))
	if _, err := h.Share("lab"); !errors.Is(err, ErrLocked) {
		t.Errorf("while another has it: %v, want %v", err, ErrLocked)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := h.Await(ended, "lab"); !errors.Is(err, ErrLocked) {
		t.Errorf("nobody waits any more: %v, want %v", err, ErrLocked)
	}
	time.AfterFunc(20*time.Millisecond, alone)
	must(h.Await(t.Context(), "lab"))()
}

func TestLocate(t *testing.T) {
	t.Setenv(EnvVar, "/from/environment")
	for flag, want := range map[string]Home{"": "/from/environment", "/from/flag": "/from/flag"} {
		if got, err := Locate(flag); err != nil || got != want {
			t.Errorf("Locate(%q) = %q, %v; want %q", flag, got, err, want)
		}
	}
}

func TestLockKeepsASecondOut(t *testing.T) {
	h := Home(t.TempDir())
	unlock, err := h.Lock("lab")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Lock("lab"); err == nil {
		t.Error("a second lock was given")
	}
	unlock()
	unlock2, err := h.Lock("lab")
	if err != nil {
		t.Fatal(err)
	}
	unlock2()
}
