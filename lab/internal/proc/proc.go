// Package proc identifies the processes that the lab started. Rule: a process
// is signalled only when its pid, start time and boot all match the record.
package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// ID names one process for good: pids are used again, start times within one
// boot of the machine are not.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

// Of identifies a running process.
func Of(pid int) (ID, error) {
	start, err := startTime(pid)
	if err != nil {
		return ID{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// Alive reports whether that very process still runs.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Of(id.PID)
	return err == nil && now == id
}

// Signal signals the process; one that is gone is no error.
func (id ID) Signal(sig syscall.Signal) error {
	if id.PID <= 0 {
		return nil
	}
	p, err := os.FindProcess(id.PID) // holds a pidfd: the check below cannot go stale
	if err != nil {
		return nil
	}
	defer p.Release()
	if !id.Alive() {
		return nil
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	return nil
}

// Stop signals the process and waits for its end, at most for patience.
func (id ID) Stop(sig syscall.Signal, patience time.Duration) error {
	if err := id.Signal(sig); err != nil {
		return err
	}
	for end := time.Now().Add(patience); id.Alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("process %d still runs %s after signal %d", id.PID, patience, sig)
		}
	}
	return nil
}

// Save records the process in a file.
func (id ID) Save(path string) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return home.WriteFile(path, append(b, '\n'), 0o644)
}

// Load reads a record; a missing one is the zero ID, which is never alive.
func Load(path string) (ID, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ID{}, nil
	}
	if err != nil {
		return ID{}, err
	}
	var id ID
	if err := json.Unmarshal(b, &id); err != nil {
		return ID{}, fmt.Errorf("read %s: %w", path, err)
	}
	return id, nil
}

// startTime is field 22 of /proc/PID/stat, for a process that is no zombie.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

// parseStat reads the start time. The command's name, in brackets, may hold
// spaces and brackets itself.
func parseStat(stat string) (uint64, error) {
	i := strings.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, fmt.Errorf("process status %q: no name in it", stat)
	}
	fields := strings.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("process status %q: too short", stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
