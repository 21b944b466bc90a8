package dev

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// findProgram looks next to this executable, then in PATH, for the first of the names.
func findProgram(names ...string) (string, error) {
	for _, name := range names {
		if self, err := os.Executable(); err == nil {
			if real, err := filepath.EvalSymlinks(self); err == nil {
				self = real
			}
			beside := filepath.Join(filepath.Dir(self), name)
			if info, err := os.Stat(beside); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return beside, nil
			}
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exit.Errorf(exit.Unexpected, "dev: no program %s next to pawl or in PATH; build it with \"make build\"", names[0])
}
