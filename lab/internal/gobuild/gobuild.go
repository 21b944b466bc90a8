// Package gobuild builds the lab's programs from the Go module proxy. Rule: a
// program is built statically, without paths or times of the machine in it,
// and each set of programs appears in the cache whole or not at all.
package gobuild

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// Builder builds into the lab's cache.
type Builder struct {
	Home home.Home
}

// module is a throw-away Go module from which programs of others are built.
type module struct {
	name    string            // names its folder
	goMod   string            // what follows "module" and "go"
	sources map[string][]byte // files of its own, if any
}

// binaries builds packages of a module into target and reports whether they
// were there already. rename maps the names that go build picks to ours.
func (b Builder) binaries(ctx context.Context, target string, m func() (module, error), flags, packages []string, rename map[string]string) (bool, error) {
	return home.Once(target, func(tmp string) error {
		mod, err := m()
		if err != nil {
			return err
		}
		dir := b.Home.Cache("src", mod.name)
		if err := mod.write(dir); err != nil {
			return err
		}
		out := tmp + string(filepath.Separator)
		args := append([]string{"build", "-trimpath", "-o", out}, flags...)
		if _, err := goTool(ctx, dir, append(args, packages...)...); err != nil {
			return err
		}
		for from, to := range rename {
			if err := os.Rename(filepath.Join(tmp, from), filepath.Join(tmp, to)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m module) write(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module lab\n\ngo 1.26\n\n"+m.goMod), 0o644); err != nil {
		return err
	}
	for name, data := range m.sources {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goTool runs the go command in a folder, apart from the user's own settings
// for modules. A failure carries the end of its output.
func goTool(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, lastLines(errs.String(), 8))
	}
	return out.Bytes(), nil
}

// download fetches a module and returns the path of its go.mod.
func (b Builder) download(ctx context.Context, module, version string) (string, error) {
	dir := b.Home.Cache("src")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	out, err := goTool(ctx, dir, "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return "", fmt.Errorf("fetch %s %s: %w; is the version served by the module proxy?", module, version, err)
	}
	var info struct{ GoMod string }
	if err := json.Unmarshal(out, &info); err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", module, version, err)
	}
	return info.GoMod, nil
}

// lastLines is the end of a tool's output without the lines that only say
// what it fetches.
func lastLines(s string, n int) string {
	var keep []string
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "go: downloading ") {
			keep = append(keep, strings.TrimSpace(line))
		}
	}
	if len(keep) > n {
		keep = keep[len(keep)-n:]
	}
	return strings.Join(keep, " | ")
}
