package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sudoers"
)

var update = flag.Bool("update", false, "write the golden files anew")

// script is a Runner that answers from a list and writes down what it was asked.
type script struct {
	t       *testing.T
	answers []answer

	mu  sync.Mutex
	log strings.Builder
}

// answer is what the commands that begin with say get.
type answer struct {
	when   string // the beginning of the command line
	stdout string
	stderr string
	exit   int
	err    error
	once   bool // for the first such command only; the next one gets the next answer
}

func (s *script) Run(_ context.Context, cmd Command) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := strings.Join(cmd.Argv, " ")
	prompt := "$ "
	if cmd.Root {
		prompt = "# "
	}
	fmt.Fprintf(&s.log, "%s%s\n", prompt, strings.ReplaceAll(line, "\n", `\n`))
	for text := range strings.Lines(string(cmd.Stdin)) {
		fmt.Fprintf(&s.log, "    < %s\n", strings.TrimRight(text, "\n"))
	}
	for i, a := range s.answers {
		if !strings.HasPrefix(line, a.when) {
			continue
		}
		if a.once {
			s.answers = slices.Delete(s.answers, i, i+1)
		}
		return Result{Stdout: a.stdout, Stderr: a.stderr, ExitCode: a.exit}, a.err
	}
	s.t.Errorf("nobody said what to answer to: %s", line)
	return Result{}, errors.New("no answer")
}

// hosted makes a host that is scripted. Earlier answers go before later ones.
func hosted(t *testing.T, answers ...answer) (*Host, *script) {
	s := &script{t: t, answers: answers}
	h := New("cp1", Listed(t, s.manager(), "https://pkgs.k8s.io/core:/stable:", s))
	h.on.Poll = 0
	return h, s
}

// manager is the package manager of the system that the answers are of.
func (s *script) manager() sudoers.Kind {
	for _, a := range s.answers {
		switch {
		case a.when == "cat /etc/os-release" && parseOSRelease(a.stdout).is("suse"):
			return sudoers.Zypper
		case a.when == "cat /etc/os-release" && parseOSRelease(a.stdout).is("rhel"):
			return sudoers.DNF
		}
	}
	return sudoers.APT
}

// golden compares what was run with testdata/NAME.golden.
func (s *script) golden(name string) {
	s.t.Helper()
	file := filepath.Join("testdata", name+".golden")
	got := s.log.String()
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatalf("%v; run the test with -update", err)
	}
	if got != string(want) {
		s.t.Errorf("%s: ran\n%s\nwant\n%s", file, got, want)
	}
}

func (s *script) ran(line string) bool { return strings.Contains(s.log.String(), line) }

func wantFault(t *testing.T, err error, kind fault.Kind, says ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("%v, want %s", err, kind)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("several lines: %q", err)
	}
}

// The states of a job, as `systemctl show` prints them (systemd 252).
const (
	jobAbsent  = "Result=success\nExecMainStatus=0\nLoadState=not-found\nActiveState=inactive\nJob=\nInvocationID=\n"
	jobQueued  = "Result=success\nExecMainStatus=0\nLoadState=loaded\nActiveState=inactive\nJob=169\nInvocationID=\n"
	jobRunning = "Result=success\nExecMainStatus=0\nLoadState=loaded\nActiveState=activating\nJob=169\nInvocationID=540a8a67\n"
	jobDone    = "Result=success\nExecMainStatus=0\nLoadState=loaded\nActiveState=active\nJob=\nInvocationID=540a8a67\n"
	jobFailed  = "Result=exit-code\nExecMainStatus=1\nLoadState=loaded\nActiveState=failed\nJob=\nInvocationID=540a8a67\n"
)

const showJob = "systemctl show --property=LoadState,ActiveState,Job,Result,ExecMainStatus,InvocationID "

// freshJob are the answers for a job that is looked for twice and not found, is started, and ends as said.
func freshJob(unit, end, output string) []answer {
	absent := answer{when: showJob + unit, stdout: jobAbsent, once: true}
	return append([]answer{absent, absent, {when: "systemd-run --quiet --no-block --unit=" + unit}}, runningJob(unit, end, output)...)
}

// runningJob are the answers for a job that was started before and ends as said.
func runningJob(unit, end, output string) []answer {
	return []answer{
		{when: showJob + unit, stdout: jobQueued, once: true},
		{when: showJob + unit, stdout: jobRunning, once: true},
		{when: showJob + unit, stdout: end},
		{when: "journalctl --sync"},
		{when: "journalctl --no-pager", stdout: output},
		{when: "systemctl stop " + unit}, {when: "systemctl reset-failed " + unit},
	}
}
