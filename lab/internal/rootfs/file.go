package rootfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// File is one file of a root filesystem: what Content says, unless it is
// copied from the machine or a symbolic link.
type File struct {
	Path    string // relative to the root
	Content string
	Mode    os.FileMode
	Source  string // file of the machine to copy
	Link    string // where a link leads, inside the root
}

// Write writes files into a root filesystem, in place of what is there.
func Write(root string, files []File) error {
	for _, f := range files {
		if err := f.write(filepath.Join(root, f.Path)); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func (f File) write(path string) error {
	switch {
	case f.Source != "":
		return f.copyTo(path)
	case f.Link != "":
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		return os.Symlink(f.Link, path)
	}
	return home.WriteFile(path, []byte(f.Content), f.Mode)
}

// copyTo copies the source: nobody may reach the machine's own file through
// the copy, so it is no hard link.
func (f File) copyTo(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, f.Mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
