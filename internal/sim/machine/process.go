package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// program is what a command does. It looks at p's ctx, by way of the disk and of Sleep, so that it can be killed at
// any point, and returns its exit code.
type program func(p *process) int

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// process is one run of a program.
type process struct {
	m    *Machine
	pid  int
	argv []string
	user string
	dir  string
	env  []string
	exe  fs.FileInfo // the file that it was started from; nil when that is of no interest
	unit string      // the unit that it belongs to
	streams

	ctx  context.Context // ends when the process must end
	kill context.CancelCauseFunc
}

// signalled is why a process was ended.
type signalled int

func (s signalled) Error() string { return "killed by signal " + strconv.Itoa(int(s)) }

// status is how a process ended.
type status struct {
	code   int
	signal int // 0: it exited by itself
}

func (s status) exitCode() int {
	if s.signal != 0 {
		return 128 + s.signal
	}
	return s.code
}

// process makes a process under parent, or under none.
func (m *Machine) process(ctx context.Context, parent *process, argv []string, s streams, user string) *process {
	p := &process{m: m, argv: argv, user: user, dir: home(user), streams: s}
	if parent != nil {
		p.dir, p.env, p.unit = parent.dir, parent.env, parent.unit
	} else {
		p.env = []string{"HOME=" + home(user), "USER=" + user, "LOGNAME=" + user, "SHELL=/bin/sh", "LANG=C.UTF-8",
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	p.ctx, p.kill = context.WithCancelCause(ctx)
	// A process that writes where nobody reads gets SIGPIPE.
	p.out, p.err = pipe{p, s.out}, pipe{p, s.err}
	if p.in == nil {
		p.in = strings.NewReader("")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastPID++
	p.pid = m.lastPID
	m.processes[p.pid] = p
	return p
}

func home(user string) string {
	if user == "root" {
		return "/root"
	}
	return "/home/" + user
}

type pipe struct {
	p *process
	w io.Writer
}

func (w pipe) Write(b []byte) (int, error) {
	if w.w == nil {
		return len(b), nil
	}
	n, err := w.w.Write(b)
	if err != nil {
		w.p.kill(signalled(syscall.SIGPIPE))
	}
	return n, err
}

// run runs the program and waits for its end.
func (p *process) run(do program) status {
	defer func() {
		p.m.mu.Lock()
		if p.m.processes[p.pid] == p {
			delete(p.m.processes, p.pid)
			for file, holder := range p.m.locks {
				if holder == p.pid {
					delete(p.m.locks, file)
				}
			}
		}
		p.m.mu.Unlock()
		p.kill(nil)
	}()
	code := do(p)
	if p.ctx.Err() != nil {
		var s signalled
		if errors.As(context.Cause(p.ctx), &s) {
			return status{signal: int(s)}
		}
		return status{signal: int(syscall.SIGKILL)} // the power went
	}
	return status{code: code}
}

// start runs another program with this process's surroundings and waits for it.
func (p *process) start(argv []string, s streams, user string, change func(*process)) status {
	do, found := p.m.lookUp(p, argv[0])
	if found != nil {
		fmt.Fprintf(s.err, "%s: 1: %v\n", path.Base(p.argv[0]), found)
		var missing notFound
		if errors.As(found, &missing) {
			return status{code: 127}
		}
		return status{code: 126}
	}
	child := p.m.process(p.ctx, p, argv, s, user)
	if change != nil {
		change(child)
	}
	return child.run(do)
}

type notFound string

func (n notFound) Error() string { return string(n) + ": not found" }

// programs are all that is installed; each says in which folder, and on which distributions.
var programs map[string]program

// folders are where programs are that are not in /usr/bin (/bin is a link to it).
var folders = map[string]string{
	"apt-helper": "/usr/lib/apt", "sshd": "/usr/sbin", "reboot": "/usr/sbin",
}

var only = map[string][]Distro{
	"apt-get": {Debian}, "apt-cache": {Debian}, "apt-mark": {Debian}, "apt-helper": {Debian}, "dpkg": {Debian}, "dpkg-query": {Debian},
	"rpm": {Rocky, SUSE}, "dnf": {Rocky}, "yum": {Rocky}, "zypper": {SUSE},
}

// fromPackages are programs that are there only when their package is.
var fromPackages = []string{"kubeadm", "kubelet", "kubectl"}

// lookUp finds a program as execvp(3) does.
func (m *Machine) lookUp(p *process, name string) (program, error) {
	base := path.Base(name)
	do, ok := programs[base]
	folder := folders[base]
	if folder == "" {
		folder = "/usr/bin"
	}
	if on := only[base]; on != nil && !slices.Contains(on, m.opts.Distro) {
		ok = false
	}
	if slices.Contains(fromPackages, base) && !m.Exists("/usr/bin/"+base) {
		ok = false
	}
	if strings.Contains(name, "/") {
		dir := path.Dir(name)
		if ok && (dir == folder || "/usr"+dir == folder || "/usr"+dir+"/bin" == folder) {
			return do, nil
		}
		if info, err := m.root.Stat(inside(p.abs(name))); err == nil { // a script
			if info.IsDir() || info.Mode()&0o111 == 0 {
				return nil, fmt.Errorf("%s: Permission denied", name)
			}
			return script(p.abs(name)), nil
		}
		return nil, notFound(name)
	}
	if !ok || folder != "/usr/bin" && folder != "/usr/sbin" {
		return nil, notFound(name)
	}
	return do, nil
}

// sleep waits for d on a real node. It returns false when the process must end.
func (p *process) sleep(d time.Duration) bool { return p.m.Sleep(p.ctx, d) == nil }

// at is a point where somebody may want to do something to the machine. It returns false when the process must end.
func (p *process) at(point string) bool {
	p.m.hook(p.ctx, At, point)
	return p.ctx.Err() == nil
}

func (p *process) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// fail writes to standard error and returns the exit code.
func (p *process) fail(code int, format string, args ...any) int {
	fmt.Fprintf(p.err, format+"\n", args...)
	return code
}

// abs is the absolute path of name for this process.
func (p *process) abs(name string) string {
	if !path.IsAbs(name) {
		name = p.dir + "/" + name
	}
	return path.Clean(name)
}

func (p *process) getenv(name string) string {
	value := ""
	for _, e := range p.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// commandLine is what /proc/PID/cmdline has.
func (p *process) commandLine() string { return strings.Join(p.argv, " ") }

// Kill sends a signal that ends it to a process of the machine, as a person with root's shell does.
func (m *Machine) Kill(pid int, signal syscall.Signal) bool {
	m.mu.Lock()
	p := m.processes[pid]
	m.mu.Unlock()
	if p == nil {
		return false
	}
	p.kill(signalled(signal))
	return true
}

// running are the processes, oldest first.
func (m *Machine) running() []*process {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*process
	for _, p := range m.processes {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *process) int { return a.pid - b.pid })
	return all
}

func init() {
	programs = map[string]program{
		"sh": sh, "bash": sh, "dash": sh, "sudo": sudo, "env": env, "pgrep": pgrep, "kill": killProgram, "hostname": hostname,
		"id": id, "whoami": id, "uname": uname, "date": date, "sleep": sleepProgram, "true": func(*process) int { return 0 },
		"false": func(*process) int { return 1 }, "reboot": reboot,
		"test": builtin, "[": builtin, "echo": builtin, "printf": builtin, "pwd": builtin,
	}
	for _, family := range []map[string]program{filePrograms, searchPrograms, systemdPrograms, aptPrograms, rpmPrograms, kubePrograms} {
		for name, do := range family {
			programs[name] = do
		}
	}
}

// pgrep matches command lines (-f) or names, and never itself (pgrep(1)).
func pgrep(p *process) int {
	o, code := p.options("pgrep", optSpec{short: "fxlao", long: "full,exact", exit: 2})
	if o == nil {
		return code
	}
	if len(o.args) != 1 {
		return p.fail(2, "pgrep: no matching criteria specified\nTry `pgrep --help' for more information.")
	}
	expression := o.args[0]
	if o.has("x", "exact") {
		expression = "^(?:" + expression + ")$"
	}
	pattern, err := regexp.Compile(expression)
	if err != nil {
		return p.fail(2, "pgrep: Invalid regular expression: %s", o.args[0])
	}
	code = 1
	if name, pid := p.m.upgrader(); name != "" && pattern.MatchString(name) {
		code = 0
		p.printf("%d\n", pid)
	}
	for _, other := range p.m.running() {
		text := path.Base(other.argv[0])
		if o.has("f", "full") {
			text = other.commandLine()
		}
		if other == p || !pattern.MatchString(text) {
			continue
		}
		code = 0
		if o.has("l", "a") {
			p.printf("%d %s\n", other.pid, text)
		} else {
			p.printf("%d\n", other.pid)
		}
	}
	return code
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM,
	"1": syscall.SIGHUP, "2": syscall.SIGINT, "3": syscall.SIGQUIT, "9": syscall.SIGKILL, "15": syscall.SIGTERM, "0": 0,
}

func killProgram(p *process) int {
	args := p.argv[1:]
	signal := syscall.SIGTERM
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := strings.TrimPrefix(args[0], "-")
		args = args[1:]
		if name == "s" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		s, ok := signals[strings.TrimPrefix(name, "SIG")]
		if !ok {
			return p.fail(1, "sh: 1: kill: invalid signal number or name: %s", name)
		}
		signal = s
	}
	code := 0
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			code = p.fail(2, "sh: 1: kill: Illegal number: %s", arg)
			continue
		}
		p.m.mu.Lock()
		target := p.m.processes[pid]
		p.m.mu.Unlock()
		switch {
		case target == nil:
			code = p.fail(1, "sh: 1: kill: No such process")
		case p.user != "root" && target.user != p.user:
			code = p.fail(1, "sh: 1: kill: Operation not permitted")
		case signal != 0:
			target.kill(signalled(signal))
		}
	}
	return code
}

// env runs a program with a changed environment (env(1)).
func env(p *process) int {
	args := p.argv[1:]
	set := slices.Clone(p.env)
	for len(args) > 0 && strings.Contains(args[0], "=") && !strings.HasPrefix(args[0], "-") {
		set = append(set, args[0])
		args = args[1:]
	}
	if len(args) == 0 {
		for _, e := range set {
			p.printf("%s\n", e)
		}
		return 0
	}
	if strings.HasPrefix(args[0], "-") {
		return p.badOption("env", args[0], 125)
	}
	if _, err := p.m.lookUp(p, args[0]); err != nil {
		return p.fail(127, "env: ‘%s’: No such file or directory", args[0])
	}
	return p.start(args, p.streams, p.user, func(child *process) { child.env = set }).exitCode()
}

// sudoers are the users who may run anything as root without a password.
var sudoers = []string{"root", "admin"}

// sudo is sudo(8) 1.9 without a terminal.
func sudo(p *process) int {
	args := p.argv[1:]
	ask := true
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		option := args[0]
		args = args[1:]
		if option == "--" {
			break
		}
		switch option {
		case "-n", "--non-interactive":
			ask = false
		default:
			if strings.HasPrefix(option, "--") {
				return p.fail(1, "sudo: unrecognized option '%s'\nusage: sudo -h | -K | -k | -V", option)
			}
			return p.fail(1, "sudo: invalid option -- '%s'\nusage: sudo -h | -K | -k | -V", strings.TrimPrefix(option, "-")[:1])
		}
	}
	if len(args) == 0 {
		return p.fail(1, "usage: sudo -h | -K | -k | -V")
	}
	if !slices.Contains(sudoers, p.user) {
		if ask {
			fmt.Fprintln(p.err, "sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper")
		}
		return p.fail(1, "sudo: a password is required")
	}
	if _, err := p.m.lookUp(p, args[0]); err != nil {
		return p.fail(1, "sudo: %s: command not found", args[0])
	}
	caller := p.user
	return p.start(args, p.streams, "root", func(child *process) {
		// env_reset, which is sudo's default (sudoers(5)).
		child.env = []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "SUDO_USER=" + caller, "LC_ALL=" + p.getenv("LC_ALL"),
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}).exitCode()
}

func hostname(p *process) int {
	p.printf("%s\n", p.m.opts.Name)
	return 0
}

func id(p *process) int {
	number := "1000"
	if p.user == "root" {
		number = "0"
	}
	o, code := p.options(path.Base(p.argv[0]), optSpec{short: "un", exit: 1})
	switch {
	case o == nil:
		return code
	case path.Base(p.argv[0]) == "whoami" || o.has("n"):
		p.printf("%s\n", p.user)
	case o.has("u"):
		p.printf("%s\n", number)
	default:
		p.printf("uid=%s(%s) gid=%s(%s) groups=%s(%s)\n", number, p.user, number, p.user, number, p.user)
	}
	return 0
}

func uname(p *process) int {
	o, code := p.options("uname", optSpec{short: "rmsn", exit: 1})
	if o == nil {
		return code
	}
	switch {
	case o.has("r"):
		p.printf("6.1.0-40-amd64\n")
	case o.has("m"):
		p.printf("x86_64\n")
	case o.has("n"):
		p.printf("%s\n", p.m.opts.Name)
	default:
		p.printf("Linux\n")
	}
	return 0
}

func date(p *process) int {
	args := slices.DeleteFunc(slices.Clone(p.argv[1:]), func(a string) bool { return a == "-u" })
	p.m.mu.Lock()
	now := time.Now().Add(p.m.faults.clockAhead).UTC()
	p.m.mu.Unlock()
	switch {
	case len(args) == 0:
		p.printf("%s\n", now.Format("Mon Jan _2 15:04:05 UTC 2006"))
	case args[0] == "+%s":
		p.printf("%d\n", now.Unix())
	case args[0] == "+%s.%N":
		p.printf("%d.%09d\n", now.Unix(), now.Nanosecond())
	case args[0] == "-R":
		p.printf("%s\n", now.Format(time.RFC1123Z))
	default:
		return p.badOption("date", args[0], 1)
	}
	return 0
}

func sleepProgram(p *process) int {
	var d time.Duration
	for _, arg := range p.argv[1:] {
		number, unit := arg, time.Second
		for suffix, u := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour} {
			if n, ok := strings.CutSuffix(arg, suffix); ok {
				number, unit = n, u
			}
		}
		seconds, err := strconv.ParseFloat(number, 64)
		if err != nil || seconds < 0 {
			return p.fail(1, "sleep: invalid time interval ‘%s’\nTry 'sleep --help' for more information.", arg)
		}
		d += time.Duration(seconds * float64(unit))
	}
	p.sleep(d)
	return 0
}

func reboot(p *process) int {
	if p.user != "root" {
		return p.fail(1, "Call to Reboot failed: Interactive authentication required.")
	}
	go p.m.Reboot(20 * time.Second)
	return 0
}

var errPower = os.ErrProcessDone // what the disk says to a process that has been ended
