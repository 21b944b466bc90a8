package host

import (
	"context"
	"strings"
)

// readAll reads the files and, of folders among the paths, the files in them, whose names match one of the patterns, in one
// command. Those that do not exist are left out. A path must not hold a colon.
func (h *Host) readAll(ctx context.Context, patterns []string, paths ...string) (map[string]string, error) {
	argv := []string{"grep", "-Rs"}
	for _, pattern := range patterns {
		argv = append(argv, "--include="+pattern)
	}
	// Every line matches; exit code 2 says that a file is missing, which is usual, and 1 that all are empty.
	r, err := h.root(ctx, append(append(argv, "--", ""), paths...)...)
	if err != nil {
		return nil, err
	}
	if r.ExitCode > 2 || r.Cut {
		return nil, h.failed("read "+strings.Join(paths, ", "), argv, r)
	}
	return parseFiles(r.Stdout), nil
}

// parseFiles takes grep's "path:line" apart.
func parseFiles(output string) map[string]string {
	var order []string
	lines := map[string]*strings.Builder{}
	for line := range strings.Lines(output) {
		path, text, ok := strings.Cut(line, ":")
		if !ok || !strings.HasPrefix(path, "/") {
			continue
		}
		if lines[path] == nil {
			lines[path] = &strings.Builder{}
			order = append(order, path)
		}
		lines[path].WriteString(text)
	}
	files := map[string]string{}
	for _, path := range order {
		files[path] = lines[path].String()
	}
	return files
}
