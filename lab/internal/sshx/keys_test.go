package sshx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"
)

func TestAHostHasOneKey(t *testing.T) {
	old, err1 := NewKey("old")
	now, err2 := NewKey("now")
	other, err3 := NewKey("other")
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	file := WithHost(nil, old.Signer.PublicKey(), "10.77.0.23", "w3")
	file = WithHost(file, other.Signer.PublicKey(), "10.77.0.2", "w30")
	file = WithHost(file, now.Signer.PublicKey(), "10.77.0.23", "w3")
	if n := strings.Count(string(file), "\n"); n != 2 {
		t.Fatalf("%d lines, want 2:\n%s", n, file)
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := knownhosts.New(path); err != nil {
		t.Error(err)
	}
	line := strings.Fields(now.Public)[1]
	if !strings.Contains(string(file), line) || strings.Contains(string(file), strings.Fields(old.Public)[1]) {
		t.Errorf("not the new key alone:\n%s", file)
	}
	if got := WithHost(file, nil, "10.77.0.23", "w3"); strings.Contains(string(got), "w3 ") || !strings.Contains(string(got), "w30 ") {
		t.Errorf("w3 was to be forgotten:\n%s", got)
	}
}
