package binaries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var (
	v136 = upgrade.MustVersion("v1.36.3")
	v137 = upgrade.MustVersion("v1.37.2")
)

// world is a host in a temporary folder: real files, real commands and real processes; systemd is a model, and so are the
// databases of packages.
type world struct {
	t      testing.TB
	dir    string
	system *systemd
	mirror *httptest.Server
	log    string // of components that served without being a unit

	mu    sync.Mutex
	ran   []string
	cut   int // the number of the command before which the connection is lost; 0: never
	owned string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), system: &systemd{units: map[string]*unit{}, jobs: map[string]*jobUnit{}}}
	w.log = w.dir + "/served-outside"
	for _, folder := range []string{"bin", "units", "pawl", "mirror", "etc"} {
		if err := os.Mkdir(w.file(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.mirror = httptest.NewServer(http.FileServer(http.Dir(w.file("mirror"))))
	t.Cleanup(func() {
		w.mirror.Close()
		w.system.stopAll()
		if text, err := os.ReadFile(w.log); err == nil {
			t.Errorf("a component was started, and not by its unit: %s", text)
		}
	})
	return w
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// host is what is tried, made anew as after a restart of pawl.
func (w *world) host() *Host {
	h := New("cp1", "127.0.0.1", w)
	h.on.Poll = 5 * time.Millisecond
	h.folder, h.backups, h.patience = w.file("pawl/binaries"), w.file("pawl/backups"), 20*time.Second
	h.path = []string{w.file("bin")}
	return h
}

func (w *world) source() upgrade.BinarySource {
	return upgrade.BinarySource{Kubernetes: w.mirror.URL + "/release", Etcd: w.mirror.URL + "/etcd"}
}

// Run implements remote.Runner.
func (w *world) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	w.mu.Lock()
	w.ran = append(w.ran, strings.Join(cmd.Argv, " "))
	lost := w.cut > 0 && len(w.ran) >= w.cut
	w.mu.Unlock()
	if cmd.Root {
		w.record(cmd.Argv)
	}
	if lost {
		return remote.Result{}, fault.Wrap(fault.Unreachable, "connect to", "cp1", errors.New("connection lost"), "")
	}
	if err := ctx.Err(); err != nil {
		return remote.Result{}, fault.Wrap(fault.Unreachable, "connect to", "cp1", err, "")
	}
	return w.run(cmd.Argv, cmd.Stdin), nil
}

func (w *world) run(argv []string, stdin []byte) remote.Result {
	switch argv[0] {
	case "systemctl":
		return w.system.systemctl(argv[1:])
	case "systemd-run":
		return w.system.systemdRun(argv[1:], func(argv []string) remote.Result { return w.run(argv, nil) })
	case "journalctl":
		return w.system.journalctl(argv[1:])
	case "dpkg-query":
		if w.owned != "" && argv[len(argv)-1] == w.owned {
			return remote.Result{Stdout: "kubelet: " + w.owned + "\n"}
		}
		return remote.Result{ExitCode: 1, Stderr: "dpkg-query: no path found matching pattern"}
	case "rpm":
		return remote.Result{ExitCode: 127, Stderr: "sh: rpm: not found"}
	case "chown":
		return remote.Result{} // the test may not be root
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	r := remote.Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.ExitCode = exit.ExitCode()
	case err != nil:
		r.ExitCode, r.Stderr = 127, err.Error()
	}
	return r
}

// commands are those that were run since the last call.
func (w *world) commands() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ran := w.ran
	w.ran = nil
	return ran
}

// component writes a binary, and its unit with the flags, and starts it.
func (w *world) component(f fake, flags ...string) *unit {
	w.t.Helper()
	f.Log = w.log
	program := w.file("bin/" + f.Component)
	f.write(w.t, program)
	u := &unit{name: f.Component + ".service", fragment: w.file("units/" + f.Component + ".service"), argv: append([]string{program}, flags...)}
	text := "[Unit]\nDescription=x\n[Service]\nExecStart=" + program + " \\\n  " + strings.Join(flags, " \\\n  ") + "\nRestart=on-failure\n"
	w.write(u.fragment, text)
	w.system.mu.Lock()
	w.system.units[u.name] = u
	w.system.start(u)
	w.system.mu.Unlock()
	return u
}

// tool writes a binary without a unit.
func (w *world) tool(f fake) {
	f.Log = w.log
	f.write(w.t, w.file("bin/"+f.Component))
}

// release puts a binary into the mirror as Kubernetes lays it out.
func (w *world) release(f fake) {
	w.t.Helper()
	f.Log = w.log
	folder := w.file("mirror/release/" + f.Version + "/bin/linux/" + archs[uname(w.t)])
	if err := os.MkdirAll(folder, 0o755); err != nil {
		w.t.Fatal(err)
	}
	file := folder + "/" + f.Component
	f.write(w.t, file)
	w.write(file+".sha256", w.sum(file))
}

// etcdRelease puts an archive into the mirror as etcd lays it out.
func (w *world) etcdRelease(version string, fault string) {
	w.t.Helper()
	name := "etcd-" + version + "-linux-" + archs[uname(w.t)]
	inner, outer := w.file("tmp/"+name), w.file("mirror/etcd/"+version)
	for _, folder := range []string{inner, outer} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, c := range []string{upgrade.Etcd, upgrade.Etcdctl, upgrade.Etcdutl} {
		f := fake{Component: c, Version: version, Flags: etcdFlags, Log: w.log}
		if c == upgrade.Etcd {
			f.Fault = fault
		}
		f.write(w.t, inner+"/"+c)
	}
	archive := outer + "/" + name + ".tar.gz"
	if out, err := exec.Command("tar", "-czf", archive, "-C", w.file("tmp"), name).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v", out, err)
	}
	w.write(outer+"/SHA256SUMS", w.sum(archive)+"  "+name+".tar.gz\n"+strings.Repeat("0", 64)+"  other.tar.gz\n")
}

var etcdFlags = []string{"name", "advertise-client-urls"}

func (w *world) write(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sum(file string) string {
	w.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

func uname(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("uname", "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func freePort(t testing.TB) string {
	t.Helper()
	address, err := endpoint.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	return port
}

// running is the version of the process of a unit, read from its own file.
func (w *world) running(name string) string {
	w.system.mu.Lock()
	defer w.system.mu.Unlock()
	u := w.system.units[name]
	if u.process == nil {
		return u.active
	}
	out, err := exec.Command(fmt.Sprintf("/proc/%d/exe", u.process.Pid), "--version").Output()
	if err != nil {
		return err.Error()
	}
	v, _ := parseVersion(string(out))
	return v.String()
}

// hidden are the files that were left under names for what is not finished.
func (w *world) hidden() []string {
	found, err := filepath.Glob(w.file("bin/.*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(name string) bool { return filepath.Base(name) == "." || filepath.Base(name) == ".." })
}

func wantFault(t testing.TB, err error, kind fault.Kind, says ...string) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("%v, want %s", err, kind)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v, want %q", err, s)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("not one line: %q", err)
	}
}

// last is the n-th command since commands was called.
func (w *world) last(n int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ran[min(n, len(w.ran))-1]
}

func parsedVersion(program string) (upgrade.Version, error) {
	out, err := exec.Command(program, "--version").Output()
	v, _ := parseVersion(string(out))
	return v, err
}
