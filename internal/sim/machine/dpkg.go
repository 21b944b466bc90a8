package machine

import (
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	dpkgStatus  = "/var/lib/dpkg/status"
	dpkgUpdates = "/var/lib/dpkg/updates"
)

func encode64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// dpkgPackage is a stanza of dpkg's status file.
type dpkgPackage struct{ name, want, status, version string }

type dpkgPackages []*dpkgPackage

func (all dpkgPackages) find(name string) *dpkgPackage {
	for _, pkg := range all {
		if pkg.name == name || pkg.name+":amd64" == name {
			return pkg
		}
	}
	return nil
}

// String is the status file.
func (all dpkgPackages) String() string {
	var text strings.Builder
	for _, pkg := range all {
		fmt.Fprintf(&text, "Package: %s\nStatus: %s ok %s\nArchitecture: amd64\nVersion: %s\n\n", pkg.name, pkg.want, pkg.status, pkg.version)
	}
	return text.String()
}

func (m *Machine) initialPackages() dpkgPackages {
	v := debVersion(m.opts.Version)
	return dpkgPackages{
		{"apt", "install", "installed", "2.6.1"}, {"base-files", "install", "installed", "12.4+deb12u12"},
		{"containerd", "install", "installed", "2.3.7-1"}, {"curl", "install", "installed", "7.88.1-10+deb12u14"},
		{"dpkg", "install", "installed", "1.21.22"},
		{"kubeadm", "hold", "installed", v}, {"kubectl", "hold", "installed", v}, {"kubelet", "hold", "installed", v},
		{"kubernetes-cni", "install", "installed", "1.9.1-1.1"}, {"openssh-server", "install", "installed", "1:9.2p1-2+deb12u7"},
		{"sudo", "install", "installed", "1.9.13p3-1+deb12u2"}, {"systemd", "install", "installed", "252.39-1~deb12u1"},
	}
}

// status reads the status file.
func (p *process) status() dpkgPackages {
	content, _ := p.m.ReadFile(dpkgStatus)
	return parseStatus(string(content))
}

func parseStatus(content string) dpkgPackages {
	var all dpkgPackages
	for _, stanza := range strings.Split(content, "\n\n") {
		f := stanzaFields(stanza)
		state := strings.Fields(f["status"])
		if f["package"] != "" && len(state) == 3 {
			all = append(all, &dpkgPackage{f["package"], state[0], state[2], f["version"]})
		}
	}
	return all
}

// writeStatus replaces the status file in one rename, as dpkg does.
func (p *process) writeStatus(all dpkgPackages) error {
	if err := p.writeFile(dpkgStatus+"-new", []byte(all.String()), 0o644); err != nil {
		return err
	}
	return p.rename(dpkgStatus+"-new", dpkgStatus)
}

// mark changes a package's state. dpkg writes a journal beside the status file and removes it when all is done, so one
// that is killed leaves it behind.
func (p *process) mark(pkg string, change func(*dpkgPackage)) error {
	if err := p.writeFile(dpkgUpdates+"/0000", []byte("Package: "+pkg+"\n"), 0o644); err != nil {
		return err
	}
	all := p.status()
	found := all.find(pkg)
	if found == nil {
		found = &dpkgPackage{name: pkg}
		all = append(all, found)
		slices.SortFunc(all, func(a, b *dpkgPackage) int { return strings.Compare(a.name, b.name) })
	}
	change(found)
	return p.writeStatus(all)
}

func (p *process) clearJournal() error {
	if !p.exists(dpkgUpdates + "/0000") {
		return nil
	}
	return p.remove(dpkgUpdates + "/0000")
}

// unpack puts a package's files in the place of the old ones, each by a rename. The hold is dropped: apt puts none back
// after --allow-change-held-packages (seen with apt 2.6.1).
func (p *process) unpack(w wanted) error {
	p.printf("Preparing to unpack .../%s ...\nUnpacking %s (%s) over (%s) ...\n", path.Base(archive(w)), w.pkg, w.version, w.before)
	if err := p.mark(w.pkg, func(pkg *dpkgPackage) { pkg.want, pkg.status = "install", "half-installed" }); err != nil {
		return err
	}
	if !p.sleep(time.Second) || !p.at("dpkg: unpacking "+w.pkg) {
		return errPower
	}
	if v, err := upgrade.ParseVersion(strings.TrimSuffix(w.version, "-1.1")); err == nil {
		for name, f := range packageContent(w.pkg, v) {
			if err := p.writeFile(name+".dpkg-new", f.content, f.mode); err != nil {
				_ = p.remove(name + ".dpkg-new")
				return err
			}
			if err := p.chmod(name+".dpkg-new", f.mode); err != nil {
				return err
			}
			if err := p.rename(name+".dpkg-new", name); err != nil {
				return err
			}
		}
	}
	if err := p.mark(w.pkg, func(pkg *dpkgPackage) { pkg.status, pkg.version = "unpacked", w.version }); err != nil {
		return err
	}
	if !p.at("dpkg: " + w.pkg + " unpacked") {
		return errPower
	}
	return nil
}

// configure completes a package that is unpacked.
func (p *process) configure(name string) error {
	pkg := p.status().find(name)
	p.printf("Setting up %s (%s) ...\n", name, pkg.version)
	if err := p.mark(name, func(pkg *dpkgPackage) { pkg.status = "half-configured" }); err != nil {
		return err
	}
	if !p.sleep(500*time.Millisecond) || !p.at("dpkg: configuring "+name) {
		return errPower
	}
	if err := p.mark(name, func(pkg *dpkgPackage) { pkg.status = "installed" }); err != nil {
		return err
	}
	return nil
}

// lockDpkg takes the lock as dpkg does when it is called by itself: at once or not at all.
func (p *process) lockDpkg() int {
	if p.user != "root" {
		return p.fail(2, "dpkg: error: requested operation requires superuser privilege")
	}
	if !p.lock(frontendLock, 0) {
		return p.fail(2, "dpkg: error: dpkg frontend lock was locked by another process with pid %d\nNote: removing the lock file is always wrong, can damage the locked area\n"+
			"and the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.", p.m.holder(frontendLock))
	}
	return 0
}

// dpkg is dpkg --configure -a and --print-architecture.
func dpkg(p *process) int {
	var configure, all bool
	for _, arg := range p.argv[1:] {
		switch arg {
		case "--force-confold", "--force-confdef":
		case "--configure":
			configure = true
		case "-a", "--pending":
			all = true
		case "--print-architecture":
			p.printf("amd64\n")
			return 0
		default:
			return p.fail(2, "dpkg: error: unknown option %s\n\nType dpkg --help for help about installing and deinstalling packages [*];", arg)
		}
	}
	if !configure || !all {
		return p.fail(2, "dpkg: error: need an action option\n\nType dpkg --help for help about installing and deinstalling packages [*];")
	}
	if code := p.lockDpkg(); code != 0 {
		return code
	}
	for _, pkg := range p.status() {
		if pkg.status != "unpacked" && pkg.status != "half-configured" {
			continue
		}
		if err := p.configure(pkg.name); err != nil {
			return p.fail(1, "dpkg: error processing package %s (--configure):\n %s", pkg.name, reason(err))
		}
	}
	if err := p.clearJournal(); err != nil {
		return p.fail(2, "dpkg: error: %s", reason(err))
	}
	return 0
}

// dpkgQuery is dpkg-query -W.
func dpkgQuery(p *process) int {
	o, code := p.options("dpkg-query", optSpec{short: "Wf:", long: "show,showformat=", exit: 2})
	if o == nil {
		return code
	}
	if !o.has("W", "show") {
		return p.fail(2, "dpkg-query: error: need an action option\n\nUse --help for help about querying packages.")
	}
	format := o.value("f", "showformat")
	if format == "" {
		format = "${binary:Package}\t${Version}\n"
	}
	patterns := o.args
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	for _, pattern := range patterns {
		found := false
		for _, pkg := range p.status() {
			if ok, _ := path.Match(pattern, pkg.name); !ok || pattern == "*" && len(o.args) > 0 && pkg.status == "not-installed" {
				continue
			}
			found = true
			p.printf("%s", pkg.expand(format))
		}
		if !found {
			code = p.fail(1, "dpkg-query: no packages found matching %s", pattern)
		}
	}
	return code
}

var abbreviations = map[string]string{"install": "i", "hold": "h", "deinstall": "r", "unknown": "u", "installed": "i", "unpacked": "U",
	"half-configured": "F", "half-installed": "H", "config-files": "c", "not-installed": "n", "triggers-pending": "t"}

func (pkg *dpkgPackage) expand(format string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", "${binary:Package}", pkg.name, "${Package}", pkg.name, "${Version}", pkg.version,
		"${Architecture}", "amd64", "${db:Status-Abbrev}", abbreviations[pkg.want]+abbreviations[pkg.status]+" ", "${db:Status-Status}", pkg.status,
		"${db:Status-Want}", pkg.want, "${Status}", pkg.want+" ok "+pkg.status).Replace(format)
}

// InstalledVersion is the version of an installed package of Kubernetes; zero when it is not installed, or not wholly.
func (m *Machine) InstalledVersion(pkg string) upgrade.Version {
	if m.opts.Distro != Debian {
		v, _ := upgrade.ParseVersion(strings.TrimSuffix(m.rpmRecords().newest(pkg), "-150500.1.1"))
		return v
	}
	content, _ := m.ReadFile(dpkgStatus)
	found := parseStatus(string(content)).find(pkg)
	if found == nil || found.status != "installed" {
		return upgrade.Version{}
	}
	v, _ := upgrade.ParseVersion(strings.TrimSuffix(found.version, "-1.1"))
	return v
}
