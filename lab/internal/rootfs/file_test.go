package rootfs

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	root, source := t.TempDir(), filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "unit"), []byte("the template's"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is there is no obstacle
		err := Write(root, []File{
			{Path: "etc/key", Content: "secret", Mode: 0o600},
			{Path: "bin/program", Source: source, Mode: 0o755},
			{Path: "unit", Link: "/dev/null"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]struct {
		content string
		mode    os.FileMode
	}{"etc/key": {"secret", 0o600}, "bin/program": {"program", 0o755}} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || string(content) != want.content || info.Mode().Perm() != want.mode {
			t.Errorf("%s: got %q, %v, %v, want %q, %v", path, content, info.Mode(), err, want.content, want.mode)
		}
	}
	if to, err := os.Readlink(filepath.Join(root, "unit")); err != nil || to != "/dev/null" {
		t.Errorf("unit leads to %q, %v", to, err)
	}
	if err := Write(root, []File{{Path: "x", Source: source + "-missing"}}); err == nil {
		t.Error("a missing source is no error")
	}
}
