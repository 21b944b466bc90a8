package binaries

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pawl-dev/pawl/internal/remote"
)

// systemd is a small model of the real one: it starts real processes, restarts those that end, and answers systemctl,
// systemd-run and journalctl. The lab has the real one.
type systemd struct {
	mu    sync.Mutex
	units map[string]*unit
	jobs  map[string]*jobUnit
	count int
}

type unit struct {
	name, fragment string
	dropIns        []string
	argv           []string // what it starts, as a test says it beside the file
	active         string
	restarts       int
	invocation     string
	stale          bool
	process        *os.Process
	logs           []*journal // of its invocations
}

// journal is what one invocation of a unit said.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

type jobUnit struct {
	active, status, invocation string
	output                     string
}

// start starts a unit's process; s.mu is held.
func (s *systemd) start(u *unit) {
	s.count++
	u.invocation = fmt.Sprintf("%032x", s.count)
	cmd := exec.Command(u.argv[0], u.argv[1:]...)
	cmd.Env = append(os.Environ(), "FAKE_UNIT=1")
	log := &journal{}
	u.logs = append(u.logs, log)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		u.active, u.process = "failed", nil
		_, _ = log.Write([]byte(err.Error()))
		return
	}
	u.active, u.process = "active", cmd.Process
	invocation := u.invocation
	go func() {
		_ = cmd.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if u.invocation != invocation || u.process == nil {
			return // stopped on purpose
		}
		u.process = nil
		if u.restarts >= 5 {
			u.active = "failed"
			return
		}
		u.active = "activating"
		time.AfterFunc(20*time.Millisecond, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if u.invocation == invocation && u.active == "activating" {
				u.restarts++
				s.start(u)
			}
		})
	}()
}

// stop ends a unit's process and waits for its end; s.mu is held.
func (s *systemd) stop(u *unit) {
	p := u.process
	u.process, u.active = nil, "inactive"
	if p == nil {
		return
	}
	_ = p.Kill()
	for range 500 {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/fd/0", p.Pid)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *systemd) stopAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.units {
		s.stop(u)
	}
}

func (s *systemd) systemctl(args []string) remote.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	var words []string
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
		}
	}
	switch words[0] {
	case "show":
		return remote.Result{Stdout: s.show(words[1:])}
	case "daemon-reload":
		for _, u := range s.units {
			u.stale = false
		}
		return remote.Result{}
	}
	name := words[1]
	if j, ok := s.jobs[strings.TrimSuffix(name, ".service")]; ok && j.active != "activating" {
		delete(s.jobs, strings.TrimSuffix(name, ".service"))
		return remote.Result{}
	}
	u, ok := s.units[name]
	if !ok {
		return remote.Result{ExitCode: 5, Stderr: "Unit " + name + " not loaded."}
	}
	switch words[0] {
	case "restart":
		s.stop(u)
		u.restarts = 0
		s.start(u)
	case "reset-failed":
		u.restarts = 0
		if u.active == "failed" {
			u.active = "inactive"
		}
	}
	return remote.Result{}
}

func (s *systemd) show(asked []string) string {
	var blocks []string
	for _, name := range asked {
		if name == "*.service" {
			for _, u := range s.units {
				blocks = append(blocks, u.show())
			}
			blocks = append(blocks, "Id=ssh.service\nLoadState=loaded\nActiveState=active\nMainPID=1\nExecStart={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D ; }\n")
			continue
		}
		if u, ok := s.units[name]; ok {
			blocks = append(blocks, u.show())
		} else if j, ok := s.jobs[strings.TrimSuffix(name, ".service")]; ok {
			result := "success"
			if j.active == "failed" {
				result = "exit-code"
			}
			blocks = append(blocks, fmt.Sprintf("LoadState=loaded\nActiveState=%s\nResult=%s\nExecMainStatus=%s\nInvocationID=%s\n", j.active, result, j.status, j.invocation))
		} else {
			blocks = append(blocks, "Id="+name+"\nLoadState=not-found\nActiveState=inactive\nMainPID=0\n")
		}
	}
	return strings.Join(blocks, "\n")
}

func (u *unit) show() string {
	pid := 0
	if u.process != nil {
		pid = u.process.Pid
	}
	stale := "no"
	if u.stale {
		stale = "yes"
	}
	return fmt.Sprintf("Id=%s\nLoadState=loaded\nActiveState=%s\nMainPID=%d\nNRestarts=%d\nNeedDaemonReload=%s\nInvocationID=%s\nFragmentPath=%s\nDropInPaths=%s\n"+
		"ExecStart={ path=%s ; argv[]=%s ; ignore_errors=no ; start_time=[n/a] }\n",
		u.name, u.active, pid, u.restarts, stale, u.invocation, u.fragment, strings.Join(u.dropIns, " "), u.argv[0], strings.Join(u.argv, " "))
}

// systemdRun begins a job, which goes on whatever becomes of who asked.
func (s *systemd) systemdRun(args []string, run func(argv []string) remote.Result) remote.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := ""
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--unit="); ok {
			name = value
		}
		if arg != "--" {
			continue
		}
		if _, there := s.jobs[name]; there {
			return remote.Result{ExitCode: 1, Stderr: "Unit " + name + ".service was already loaded"}
		}
		s.count++
		j := &jobUnit{active: "activating", status: "0", invocation: fmt.Sprintf("%032x", s.count)}
		s.jobs[name] = j
		argv := append([]string(nil), args[i+1:]...)
		go func() {
			r := run(argv)
			s.mu.Lock()
			defer s.mu.Unlock()
			j.active, j.output = "active", r.Stdout+r.Stderr
			if r.ExitCode != 0 {
				j.active, j.status = "failed", fmt.Sprint(r.ExitCode)
			}
		}()
		return remote.Result{}
	}
	return remote.Result{ExitCode: 1, Stderr: "no command: " + path.Join(args...)}
}

func (s *systemd) journalctl(args []string) remote.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := strings.CutPrefix(args[len(args)-1], "_SYSTEMD_UNIT="); ok && s.units[name] != nil {
		var all strings.Builder
		for _, log := range s.units[name].logs {
			all.WriteString(log.String())
		}
		return remote.Result{Stdout: all.String()}
	}
	for _, arg := range args {
		if id, ok := strings.CutPrefix(arg, "_SYSTEMD_INVOCATION_ID="); ok {
			for _, j := range s.jobs {
				if j.invocation == id {
					return remote.Result{Stdout: j.output}
				}
			}
			for _, u := range s.units {
				if u.invocation == id {
					return remote.Result{Stdout: u.logs[len(u.logs)-1].String()}
				}
			}
		}
	}
	return remote.Result{}
}
