package rootfs

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"syscall"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/image"
)

// library is a path in the output of ldd.
var library = regexp.MustCompile(`/[^\s:()]+`)

// Xtables lists what kube-proxy needs of the base to program the kernel's
// packet filter: iptables, nft, all their modules and every library that any
// of them loads. A missing library makes rules fail only when they are used.
func Xtables(h home.Home) ([]image.File, error) {
	root := BaseDir(h)
	modules, err := filepath.Glob(filepath.Join(root, "usr/lib/x86_64-linux-gnu/xtables/*.so"))
	if err != nil {
		return nil, err
	}
	programs := []string{"/usr/sbin/xtables-nft-multi", "/usr/sbin/nft"}
	for _, m := range modules {
		rel, err := filepath.Rel(root, m)
		if err != nil {
			return nil, err
		}
		programs = append(programs, "/"+rel)
	}
	cmd := exec.Command("/usr/bin/ldd", programs...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list libraries of iptables: %w", err)
	}
	wanted := map[string]bool{}
	for _, p := range append(programs, library.FindAllString(string(out), -1)...) {
		wanted[p] = true
	}
	var files []image.File
	for p := range wanted {
		// Follow links: the image gets the file itself under the name in use.
		source, err := resolve(root, p)
		if err != nil {
			return nil, err
		}
		files = append(files, image.File{Source: source, Target: p})
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		files = append(files, image.File{Source: filepath.Join(root, "usr/sbin/xtables-nft-multi"), Target: "/usr/sbin/" + name})
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Target < files[j].Target })
	return files, nil
}

// resolve finds the file behind a path of the root filesystem, whose links are
// meant to be followed inside it.
func resolve(root, path string) (string, error) {
	cmd := exec.Command("/usr/bin/readlink", "-f", path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.Output()
	if err != nil || len(out) < 2 {
		return "", fmt.Errorf("find %s in the root filesystem: %v", path, err)
	}
	return filepath.Join(root, string(out[:len(out)-1])), nil
}
