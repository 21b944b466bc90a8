// Package machine models a node's machine: a Debian or RPM host with a disk, processes, systemd, packages, kubeadm and
// a kubelet, behind one command line at a time, as sshd hands it to a login shell.
//
// Rule: the model refuses what the real thing refuses, in its words and with its exit code. What it does not know it
// refuses too: a program that is not there is not found, an option that is not modelled is an unknown one. Where the
// model and a real node differ, the real node is right; internal/host runs the same checks over both.
//
// The disk is a folder of real files, so that people can look at it. Everything else ends with the power.
package machine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Distro is a family of operating systems.
type Distro string

// The distributions.
const (
	Debian Distro = "debian" // Debian 12 (bookworm): apt 2.6, dpkg, systemd 252
	Rocky  Distro = "rocky"  // Rocky Linux 9: dnf 4, rpm
	SUSE   Distro = "suse"   // openSUSE Leap 15: zypper 1.14, rpm
)

// Repository is where the packages of Kubernetes are when Options name no other place.
const Repository = "https://pkgs.k8s.io/core:/stable:"

// Options say what machine to make.
type Options struct {
	Name       string            // of the node and of the host
	Dir        string            // folder of the machine's disk
	Distro     Distro            // "" is Debian
	Role       upgrade.Role      // "" is a worker
	Version    upgrade.Version   // of the installed packages, which are held, and of the static pods
	Offered    []upgrade.Version // what the package repositories have, each in the folder of its minor
	Repository string            // base address of those folders; "" is Repository
	Endpoint   string            // host:port of this node's API server; "" is 10.0.0.1:6443
	CgroupV1   bool              // the machine has version 1 control groups
	// API is the cluster as programs on this machine reach it. It may be nil: nobody answers.
	API func() kubernetes.Interface
	// Kubelet is the kubelet's process: it runs until ctx ends. Returning earlier is a crash. nil: one that does nothing.
	Kubelet func(ctx context.Context, m *Machine, v upgrade.Version) error
	// Pace is the factor on all simulated durations: 1 is as on a small real node, 0.01 is fast. 0 is 1.
	Pace float64
	// Hook is told of every command line and at named points of long ones. It may cut connections, change the machine
	// or switch it off; ctx ends with the power.
	Hook func(ctx context.Context, e Event)
}

// Event is a moment in the life of a command.
type Event struct {
	Machine *Machine
	When    When
	What    string // the command line, or the name of a point
}

// When says where in its life a command is.
type When string

// The moments. During comes when the command has begun: its effect happens all the same. At is a named point within
// a command, which stands still there until the hook returns.
const (
	Before When = "before"
	During When = "during"
	After  When = "after"
	At     When = "at"
)

// Machine is one machine. Its methods may be used concurrently, and from hooks.
type Machine struct {
	opts Options
	root *os.Root

	disk sync.RWMutex // held for reading by whoever changes the disk, for writing while the power goes

	mu        sync.Mutex
	closed    bool
	power     context.Context // nil while switched off
	cut       context.CancelFunc
	bootTime  time.Time
	bootID    string
	boots     int
	watchers  []func(up bool)
	processes map[int]*process
	lastPID   int
	systemd   *systemd
	locks     map[string]int // lock files and the processes that hold them
	kubelet   kubeletState
	faults    faults
}

// faults are what is wrong with a machine on purpose. They outlive a reboot.
type faults struct {
	slow           float64
	diskFull       bool
	packagesLocked bool
	kubeletDelay   time.Duration
	unhealthy      bool
	clockAhead     time.Duration
}

// New makes a machine, switched off, with the disk that `kubeadm init` or `kubeadm join` leaves. A disk that is there
// already is kept as it is.
func New(o Options) (*Machine, error) {
	if o.Name == "" || o.Dir == "" || o.Version.IsZero() {
		return nil, errors.New("make machine: name, folder and version are needed")
	}
	if o.Distro == "" {
		o.Distro = Debian
	}
	if o.Role == "" {
		o.Role = upgrade.Worker
	}
	if o.Repository == "" {
		o.Repository = Repository
	}
	if o.Endpoint == "" {
		o.Endpoint = "10.0.0.1:6443"
	}
	if o.Pace == 0 {
		o.Pace = 1
	}
	o.Offered = slices.Clone(o.Offered)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, err
	}
	m := &Machine{opts: o, root: root, locks: map[string]int{}, processes: map[int]*process{}, faults: faults{slow: 1}}
	if _, err := root.Stat("etc/os-release"); err == nil {
		return m, nil
	}
	if err := m.layOut(); err != nil {
		return nil, fmt.Errorf("lay out the disk of %s: %w", o.Name, err)
	}
	return m, nil
}

// Close switches the machine off for good and lets go of its disk.
func (m *Machine) Close() error {
	m.mu.Lock()
	m.closed = true // a reboot may be under way
	m.mu.Unlock()
	m.Stop()
	return m.root.Close()
}

// Name is the name of the node.
func (m *Machine) Name() string { return m.opts.Name }

// Options are what the machine was made of.
func (m *Machine) Options() Options { return m.opts }

// FS is the machine's disk; its paths have no leading slash.
func (m *Machine) FS() *os.Root { return m.root }

// Start switches the machine on. Nothing of an earlier boot is left but the disk.
func (m *Machine) Start() {
	m.mu.Lock()
	if m.power != nil || m.closed {
		m.mu.Unlock()
		return
	}
	m.power, m.cut = context.WithCancel(context.Background())
	m.boots++
	m.bootTime = time.Now()
	m.bootID = uuid()
	m.processes, m.lastPID = map[int]*process{}, 1
	m.locks = map[string]int{}
	m.systemd = newSystemd(m, m.power)
	m.bootDisk()
	watchers := slices.Clone(m.watchers)
	s := m.systemd
	locked := m.faults.packagesLocked
	m.mu.Unlock()
	if locked {
		m.LockPackages(true)
	}
	s.boot()
	for _, watch := range watchers {
		watch(true)
	}
}

// Stop takes the power away: no process does anything to the disk any more once it has returned.
func (m *Machine) Stop() {
	m.disk.Lock() // nobody is in the middle of a write
	m.mu.Lock()
	cut := m.cut
	watchers := slices.Clone(m.watchers)
	m.power, m.cut = nil, nil
	m.mu.Unlock()
	if cut != nil {
		cut()
	}
	m.disk.Unlock()
	if cut == nil {
		return
	}
	for _, watch := range watchers {
		watch(false)
	}
}

// Reboot stops the machine and starts it again after down, scaled by Pace. It does not wait for the start.
func (m *Machine) Reboot(down time.Duration) {
	m.Stop()
	time.AfterFunc(m.scale(down), m.Start)
}

// Up reports whether the machine has power.
func (m *Machine) Up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.power != nil
}

// Watch has f told whenever the power comes or goes, and now.
func (m *Machine) Watch(f func(up bool)) {
	m.mu.Lock()
	m.watchers = append(m.watchers, f)
	up := m.power != nil
	m.mu.Unlock()
	f(up)
}

// BootTime is when the machine was started last.
func (m *Machine) BootTime() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bootTime
}

// BootID is the kernel's id of this boot.
func (m *Machine) BootID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bootID
}

// Run runs one command line as sshd hands it to the user's login shell, and returns its exit code; 128 + the signal's
// number when a signal ended it, -1 when there is no power. ctx is the connection: a command that has not begun when
// it ends does not begin, and one that has begun goes on, as under sshd, until it writes to the connection.
func (m *Machine) Run(ctx context.Context, line, user string, stdin io.Reader, stdout, stderr io.Writer) int {
	m.mu.Lock()
	power := m.power
	m.mu.Unlock()
	if power == nil {
		return -1
	}
	m.hook(power, Before, line)
	if ctx.Err() != nil || power.Err() != nil {
		return -1
	}
	p := m.process(power, nil, []string{"sh", "-c", line}, streams{stdin, stdout, stderr}, user)
	begun, done := make(chan struct{}), make(chan status, 1)
	go func() {
		close(begun)
		done <- p.run(programs["sh"])
	}()
	<-begun
	m.hook(power, During, line)
	end := <-done
	if power.Err() != nil {
		return -1
	}
	m.hook(power, After, line)
	return end.exitCode()
}

func (m *Machine) hook(ctx context.Context, when When, what string) {
	if m.opts.Hook != nil && ctx.Err() == nil {
		m.opts.Hook(ctx, Event{Machine: m, When: when, What: what})
	}
}

// Sleep waits for d on a real node, scaled by Pace and by the machine's slowness.
func (m *Machine) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	timer := time.NewTimer(m.scale(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Machine) scale(d time.Duration) time.Duration {
	m.mu.Lock()
	slow := m.faults.slow
	m.mu.Unlock()
	return time.Duration(float64(d) * m.opts.Pace * slow)
}

// patience is d scaled, but not below what a real API server on a busy machine needs: what is waited for does not get
// faster by the same factor.
func (m *Machine) patience(d time.Duration) time.Duration {
	return max(m.scale(d), min(d, 5*time.Second))
}

// SetSlow makes everything take factor times as long.
func (m *Machine) SetSlow(factor float64) { m.fault(func(f *faults) { f.slow = factor }) }

// FillDisk fills the disk, or makes room again. /run is in memory and never full.
func (m *Machine) FillDisk(full bool) { m.fault(func(f *faults) { f.diskFull = full }) }

// DelayKubelet makes a kubelet that starts do nothing for d, scaled.
func (m *Machine) DelayKubelet(d time.Duration) { m.fault(func(f *faults) { f.kubeletDelay = d }) }

// SetClock lets the machine's clock go wrong by so much, as date(1) shows it. Nothing else on the machine follows it.
func (m *Machine) SetClock(ahead time.Duration) { m.fault(func(f *faults) { f.clockAhead = ahead }) }

// SetHealthz makes the kubelet's healthz endpoint say no, or the truth again.
func (m *Machine) SetHealthz(ok bool) { m.fault(func(f *faults) { f.unhealthy = !ok }) }

// LockPackages takes the package manager's lock as unattended-upgrades does (on RPM hosts PackageKit), or gives it back.
func (m *Machine) LockPackages(locked bool) {
	m.fault(func(f *faults) {
		f.packagesLocked = locked
		lock := m.packageLock()
		holder, held := m.locks[lock]
		switch {
		case locked && !held && m.power != nil:
			m.lastPID++
			m.locks[lock] = m.lastPID
		case !locked && held && m.processes[holder] == nil:
			delete(m.locks, lock)
		}
	})
}

func (m *Machine) packageLock() string {
	if m.opts.Distro == Debian {
		return frontendLock
	}
	return rpmLock
}

func (m *Machine) fault(change func(*faults)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.faults)
}

// ReadFile reads a file of the disk; paths are absolute.
func (m *Machine) ReadFile(name string) ([]byte, error) { return m.root.ReadFile(inside(name)) }

// WriteFile writes a file of the disk, with the folders above it.
func (m *Machine) WriteFile(name string, content []byte, mode os.FileMode) error {
	if err := m.root.MkdirAll(inside(path.Dir(name)), 0o755); err != nil {
		return err
	}
	if err := m.root.WriteFile(inside(name), content, mode); err != nil {
		return err
	}
	return m.root.Chmod(inside(name), mode) // whatever the umask of this process
}

// Rename renames within the disk.
func (m *Machine) Rename(from, to string) error { return m.root.Rename(inside(from), inside(to)) }

// Remove removes a file or a whole folder.
func (m *Machine) Remove(name string) error { return m.root.RemoveAll(inside(name)) }

// Exists reports whether there is something at the path.
func (m *Machine) Exists(name string) bool {
	_, err := m.root.Lstat(inside(name))
	return err == nil
}

func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
