package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// systemdPrograms are those of systemd 252.
var systemdPrograms = map[string]program{"systemctl": systemctl, "systemd-run": systemdRun, "journalctl": journalctl}

// systemd is PID 1 and the journal of one boot. Transient units and the journal, which Debian keeps in /run unless told
// otherwise (Storage=auto of journald.conf(5)), end with it.
type systemd struct {
	m     *Machine
	power context.Context

	mu       sync.Mutex
	units    map[string]*unit
	journal  []entry
	synced   int // that many entries are readable for certain
	lastJob  int
	reloaded time.Time // when unit files were read last
}

// unit is a service.
type unit struct {
	name        string // with .service
	description string
	transient   bool
	oneshot     bool
	remain      bool          // RemainAfterExit
	timeout     time.Duration // TimeoutStartSec; 0: infinity, the default of a oneshot

	active, sub, result string
	status              int    // exit code or signal of the last main process
	killed              bool   // whether status is a signal
	invocation          string // of the last start
	job                 int    // 0: none
	pid                 int
	started             time.Time
	restarts            int

	end         context.CancelCauseFunc // ends its processes; nil when it has none
	killProcess context.CancelCauseFunc // of a service that is kept alive: ends the present process only
	done        chan struct{}           // closed when they have ended
}

// entry is one line of the journal.
type entry struct {
	at         time.Time
	unit       string
	invocation string // of the process that wrote it; empty for what systemd itself says about the unit
	ident      string
	pid        int
	text       string
}

func newSystemd(m *Machine, power context.Context) *systemd {
	s := &systemd{m: m, power: power, units: map[string]*unit{}, lastJob: 100, reloaded: time.Now()}
	for _, name := range []string{"containerd.service", "ssh.service"} {
		s.units[name] = &unit{name: name, active: "active", sub: "running", result: "success", started: time.Now(), invocation: invocationID()}
	}
	s.units[kubeletService] = &unit{name: kubeletService, description: "kubelet: The Kubernetes Node Agent", active: "inactive", sub: "dead", result: "success"}
	return s
}

// boot starts what is enabled.
func (s *systemd) boot() { s.startKubelet(s.units[kubeletService]) }

func invocationID() string { return strings.ReplaceAll(uuid(), "-", "") }

// log writes to the journal.
func (s *systemd) log(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.at = time.Now()
	s.journal = append(s.journal, e)
}

// journalWriter makes lines of what a unit's processes write.
type journalWriter struct {
	s    *systemd
	e    entry
	mu   sync.Mutex
	rest []byte
}

func (w *journalWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		w.e.text = string(line)
		w.s.log(w.e)
		w.rest = rest
	}
}

// flush writes the line that has no end.
func (w *journalWriter) flush() {
	if w.mu.Lock(); len(w.rest) > 0 {
		w.e.text = string(w.rest)
		w.s.log(w.e)
		w.rest = nil
	}
	w.mu.Unlock()
}

// systemdRun is systemd-run(1) for services of the system manager.
func systemdRun(p *process) int {
	o, code := p.options("systemd-run", optSpec{short: "qp:u:E:", long: "quiet,no-block,unit=,description=,property=,setenv=,collect", exit: 1, ordered: true})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		return p.fail(1, "Command line to execute required.")
	}
	if _, err := p.m.lookUp(p, o.args[0]); err != nil {
		return p.fail(1, "Failed to find executable %s: No such file or directory", o.args[0])
	}
	u := &unit{name: o.value("unit", "u"), description: o.value("description"), transient: true, active: "inactive", sub: "dead", result: "success"}
	if u.name == "" {
		u.name = "run-u" + strconv.Itoa(p.pid)
	}
	u.name = serviceName(u.name)
	if u.description == "" {
		u.description = strings.Join(o.args, " ")
	}
	for _, property := range append(o.set["property"], o.set["p"]...) {
		switch property {
		case "Type=oneshot":
			u.oneshot = true
		case "Type=exec", "Type=simple":
		case "RemainAfterExit=yes":
			u.remain = true
		default:
			key, value, ok := strings.Cut(property, "=")
			if !ok {
				return p.fail(1, "Not an assignment: %s", property)
			}
			if key == "TimeoutStartSec" {
				d, err := time.ParseDuration(value) // systemd.time(7) has more ways to write one
				if err != nil {
					return p.fail(1, "Failed to parse %s= parameter: %s", key, value)
				}
				u.timeout = d
				continue
			}
			return p.fail(1, "Failed to parse service type or unknown assignment: %s=%s", key, value)
		}
	}
	if p.user != "root" {
		return p.fail(1, "Failed to start transient service unit: Interactive authentication required.")
	}
	env := []string{"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}
	env = append(append(env, o.set["setenv"]...), o.set["E"]...)
	var argv []string
	for _, arg := range o.args {
		argv = append(argv, expandUnit(arg, env))
	}
	s := p.m.systemd
	s.mu.Lock()
	if s.units[u.name] != nil {
		s.mu.Unlock()
		return p.fail(1, "Failed to start transient service unit: Unit %s was already loaded or has a fragment file.", u.name)
	}
	s.units[u.name] = u
	s.lastJob++
	u.job = s.lastJob
	u.invocation = invocationID()
	u.done = make(chan struct{})
	ctx, end := context.WithCancelCause(s.power)
	u.end = end
	s.mu.Unlock()
	go s.execute(ctx, u, argv, env)
	if !o.has("quiet", "q") {
		fmt.Fprintf(p.err, "Running as unit: %s\n", u.name)
	}
	if o.has("no-block") || !u.oneshot {
		return 0
	}
	select {
	case <-u.done:
	case <-p.ctx.Done():
		return 1
	}
	if s.is(u, "failed") {
		return p.fail(1, "Job for %s failed because the control process exited with error code.\nSee \"systemctl status %s\" and \"journalctl -xeu %s\" for details.", u.name, u.name, u.name)
	}
	return 0
}

func (s *systemd) is(u *unit, active string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return u.active == active
}

var unitVariable = regexp.MustCompile(`\$\$|\$\{(\w+)\}|^\$(\w+)$`)

// expandUnit replaces variables in a command as systemd does (systemd.service(5), COMMAND LINES).
func expandUnit(arg string, env []string) string {
	return unitVariable.ReplaceAllStringFunc(arg, func(match string) string {
		if match == "$$" {
			return "$"
		}
		name := strings.Trim(match, "${}")
		value := ""
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				value = v
			}
		}
		return value
	})
}

// execute runs a transient unit's command.
func (s *systemd) execute(ctx context.Context, u *unit, argv, env []string) {
	defer close(u.done)
	line := strings.Join(argv, " ")
	s.m.hook(s.power, Before, line)
	s.log(entry{unit: u.name, ident: "systemd", pid: 1, text: "Starting " + u.name + " - " + u.description + "..."})
	w := &journalWriter{s: s, e: entry{unit: u.name, invocation: u.invocation, ident: path.Base(argv[0])}}
	p := s.m.process(ctx, nil, argv, streams{nil, w, w}, "root")
	p.unit, p.dir, p.env = u.name, "/", append(slices.Clone(env), "INVOCATION_ID="+u.invocation)
	w.e.pid = p.pid
	s.mu.Lock()
	u.active, u.sub, u.pid, u.started = "activating", "start", p.pid, time.Now()
	if !u.oneshot {
		u.active, u.sub, u.job = "active", "running", 0
	}
	s.mu.Unlock()
	if u.timeout > 0 && u.oneshot {
		go func() {
			if s.m.Sleep(ctx, u.timeout) == nil {
				s.log(entry{unit: u.name, ident: "systemd", pid: 1, text: u.name + ": start operation timed out. Terminating."})
				u.end(errTimedOut)
			}
		}()
	}
	begun, ended := make(chan struct{}), make(chan status, 1)
	go func() {
		close(begun)
		do, err := s.m.lookUp(p, argv[0])
		if err != nil {
			do = func(*process) int { return 203 } // EXIT_EXEC
		}
		ended <- p.run(do)
	}()
	<-begun
	s.m.hook(s.power, During, line)
	end := <-ended
	w.flush()
	if s.power.Err() != nil {
		return
	}
	s.m.hook(s.power, After, line)
	s.finish(u, end, context.Cause(ctx))
}

// errStopped is why a unit's processes end when somebody stopped it.
var errStopped = errors.New("stopped")

// errTimedOut is why they end when a oneshot's start has taken too long.
var errTimedOut = fmt.Errorf("timed out: %w", signalled(syscall.SIGTERM))

// finish notes how a unit's main process ended.
func (s *systemd) finish(u *unit, end status, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.job, u.pid = 0, 0
	u.status, u.killed = end.code, false
	if end.signal != 0 {
		u.status, u.killed = end.signal, true
	}
	stopped := errors.Is(cause, errStopped)
	switch {
	case stopped:
		u.active, u.sub, u.result = "inactive", "dead", "success"
	case errors.Is(cause, errTimedOut):
		u.active, u.sub, u.result = "failed", "failed", "timeout"
	case end.signal != 0:
		u.active, u.sub, u.result = "failed", "failed", "signal"
	case end.code != 0:
		u.active, u.sub, u.result = "failed", "failed", "exit-code"
	case u.remain:
		u.active, u.sub, u.result = "active", "exited", "success"
	default:
		u.active, u.sub, u.result = "inactive", "dead", "success"
	}
	text := "Finished " + u.name + " - " + u.description + "."
	if u.active == "failed" {
		text = u.name + ": Failed with result '" + u.result + "'."
	}
	s.journal = append(s.journal, entry{at: time.Now(), unit: u.name, ident: "systemd", pid: 1, text: text})
	if u.transient && u.active == "inactive" {
		delete(s.units, u.name)
	}
}

func serviceName(name string) string {
	if !strings.Contains(path.Ext(name), "service") {
		name += ".service"
	}
	return name
}

// verbs of systemctl that change something, and how they are named in messages.
var changing = map[string]string{"start": "start", "stop": "stop", "restart": "restart", "reset-failed": "reset failed state of unit", "kill": "kill unit",
	"daemon-reload": "reload daemon", "reboot": "reboot"}

func systemctl(p *process) int {
	o, code := p.options("systemctl", optSpec{short: "p:s:aq", long: "property=,all,no-legend,no-pager,value,signal=,quiet,plain,no-block,full", exit: 1})
	if o == nil {
		return code
	}
	verb := "list-units"
	if len(o.args) > 0 {
		verb, o.args = o.args[0], o.args[1:]
	}
	s := p.m.systemd
	if said, ok := changing[verb]; ok && p.user != "root" {
		for _, name := range o.args {
			said += " " + serviceName(name)
		}
		return p.fail(4, "Failed to %s: Interactive authentication required.", said)
	}
	switch verb {
	case "show":
		return s.show(p, o)
	case "is-active", "is-failed":
		return s.query(p, o, verb)
	case "list-units":
		return s.list(p, o)
	case "daemon-reload":
		s.mu.Lock()
		s.reloaded = time.Now()
		s.mu.Unlock()
		return 0
	case "reboot":
		return reboot(p)
	case "start", "stop", "restart", "reset-failed", "kill":
		return s.each(p, o, verb)
	}
	return p.fail(1, "Unknown command verb %s.", verb)
}

func (s *systemd) unit(name string) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[serviceName(name)]
}

// each does a verb to every unit that is named. A pattern stands for the loaded ones that it matches, be it none.
func (s *systemd) each(p *process, o *opts, verb string) int {
	signal := syscall.SIGTERM
	if text := o.value("s", "signal"); text != "" {
		var ok bool
		if signal, ok = signals[strings.TrimPrefix(text, "SIG")]; !ok {
			return p.fail(1, "Failed to parse signal string %s.", text)
		}
	}
	if len(o.args) == 0 && verb == "reset-failed" {
		o.args = []string{"*"}
	}
	if len(o.args) == 0 {
		return p.fail(1, "Too few arguments.")
	}
	code := 0
	for _, arg := range o.args {
		names := []string{serviceName(arg)}
		if strings.ContainsAny(arg, "*?[") {
			names = nil
			s.mu.Lock()
			for name := range s.units {
				if ok, _ := path.Match(arg, name); ok {
					names = append(names, name)
				}
			}
			s.mu.Unlock()
			slices.Sort(names)
		}
		for _, name := range names {
			if c := s.one(p, verb, name, signal); c != 0 {
				code = c
			}
		}
	}
	return code
}

func (s *systemd) one(p *process, verb, name string, signal syscall.Signal) int {
	u := s.unit(name)
	if u == nil {
		switch verb {
		case "start", "restart":
			return p.fail(5, "Failed to %s %s: Unit %s not found.", verb, name, name)
		case "stop":
			return p.fail(5, "Failed to stop %s: Unit %s not loaded.", name, name)
		}
		return p.fail(1, "Failed to %s %s: Unit %s not loaded.", changing[verb], name, name)
	}
	switch verb {
	case "start", "restart":
		if name != kubeletService {
			return 0
		}
		if verb == "start" && s.is(u, "active") {
			return 0
		}
		s.stop(p, u)
		s.startKubelet(u)
		return 0
	case "stop":
		s.stop(p, u)
		return 0
	case "kill":
		s.mu.Lock()
		end := u.end
		s.mu.Unlock()
		if end == nil {
			return p.fail(1, "Failed to kill unit %s: No main process to kill", name)
		}
		if name == kubeletService {
			s.killKubelet(u, signal)
		} else {
			end(signalled(signal))
		}
		return 0
	}
	// reset-failed
	s.mu.Lock()
	defer s.mu.Unlock()
	u.restarts = 0
	if u.active == "failed" {
		u.active, u.sub, u.result = "inactive", "dead", "success"
		if u.transient {
			delete(s.units, name)
		}
	}
	return 0
}

// stop ends a unit's processes and waits for that.
func (s *systemd) stop(p *process, u *unit) {
	s.mu.Lock()
	end, done := u.end, u.done
	s.mu.Unlock()
	if end != nil {
		end(errStopped)
		select {
		case <-done:
		case <-p.ctx.Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.active == "failed" {
		return
	}
	u.active, u.sub, u.pid = "inactive", "dead", 0
	if u.transient && s.units[u.name] == u {
		delete(s.units, u.name)
	}
}

// show prints properties as systemctl does: those of the service first, in an order of its own, unknown ones not at all.
func (s *systemd) show(p *process, o *opts) int {
	if len(o.args) == 0 {
		return p.fail(1, "systemctl: only the properties of units are modelled")
	}
	var wanted []string
	for _, list := range append(o.set["property"], o.set["p"]...) {
		wanted = append(wanted, strings.Split(list, ",")...)
	}
	for i, name := range o.args {
		if i > 0 {
			p.printf("\n")
		}
		for _, kv := range s.properties(p, serviceName(name)) {
			if len(wanted) > 0 && !slices.Contains(wanted, kv[0]) {
				continue
			}
			if o.has("value") {
				p.printf("%s\n", kv[1])
			} else {
				p.printf("%s=%s\n", kv[0], kv[1])
			}
		}
	}
	return 0
}

func (s *systemd) properties(p *process, name string) [][2]string {
	s.mu.Lock()
	u, reloaded := s.units[name], s.reloaded
	load := "loaded"
	if u == nil {
		u, load = &unit{name: name, active: "inactive", sub: "dead", result: "success", description: name}, "not-found"
	}
	now := *u
	s.mu.Unlock()
	started, job, needReload, kind := "", "", "no", "simple"
	if !now.started.IsZero() {
		started = timestamp(now.started)
	}
	if now.job != 0 {
		job = strconv.Itoa(now.job)
	}
	if now.oneshot {
		kind = "oneshot"
	}
	if info, err := p.m.root.Stat(inside(kubeletUnitFile)); name == kubeletService && (err != nil || info.ModTime().After(reloaded)) {
		needReload = "yes"
	}
	code := 0
	if !now.started.IsZero() && now.pid == 0 {
		code = 1 // CLD_EXITED
		if now.killed {
			code = 2 // CLD_KILLED
		}
	}
	return [][2]string{
		{"Type", kind}, {"MainPID", strconv.Itoa(now.pid)}, {"Result", now.result}, {"NRestarts", strconv.Itoa(now.restarts)},
		{"ExecMainStartTimestamp", started}, {"ExecMainPID", strconv.Itoa(now.pid)}, {"ExecMainCode", strconv.Itoa(code)},
		{"ExecMainStatus", strconv.Itoa(now.status)}, {"Id", now.name}, {"Names", now.name}, {"Description", now.description},
		{"LoadState", load}, {"ActiveState", now.active}, {"SubState", now.sub}, {"Job", job}, {"NeedDaemonReload", needReload},
		{"InvocationID", now.invocation},
	}
}

// timestamp is how systemd prints a time; the machine is in UTC.
func timestamp(t time.Time) string { return t.UTC().Format("Mon 2006-01-02 15:04:05 UTC") }

func (s *systemd) query(p *process, o *opts, verb string) int {
	code := 3
	if verb == "is-failed" {
		code = 1
	}
	for _, name := range o.args {
		state := "inactive"
		if u := s.unit(name); u != nil {
			s.mu.Lock()
			state = u.active
			s.mu.Unlock()
		}
		if !o.has("quiet", "q") {
			p.printf("%s\n", state)
		}
		if state == strings.TrimPrefix(verb, "is-") {
			code = 0
		}
	}
	return code
}

func (s *systemd) list(p *process, o *opts) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, u := range s.units {
		matches := len(o.args) == 0
		for _, pattern := range o.args {
			ok, _ := path.Match(pattern, name)
			matches = matches || ok || serviceName(pattern) == name
		}
		if matches && (u.active != "inactive" || u.job != 0 || o.has("all", "a")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if !o.has("no-legend") {
		p.printf("  UNIT LOAD ACTIVE SUB DESCRIPTION\n")
	}
	for _, name := range names {
		u := s.units[name]
		mark := " "
		if u.active == "failed" {
			mark = "●"
		}
		p.printf("%s %s loaded %s %s %s\n", mark, name, u.active, u.sub, u.description)
	}
	if !o.has("no-legend") {
		p.printf("%d loaded units listed.\n", len(names))
	}
	return 0
}

// journalDelay is how long journald may take to make a message readable.
const journalDelay = 50 * time.Millisecond

func journalctl(p *process) int {
	o, code := p.options("journalctl", optSpec{short: "u:n:o:bqx", long: "sync,no-pager,output=,lines=,unit=,boot,quiet", exit: 1})
	if o == nil {
		return code
	}
	s := p.m.systemd
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.has("sync") {
		if p.user != "root" {
			return p.fail(1, "Failed to synchronize: Interactive authentication required.")
		}
		s.synced = len(s.journal)
		return 0
	}
	if p.user != "root" {
		fmt.Fprintln(p.err, "Hint: You are currently not seeing messages from other users and the system.\n      Users in groups 'adm', 'systemd-journal' can see all messages.\n      Pass -q to turn off this notice.")
	}
	matches := map[string]string{}
	for _, arg := range o.args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return p.fail(1, "Failed to add match '%s': Invalid argument", arg)
		}
		matches[key] = value
	}
	unitName := o.value("u", "unit")
	var lines []string
	for i, e := range s.journal {
		if i >= s.synced && time.Since(e.at) < journalDelay || p.user != "root" {
			continue
		}
		if unitName != "" && e.unit != serviceName(unitName) {
			continue
		}
		if v, ok := matches["_SYSTEMD_INVOCATION_ID"]; ok && (e.invocation != v || v == "") {
			continue
		}
		if v, ok := matches["_SYSTEMD_UNIT"]; ok && (e.unit != v || e.invocation == "") {
			continue
		}
		text := e.text
		if format := o.value("o", "output"); format != "cat" {
			text = fmt.Sprintf("%s %s %s[%d]: %s", e.at.UTC().Format("Jan 02 15:04:05"), s.m.opts.Name, e.ident, e.pid, e.text)
		}
		lines = append(lines, text)
	}
	if n, err := strconv.Atoi(o.value("n", "lines")); err == nil {
		lines = lines[max(0, len(lines)-n):]
	}
	if len(lines) == 0 && !o.has("quiet", "q") {
		lines = []string{"-- No entries --"}
	}
	for _, line := range lines {
		p.printf("%s\n", line)
	}
	return 0
}
