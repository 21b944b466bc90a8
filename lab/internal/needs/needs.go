// Package needs checks that the machine has what the lab calls. Rule: it never
// installs anything, it names everything that lacks at once.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strings"
)

// Tool is a program and the Debian package that brings it.
type Tool struct{ Program, Package string }

// ForBuild and ForUp are what building and running need; ForRoot what the
// root filesystem needs while it is not built.
var (
	ForBuild = []Tool{{"go", ""}, {"cp", "coreutils"}}
	ForRoot  = []Tool{{"debootstrap", "debootstrap"}}
	ForUp    = []Tool{{"ip", "iproute2"}, {"cp", "coreutils"}, {"ssh", "openssh-client"}}
)

// Root checks that this process may do what a lab takes.
func Root() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("machine: processor is %s, the lab knows amd64 only", runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("permissions: a lab needs root; run this with sudo")
	}
	return nil
}

// Check looks for the programs and for overlay filesystems.
func Check(tools ...Tool) error {
	var lack, install []string
	seen := map[string]bool{}
	for _, t := range tools {
		if seen[t.Program] {
			continue
		}
		seen[t.Program] = true
		if _, err := exec.LookPath(t.Program); err != nil {
			lack = append(lack, t.Program)
			if t.Package != "" {
				install = append(install, t.Package)
			}
		}
	}
	if len(lack) > 0 {
		sort.Strings(install)
		msg := "machine: lacks " + strings.Join(lack, ", ")
		if len(install) > 0 {
			msg += "; run: apt-get install -y " + strings.Join(install, " ")
		}
		for _, l := range lack {
			if l == "go" {
				msg += "; Go 1.26 is at https://go.dev/dl"
			}
		}
		return fmt.Errorf("%s", msg)
	}
	return nil
}

// Kernel loads the modules that nodes cannot load for themselves and checks
// for the one thing without which no container starts.
func Kernel() error {
	for _, m := range []string{"overlay", "br_netfilter", "nf_conntrack"} {
		// Built into many kernels, and then there is nothing to load.
		_ = exec.Command("modprobe", m).Run()
	}
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), "\toverlay\n") {
		return fmt.Errorf("machine: its kernel has no overlay filesystem; run: modprobe overlay")
	}
	return nil
}
