package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pawl-dev/pawl/lab/internal/cgroup"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Init is a node's first process, in fresh mount, pid, uts and ipc namespaces
// and the node's network. It builds what a booting machine finds (control
// groups, /proc, /sys, /dev), changes into the node's disk and becomes systemd.
func Init(root string, n topology.Node) error {
	runtime.LockOSThread() // namespaces belong to threads
	steps := []struct {
		name string
		run  func() error
	}{
		{"control groups", func() error { return ownCgroup(n) }},
		{"private mounts", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"disk", func() error { return unix.Mount(root, root, "", unix.MS_BIND, "") }},
		{"host name", func() error { return unix.Sethostname([]byte(n)) }},
		{"/proc and /sys", func() error { return mountAll(root, kernelMounts) }},
		{"control group mounts", func() error { return mountCgroups(root) }},
		{"/dev", func() error { return devices(root) }},
		{"/run", func() error { return mountAll(root, runMounts) }},
		{"kernel settings", func() error { return kernelSettings(root) }},
		{"root", func() error { return changeRoot(root) }},
		{"packet filter", flushPacketFilter},
		{"systemd", becomeSystemd},
	}
	for _, s := range steps {
		if err := s.run(); err != nil {
			return fmt.Errorf("boot %s: %s: %w", n, s.name, err)
		}
	}
	return nil
}

// ownCgroup enters the node's control group and makes it the root that the
// node sees.
func ownCgroup(n topology.Node) error {
	if err := cgroup.Enter(n.Cgroup(), 0); err != nil {
		return err
	}
	return unix.Unshare(unix.CLONE_NEWCGROUP)
}

type mount struct {
	fs, target string
	flags      uintptr
	data       string
}

const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

var (
	kernelMounts = []mount{
		{"proc", "proc", quiet, ""},
		{"sysfs", "sys", quiet, ""},
	}
	runMounts = []mount{
		{"tmpfs", "run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", "run/lock", quiet, "mode=1777"},
	}
	deviceMounts = []mount{
		{"devpts", "dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"tmpfs", "dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"mqueue", "dev/mqueue", quiet, ""},
	}
)

func mountAll(root string, mounts []mount) error {
	for _, m := range mounts {
		target := filepath.Join(root, m.target)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, target, m.fs, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// mountCgroups shows the node its own control groups where systemd looks for
// them, in the machine's version.
func mountCgroups(root string) error {
	hs, err := cgroup.Discover()
	if err != nil {
		return err
	}
	if !cgroup.V1() {
		return mountAll(root, []mount{{"cgroup2", "sys/fs/cgroup", quiet, ""}})
	}
	if err := mountAll(root, []mount{{"tmpfs", "sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=755"}}); err != nil {
		return err
	}
	hasSystemd := false
	for _, h := range hs {
		if h.Version != 1 {
			continue // beside version 1 the unified tree has no controllers
		}
		data := h.Options
		if strings.HasPrefix(data, "name=") {
			data = "none," + data
		}
		hasSystemd = hasSystemd || h.Options == "name=systemd"
		if err := mountAll(root, []mount{{"cgroup", "sys/fs/cgroup/" + h.Name(), quiet, data}}); err != nil {
			return err
		}
		for _, c := range strings.Split(h.Options, ",") {
			if c != h.Name() && !strings.Contains(c, "=") {
				if err := os.Symlink(h.Name(), filepath.Join(root, "sys/fs/cgroup", c)); err != nil {
					return err
				}
			}
		}
	}
	if !hasSystemd {
		return mountAll(root, []mount{{"cgroup", "sys/fs/cgroup/systemd", quiet, "none,name=systemd"}})
	}
	return nil
}

// devices makes a /dev with what containers need and none of the machine's
// hardware.
func devices(root string) error {
	if err := mountAll(root, []mount{{"tmpfs", "dev", unix.MS_NOSUID, "mode=755"}}); err != nil {
		return err
	}
	dev := filepath.Join(root, "dev")
	if err := os.Mkdir(filepath.Join(dev, "net"), 0o755); err != nil {
		return err
	}
	for _, d := range []struct {
		name         string
		major, minor uint32
		mode         uint32
	}{
		{"null", 1, 3, 0o666}, {"zero", 1, 5, 0o666}, {"full", 1, 7, 0o666}, {"random", 1, 8, 0o666}, {"urandom", 1, 9, 0o666},
		{"kmsg", 1, 11, 0o644}, {"tty", 5, 0, 0o666}, {"fuse", 10, 229, 0o666}, {"net/tun", 10, 200, 0o666},
	} {
		p := filepath.Join(dev, d.name)
		if err := unix.Mknod(p, unix.S_IFCHR|d.mode, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make %s: %w", d.name, err)
		}
		if err := os.Chmod(p, os.FileMode(d.mode)); err != nil {
			return err
		}
	}
	for link, to := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(to, filepath.Join(dev, link)); err != nil {
			return err
		}
	}
	return mountAll(root, deviceMounts)
}

// sharedSettings are the whole machine's, and the kubelet would set them. The
// node sees files of its own that already say what the kubelet wants.
var sharedSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// kernelSettings hides the shared settings and sets the node's own.
func kernelSettings(root string) error {
	fakes := filepath.Join(root, "run/pawl-lab-sysctl")
	if err := os.Mkdir(fakes, 0o755); err != nil {
		return err
	}
	id, err := uuid()
	if err != nil {
		return err
	}
	values := map[string]string{"kernel/random/boot_id": id} // each start is a boot of its own
	for k, v := range sharedSettings {
		values[k] = v
	}
	for name, value := range values {
		target := filepath.Join(root, "proc/sys", name)
		if _, err := os.Stat(target); err != nil {
			continue
		}
		fake := filepath.Join(fakes, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(fake, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(fake, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hide %s: %w", name, err)
		}
	}
	// These are the network namespace's, so the node's own.
	for _, name := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		p := filepath.Join(root, "proc/sys", name)
		if _, err := os.Stat(p); err != nil {
			continue
		}
		if err := os.WriteFile(p, []byte("1\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// changeRoot leaves the machine's filesystems behind.
func changeRoot(root string) error {
	old := filepath.Join(root, ".old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return err
	}
	_ = os.Remove("/.old")
	// As systemd makes it on a real machine; volumes in pods count on it.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// flushPacketFilter forgets the rules of an earlier boot, which outlive it in
// the network namespace.
func flushPacketFilter() error {
	if out, err := exec.Command("/usr/sbin/nft", "flush", "ruleset").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func becomeSystemd() error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
	}
	env := []string{"container=pawl-lab", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, env)
}
