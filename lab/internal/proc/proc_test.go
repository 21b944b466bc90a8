package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestParseStatWithBracketsInTheName(t *testing.T) {
	got, err := parseStat("42 (a) b (c)) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2")
	if err != nil || got != 123456 {
		t.Errorf("got %d, %v; want 123456", got, err)
	}
}

func TestOnlyTheVeryProcessIsSignalled(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := id
	other.Start++ // the pid was used again
	if err := other.Stop(syscall.SIGKILL, time.Second); err != nil {
		t.Error(err)
	}
	if !id.Alive() {
		t.Fatal("a process with another start time was ended")
	}
	if err := id.Stop(syscall.SIGKILL, 5*time.Second); err != nil {
		t.Error(err)
	}
	if id.Alive() {
		t.Error("still alive")
	}
	_ = cmd.Wait()
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id.json")
	if id, err := Load(path); err != nil || id.Alive() {
		t.Errorf("missing record: %v, %v; want one that is not alive", id, err)
	}
	self, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || got != self {
		t.Errorf("got %v, %v; want %v", got, err, self)
	}
}
