// Package node is one machine of the lab: its disk, its cable and its power.
// Rule: everything a node is made of is found again from its name alone.
package node

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/rootfs"
	"github.com/pawl-dev/pawl/lab/internal/sshx"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

var (
	//go:embed files/containerd.toml
	containerdText string
	//go:embed files/cni.conflist
	cniText string

	containerdConfig = template.Must(template.New("containerd").Parse(containerdText))
	cniConfig        = template.Must(template.New("cni").Parse(cniText))
)

// Disk is what a node's disk is made from.
type Disk struct {
	Template      string // folder to copy
	PauseImage    string // the version's own, for containerd's sandboxes
	AuthorizedKey string // line for authorized_keys

	// Further files of a node, if any.
	Further func(topology.Node) ([]rootfs.File, error)
}

// Make makes the node's disk, unless it is there, and returns its host key.
func (d Disk) Make(h home.Home, n topology.Node) (ssh.PublicKey, error) {
	root := h.Node(string(n), "root")
	if _, err := home.Once(root, func(tmp string) error { return d.fill(tmp, n) }); err != nil {
		return nil, err
	}
	line, err := os.ReadFile(filepath.Join(root, hostKey+".pub"))
	if err != nil {
		return nil, fmt.Errorf("disk of %s: %w", n, err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, fmt.Errorf("disk of %s: %s.pub: %w", n, hostKey, err)
	}
	return key, nil
}

const hostKey = "etc/ssh/ssh_host_ed25519_key"

// fill makes the disk in the empty folder root.
func (d Disk) fill(root string, n topology.Node) error {
	if err := os.Remove(root); err != nil {
		return err
	}
	if err := rootfs.Copy(d.Template, root); err != nil {
		return err
	}
	key, err := sshx.NewKey("root@" + string(n))
	if err != nil {
		return err
	}
	id, err := uuid()
	if err != nil {
		return err
	}
	containerd, err := render(containerdConfig, d)
	if err != nil {
		return err
	}
	cni, err := render(cniConfig, n)
	if err != nil {
		return err
	}
	files := []rootfs.File{
		{Path: "etc/hostname", Content: string(n) + "\n", Mode: 0o644},
		// Without one of its own systemd takes the machine's, the same on every node.
		{Path: "etc/machine-id", Content: strings.ReplaceAll(id, "-", "") + "\n", Mode: 0o444},
		{Path: hostKey, Content: string(key.Private), Mode: 0o600},
		{Path: hostKey + ".pub", Content: key.Public + "\n", Mode: 0o644},
		{Path: "etc/containerd/config.toml", Content: containerd, Mode: 0o644},
		{Path: "etc/cni/net.d/10-pawl-lab.conflist", Content: cni, Mode: 0o644},
	}
	if d.Further != nil {
		further, err := d.Further(n)
		if err != nil {
			return fmt.Errorf("disk of %s: %w", n, err)
		}
		files = append(files, further...)
	}
	if err := rootfs.Write(root, files); err != nil {
		return fmt.Errorf("disk of %s: %w", n, err)
	}
	if err := authorize(root, d.AuthorizedKey); err != nil {
		return fmt.Errorf("disk of %s: %w", n, err)
	}
	return nil
}

// authorize lets the key in as root and as the administrator.
func authorize(root, line string) error {
	uid, gid, err := lookup(root, rootfs.AdminUser)
	if err != nil {
		return err
	}
	for dir, owner := range map[string][2]int{"root": {0, 0}, "home/" + rootfs.AdminUser: {uid, gid}} {
		dir = filepath.Join(root, dir, ".ssh")
		file := filepath.Join(dir, "authorized_keys")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
			return err
		}
		for _, p := range []string{dir, file} {
			if err := os.Chown(p, owner[0], owner[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookup finds a user in the node's own list.
func lookup(root, user string) (uid, gid int, err error) {
	b, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(line, ":")
		if len(f) < 4 || f[0] != user {
			continue
		}
		if uid, err = strconv.Atoi(f[2]); err != nil {
			return 0, 0, err
		}
		gid, err = strconv.Atoi(f[3])
		return uid, gid, err
	}
	return 0, 0, fmt.Errorf("user %s: not in the node's passwd", user)
}

func render(t *template.Template, data any) (string, error) {
	var b strings.Builder
	err := t.Execute(&b, data)
	return b.String(), err
}

// uuid is a fresh random one, made by the kernel.
func uuid() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	return strings.TrimSpace(string(b)), err
}
