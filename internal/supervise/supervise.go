// Package supervise starts the programs that belong to one of ours: a server beside the CLI, a control plane beside the
// simulated cluster.
//
// Rule: a child never outlives its parent, where the operating system can see to that.
package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Find looks next to this executable, then in PATH, for the first of the names.
func Find(names ...string) (string, error) {
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
	return "", fmt.Errorf("no program %s next to %s or in PATH", names[0], filepath.Base(os.Args[0]))
}
