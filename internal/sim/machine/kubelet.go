package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	kubeletService  = "kubelet.service"
	kubeletUnitFile = "/usr/lib/systemd/system/kubelet.service"
	kubeletConfig   = "/var/lib/kubelet/config.yaml"
	kubeletDefaults = "/etc/default/kubelet"
	kubeletInstance = "/var/lib/kubelet/instance-config.yaml"
	kubeletFlags    = "/var/lib/kubelet/kubeadm-flags.env"
)

// kubeletState is the kubelet's process as its healthz endpoint and the machine know it.
type kubeletState struct {
	healthy bool
	version upgrade.Version
	last    chan struct{} // closed when the last process of the kubelet has ended
}

// removedFlags are flags that kubelets do not know any more since a minor. A kubelet does not start with a flag that
// it does not know (cmd/kubelet/app/server.go).
var removedFlags = []struct {
	flag  string
	since uint64
}{
	{"--network-plugin", 24}, {"--container-runtime", 27}, {"--register-schedulable", 34}, {"--pod-infra-container-image", 35},
	{"--containerd", 37},
}

// restartPause is how long systemd waits before it starts a crashed kubelet again (RestartSec of kubeadm's unit).
const restartPause = 10 * time.Second

// startKubelet starts the service and returns when its process runs, as systemctl does for Type=simple.
func (s *systemd) startKubelet(u *unit) {
	ctx, end := context.WithCancelCause(s.power)
	done := make(chan struct{})
	s.mu.Lock()
	u.end, u.done = end, done
	u.restarts = 0
	s.mu.Unlock()
	begun := make(chan struct{})
	go s.keepKubelet(ctx, u, done, begun)
	select {
	case <-begun:
	case <-done:
	}
}

// keepKubelet runs kubelets one after another until the service is stopped.
func (s *systemd) keepKubelet(ctx context.Context, u *unit, done, begun chan struct{}) {
	defer close(done)
	for first := true; ; first = false {
		processCtx, kill := context.WithCancelCause(ctx)
		p := s.m.process(processCtx, nil, []string{"/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=" + kubeletConfig}, streams{}, "root")
		p.unit = kubeletService
		p.exe, _ = s.m.root.Stat("usr/bin/kubelet")
		s.mu.Lock()
		u.invocation = invocationID()
		w := &journalWriter{s: s, e: entry{unit: u.name, invocation: u.invocation, ident: "kubelet", pid: p.pid}}
		p.out, p.err = pipe{p, w}, pipe{p, w}
		u.active, u.sub, u.result, u.pid, u.started = "active", "running", "success", p.pid, time.Now()
		u.kill(kill)
		s.mu.Unlock()
		if first {
			close(begun)
		}
		end := p.run(kubeletProcess)
		w.flush()
		kill(nil)
		if s.power.Err() != nil {
			return
		}
		stopped := ctx.Err() != nil
		s.mu.Lock()
		u.pid, u.status, u.killed = 0, end.code, end.signal != 0
		if u.killed {
			u.status = end.signal
		}
		if stopped {
			u.active, u.sub, u.result = "inactive", "dead", "success"
			s.mu.Unlock()
			return
		}
		u.active, u.sub, u.result = "activating", "auto-restart", "exit-code"
		if u.killed {
			u.result = "signal"
		}
		s.mu.Unlock()
		s.log(entry{unit: u.name, ident: "systemd", pid: 1, text: "kubelet.service: Failed with result '" + u.result + "'."})
		if s.m.Sleep(ctx, restartPause) != nil {
			if s.power.Err() == nil {
				s.mu.Lock()
				u.active, u.sub, u.result = "inactive", "dead", "success"
				s.mu.Unlock()
			}
			return
		}
		s.mu.Lock()
		u.restarts++
		s.mu.Unlock()
	}
}

// kill notes how the present process is killed, apart from the service being stopped.
func (u *unit) kill(kill context.CancelCauseFunc) { u.killProcess = kill }

func (s *systemd) killKubelet(u *unit, signal syscall.Signal) {
	s.mu.Lock()
	kill := u.killProcess
	s.mu.Unlock()
	if kill != nil {
		kill(signalled(signal))
	}
}

// kubeletProcess is what a kubelet does.
func kubeletProcess(p *process) int {
	m := p.m
	// The work of an earlier kubelet may take a moment to end.
	m.mu.Lock()
	last := m.kubelet.last
	mine := make(chan struct{})
	m.kubelet.last = mine
	delay := m.faults.kubeletDelay
	m.mu.Unlock()
	defer close(mine)
	if last != nil {
		<-last
	}
	v, err := m.binaryVersion("kubelet")
	if err != nil {
		return 203
	}
	if code := p.kubeletRefuses(v); code != 0 {
		p.sleep(300 * time.Millisecond)
		return code
	}
	if !p.sleep(time.Second + delay) {
		return 1
	}
	m.setKubelet(true, v)
	defer m.setKubelet(false, v)
	p.printf("I1124 00:00:00.000000 %d server.go:500] \"Kubelet version\" kubeletVersion=\"%s\"\n", p.pid, v)
	if m.opts.Kubelet == nil {
		<-p.ctx.Done()
		return 1
	}
	if err := m.opts.Kubelet(p.ctx, m, v); err != nil && p.ctx.Err() == nil {
		p.printf("E1124 00:00:00.000000 %d run.go:72] \"command failed\" err=%q\n", p.pid, err)
	}
	return 1
}

// kubeletRefuses is the exit code of a kubelet that does not start, 0 when it does.
func (p *process) kubeletRefuses(v upgrade.Version) int {
	var flags string
	for _, name := range []string{kubeletFlags, kubeletDefaults} {
		content, err := p.readFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return p.fail(1, "kubelet.service: Failed to load environment files: %v", err)
		}
		flags += string(content) + "\n"
	}
	for _, word := range strings.FieldsFunc(flags, func(r rune) bool { return strings.ContainsRune(" \t\n\"'", r) }) {
		word = strings.TrimPrefix(strings.TrimPrefix(word, "KUBELET_KUBEADM_ARGS="), "KUBELET_EXTRA_ARGS=")
		name, _, _ := strings.Cut(word, "=")
		for _, r := range removedFlags {
			if name == r.flag && v.AtLeastMinor(1, r.since) {
				return p.fail(1, "E1124 00:00:00.000000 %d run.go:72] \"command failed\" err=\"failed to parse kubelet flag: unknown flag: %s\"", p.pid, name)
			}
		}
	}
	config, err := p.readFile(kubeletConfig)
	if err != nil {
		return p.fail(1, "E1124 00:00:00.000000 %d run.go:72] \"command failed\" err=\"failed to load kubelet config file, path: %s, error: open %s: no such file or directory\"",
			p.pid, kubeletConfig, kubeletConfig)
	}
	var c struct {
		Kind         string `json:"kind"`
		FailCgroupV1 *bool  `json:"failCgroupV1"`
	}
	if err := yaml.Unmarshal(config, &c); err != nil || c.Kind != "KubeletConfiguration" {
		return p.fail(1, "E1124 00:00:00.000000 %d run.go:72] \"command failed\" err=\"failed to load kubelet config file, path: %s\"", p.pid, kubeletConfig)
	}
	if fails := c.FailCgroupV1 == nil && v.AtLeastMinor(1, 35) || c.FailCgroupV1 != nil && *c.FailCgroupV1; fails && p.m.opts.CgroupV1 {
		return p.fail(1, "E1124 00:00:00.000000 %d run.go:72] \"command failed\" err=\"failed to validate kubelet configuration, error: kubelet is configured to not run on a host "+
			"using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release, path: &TypeMeta{Kind:,APIVersion:,}\"", p.pid)
	}
	return 0
}

func (m *Machine) setKubelet(healthy bool, v upgrade.Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kubelet.healthy, m.kubelet.version = healthy, v
}

// KubeletRuns reports whether the kubelet works, and which one.
func (m *Machine) KubeletRuns() (upgrade.Version, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kubelet.version, m.power != nil && m.kubelet.healthy
}

// CrashKubelet ends the kubelet's process; systemd starts it again.
func (m *Machine) CrashKubelet() {
	m.mu.Lock()
	s := m.systemd
	up := m.power != nil
	m.mu.Unlock()
	if up {
		s.killKubelet(s.unit(kubeletService), syscall.SIGKILL)
	}
}

// binary is the content of a program of Kubernetes: its version is in it, so that what runs is what is on disk.
func binary(name string, v upgrade.Version) []byte {
	return fmt.Appendf(nil, "#!/usr/bin/false\nsimulated %s %s\n", name, v)
}

func (m *Machine) binaryVersion(name string) (upgrade.Version, error) {
	content, err := m.ReadFile("/usr/bin/" + name)
	if err != nil {
		return upgrade.Version{}, err
	}
	words := strings.Fields(string(content))
	return upgrade.ParseVersion(words[len(words)-1])
}

// kubeletProgram is the kubelet called by hand.
func kubeletProgram(p *process) int {
	v, err := p.m.binaryVersion("kubelet")
	if err != nil {
		return 126
	}
	if len(p.argv) == 2 && p.argv[1] == "--version" {
		p.printf("Kubernetes %s\n", v)
		return 0
	}
	return p.fail(1, "E1124 00:00:00.000000 %d run.go:72] \"command failed\" err=\"failed to parse kubelet flag: unknown flag: %s\"", p.pid, path.Base(strings.Join(p.argv[1:], " ")))
}

// curl asks the kubelet's healthz endpoint, the only one that answers on this machine.
func curl(p *process) int {
	o, code := p.options("curl", optSpec{short: "sSfm:", long: "silent,show-error,fail,max-time=,noproxy=", exit: 2})
	if o == nil {
		return code
	}
	if len(o.args) != 1 {
		return p.fail(2, "curl: no URL specified!\ncurl: try 'curl --help' or 'curl --manual' for more information")
	}
	url := o.args[0]
	address, rest, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	host, port, _ := strings.Cut(address, ":")
	p.m.mu.Lock()
	runs, unhealthy := p.m.kubelet.healthy, p.m.faults.unhealthy
	p.m.mu.Unlock()
	served := p.m.healthzPort()
	if !runs || host != "127.0.0.1" && host != "localhost" || port != served {
		return p.fail(7, "curl: (7) Failed to connect to %s port %s after 0 ms: Couldn't connect to server", host, port)
	}
	switch {
	case rest == "healthz" && !unhealthy:
		p.printf("ok")
		return 0
	case rest == "healthz":
		return p.fail(22, "curl: (22) The requested URL returned error: 500")
	}
	return p.fail(22, "curl: (22) The requested URL returned error: 404")
}

func (m *Machine) healthzPort() string {
	content, _ := m.ReadFile(kubeletConfig)
	var c struct {
		Port *int `json:"healthzPort"`
	}
	if err := yaml.Unmarshal(content, &c); err != nil || c.Port == nil {
		return "10248"
	}
	return fmt.Sprint(*c.Port)
}
