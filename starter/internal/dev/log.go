package dev

import (
	"io"
	"os"
	"strings"
)

// logLimit is the size at which a log is put aside when it is opened next.
const logLimit = 20 << 20

// openLog opens a log to append to it. One old log is kept.
func openLog(path string) (*os.File, error) {
	if size(path) > logLimit {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// lastLine is the last line of what a log has had since it was of a size: what a program that died had to say.
func lastLine(path string, since int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	now := size(path)
	if now < since {
		since = 0 // it was put aside in between
	}
	if _, err := f.Seek(max(since, now-4096), io.SeekStart); err != nil {
		return ""
	}
	b, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
