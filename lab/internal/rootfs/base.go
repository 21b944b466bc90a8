// Package rootfs makes the nodes' root filesystem: Debian with systemd, and
// the template that nodes are copied from. Rule: nothing in it is particular
// to one node or one running lab.
package rootfs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// Release is the Debian release that the nodes run.
const Release = "bookworm"

// packages are what a Debian machine has by default and what kubeadm's
// documentation asks for.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "curl", "gnupg",
	"iproute2", "iputils-ping", "iptables", "nftables", "ebtables", "conntrack", "ethtool", "socat", "tcpdump",
	"kmod", "mount", "util-linux", "procps", "psmisc", "runc", "less", "jq", "bash-completion",
}

// BaseDir is the bare Debian.
func BaseDir(h home.Home) string { return h.Cache("rootfs-" + Release) }

// Base makes the bare Debian.
func Base(ctx context.Context, h home.Home) (bool, error) {
	return home.Once(BaseDir(h), func(tmp string) error {
		cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), Release, tmp, mirror())
		// What it mounts stays in a mount namespace of its own and ends with it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			return fmt.Errorf("debootstrap: %w: %s; is a Debian mirror reachable?", err, lines[len(lines)-1])
		}
		debs, err := filepath.Glob(filepath.Join(tmp, "var/cache/apt/archives/*.deb"))
		if err != nil {
			return err
		}
		for _, d := range debs {
			if err := os.Remove(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// mirror is the Debian mirror that this machine uses itself, if it is Debian.
func mirror() string {
	const public = "http://deb.debian.org/debian"
	if b, err := os.ReadFile("/etc/os-release"); err != nil || !strings.Contains("\n"+string(b), "\nID=debian") {
		return public
	}
	lists, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, f := range append([]string{"/etc/apt/sources.list"}, lists...) {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if m := mirrorIn(string(b)); m != "" {
			return m
		}
	}
	return public
}

// mirrorIn finds the first mirror in a sources file of either format that is
// not the one for security updates.
func mirrorIn(text string) string {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || (f[0] != "deb" && f[0] != "URIs:") {
			continue
		}
		for _, w := range f[1:] {
			if (strings.HasPrefix(w, "http://") || strings.HasPrefix(w, "https://")) && !strings.Contains(w, "security") {
				return w
			}
		}
	}
	return ""
}
