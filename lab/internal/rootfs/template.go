package rootfs

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// templateRecipe changes whenever what Template writes changes.
const templateRecipe = "2"

//go:embed files/containerd.service
var containerdUnit string

// masked units would write the shared kernel's settings, sit on the machine's
// consoles and devices, or do housekeeping that a lab does not need.
var masked = []string{
	"systemd-sysctl.service", "systemd-modules-load.service", "systemd-remount-fs.service", "systemd-random-seed.service",
	"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
	"systemd-logind.service", "systemd-timesyncd.service", "systemd-networkd.service", "systemd-resolved.service",
	"systemd-binfmt.service", "systemd-update-utmp.service", "nftables.service", "e2scrub_reap.service",
	"getty@tty1.service", "console-getty.service", "serial-getty@ttyS0.service",
	"dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
	"sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount",
	"systemd-journald-audit.socket", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer",
	"dpkg-db-backup.timer", "fstrim.timer",
}

// AdminUser is the user besides root that may log in; it has sudo.
const AdminUser = "admin"

// TemplateDir is the template with a given version of containerd.
func TemplateDir(h home.Home, containerd string) string {
	return h.Cache("template-" + containerd + "-r" + templateRecipe)
}

// Template makes the template: the bare Debian with containerd and the lab's
// settings. containerdDir holds the container runtime's programs.
func Template(h home.Home, containerd, containerdDir string) (bool, error) {
	return home.Once(TemplateDir(h, containerd), func(tmp string) error {
		if err := os.Remove(tmp); err != nil {
			return err
		}
		if err := Copy(BaseDir(h), tmp); err != nil {
			return err
		}
		if err := addUser(tmp); err != nil {
			return err
		}
		for _, drop := range []string{"etc/machine-id", "etc/hostname", "etc/resolv.conf", "etc/apt/sources.list"} {
			if err := os.Remove(filepath.Join(tmp, drop)); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		keys, err := filepath.Glob(filepath.Join(tmp, "etc/ssh/ssh_host_*"))
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := os.Remove(k); err != nil {
				return err
			}
		}
		if err := install(containerdDir, filepath.Join(tmp, "usr/local/bin")); err != nil {
			return err
		}
		if err := writeSettings(tmp); err != nil {
			return err
		}
		return linkUnits(tmp)
	})
}

// Copy copies a root filesystem with all its attributes.
func Copy(from, to string) error {
	// It ends when this process does: else it would go on writing where the next
	// attempt does. The kernel counts the end of the thread as that of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("cp", "-a", "--reflink=auto", from, to)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy root filesystem: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// addUser adds the administrator with Debian's own tool.
func addUser(root string) error {
	cmd := exec.Command("/usr/sbin/useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", AdminUser)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("add user %s: %w: %s", AdminUser, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// install copies every program of a folder.
func install(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		return err
	}
	out, err := exec.Command("cp", append(append([]string{"--"}, files...), to)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy programs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func writeSettings(root string) error {
	registry := fmt.Sprintf("http://%s:%d", topology.Gateway, topology.RegistryPort)
	files := []File{
		{Path: "etc/fstab", Content: "", Mode: 0o644},
		{Path: "etc/hosts", Content: topology.Hosts(), Mode: 0o644},
		{Path: "etc/resolv.conf", Content: "nameserver " + topology.Gateway + "\n", Mode: 0o644},
		{Path: "etc/systemd/system/containerd.service", Content: containerdUnit, Mode: 0o644},
		{Path: "etc/containerd/certs.d/registry.k8s.io/hosts.toml", Content: fmt.Sprintf("server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", registry, registry), Mode: 0o644},
		{Path: "etc/crictl.yaml", Content: "runtime-endpoint: unix:///run/containerd/containerd.sock\n", Mode: 0o644},
		{Path: "etc/systemd/journald.conf.d/pawl-lab.conf", Content: "[Journal]\nReadKMsg=no\nForwardToConsole=no\nStorage=persistent\nSystemMaxUse=200M\n", Mode: 0o644},
		{Path: "etc/ssh/sshd_config.d/pawl-lab.conf", Content: "UseDNS no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\n", Mode: 0o644},
		{Path: "etc/sudoers.d/pawl-lab", Content: AdminUser + " ALL=(ALL) NOPASSWD: ALL\n", Mode: 0o440},
		{Path: "etc/apt/apt.conf.d/99pawl-lab", Content: "Acquire::Languages \"none\";\nAPT::Install-Recommends \"false\";\n", Mode: 0o644},
		// A lab's disk does not outlive the machine: no need to wait for it.
		{Path: "etc/dpkg/dpkg.cfg.d/pawl-lab", Content: "force-unsafe-io\n", Mode: 0o644},
	}
	if err := Write(root, files); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(root, "var/log/journal"), 0o755)
}

func linkUnits(root string) error {
	const units = "etc/systemd/system/"
	links := []File{
		Wanted("containerd.service", "/etc/systemd/system/containerd.service"),
		Wanted("ssh.service", "/lib/systemd/system/ssh.service"),
		{Path: units + "default.target", Link: "/lib/systemd/system/multi-user.target"},
	}
	for _, u := range masked {
		links = append(links, File{Path: units + u, Link: "/dev/null"})
	}
	return Write(root, links)
}

// Wanted is what starts a unit at boot.
func Wanted(unit, file string) File {
	return File{Path: "etc/systemd/system/multi-user.target.wants/" + unit, Link: file}
}
