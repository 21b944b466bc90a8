package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// rpmPrograms are rpm 4.16 and dnf 4 (Rocky Linux 9): enough to see what such a host has and to upgrade it by hand.
var rpmPrograms = map[string]program{"rpm": rpm, "dnf": dnf, "yum": dnf}

const (
	rpmDatabase = "/var/lib/rpm/packages"
	rpmRepo     = "/etc/yum.repos.d/kubernetes.repo"
)

func rpmVersion(v upgrade.Version) string { return v.Number() + "-150500.1.1" }

func (m *Machine) rpmFiles() map[string]diskFile {
	base := m.opts.Repository + "/" + m.opts.Version.MinorString() + "/rpm/"
	files := map[string]diskFile{
		rpmRepo: file0644("[kubernetes]\nname=Kubernetes\nbaseurl=" + base + "\nenabled=1\ngpgcheck=1\ngpgkey=" + base +
			"repodata/repomd.xml.key\nexclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n"),
	}
	var database strings.Builder
	for _, pkg := range kubernetesPackages {
		fmt.Fprintf(&database, "%s %s\n", pkg, rpmVersion(m.opts.Version))
		for name, f := range packageContent(pkg, m.opts.Version) {
			files[name] = f
		}
	}
	files[rpmDatabase] = file0644(database.String())
	return files
}

func (p *process) rpmInstalled() map[string]string {
	content, _ := p.m.ReadFile(rpmDatabase)
	installed := map[string]string{}
	for line := range strings.Lines(string(content)) {
		if f := strings.Fields(line); len(f) == 2 {
			installed[f[0]] = f[1]
		}
	}
	return installed
}

// rpm is rpm -q.
func rpm(p *process) int {
	o, code := p.options("rpm", optSpec{short: "q", long: "query,queryformat=,qf=", exit: 1})
	if o == nil {
		return code
	}
	if !o.has("q", "query") || len(o.args) == 0 {
		return p.fail(1, "RPM version 4.16.1.3\nUsage: rpm [OPTION...]")
	}
	installed := p.rpmInstalled()
	for _, name := range o.args {
		version, ok := installed[name]
		number, release, _ := strings.Cut(version, "-")
		switch format := o.value("queryformat", "qf"); {
		case !ok:
			p.printf("package %s is not installed\n", name)
			code = 1
		case format != "":
			p.printf("%s", strings.NewReplacer("%{NAME}", name, "%{VERSION}", number, "%{RELEASE}", release, `\n`, "\n").Replace(format))
		default:
			p.printf("%s-%s.x86_64\n", name, version)
		}
	}
	return code
}

// dnf is dnf install and dnf list --showduplicates, with the repository's exclude=, which hides what it names unless
// --disableexcludes=kubernetes says otherwise.
func dnf(p *process) int {
	o, code := p.options("dnf", optSpec{short: "yq", long: "disableexcludes=,setopt=,showduplicates,assumeyes,quiet", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		return p.fail(1, "usage: dnf [options] COMMAND")
	}
	config, _ := p.readFile(rpmRepo)
	repo := map[string]string{}
	for line := range strings.Lines(string(config)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			repo[key] = value
		}
	}
	disabled := o.value("disableexcludes")
	if v, ok := strings.CutPrefix(o.value("setopt"), "disable_excludes="); ok {
		disabled = v
	}
	excluded := strings.Fields(repo["exclude"])
	if slices.Contains([]string{"kubernetes", "all", "*"}, disabled) {
		excluded = nil
	}
	minor := strings.TrimSuffix(strings.TrimPrefix(repo["baseurl"], p.m.opts.Repository+"/"), "/rpm/")
	if !p.sleep(time.Second) {
		return 1
	}
	if !p.m.offersMinor(minor) {
		return p.fail(1, "Error: Failed to download metadata for repo 'kubernetes': Cannot download repomd.xml: Status code: 404 for %srepodata/repomd.xml", repo["baseurl"])
	}
	var offered []upgrade.Version
	for _, v := range p.m.opts.Offered {
		if v.MinorString() == minor {
			offered = append(offered, v)
		}
	}
	slices.SortFunc(offered, upgrade.Version.Compare)
	switch o.args[0] {
	case "list", "repoquery":
		for _, v := range offered {
			for _, pkg := range kubernetesPackages {
				if !slices.Contains(excluded, pkg) && (len(o.args) == 1 || slices.Contains(o.args[1:], pkg)) {
					p.printf("%s.x86_64 %s kubernetes\n", pkg, rpmVersion(v))
				}
			}
		}
		return 0
	case "install":
		return p.dnfInstall(o.args[1:], offered, excluded)
	}
	return p.fail(1, "No such command: %s. Please use /usr/bin/dnf --help", o.args[0])
}

func (p *process) dnfInstall(args []string, offered []upgrade.Version, excluded []string) int {
	if p.user != "root" {
		return p.fail(1, "Error: This command has to be run with superuser privileges (under the root user on most systems).")
	}
	todo := map[string]upgrade.Version{}
	for _, arg := range args {
		name, version, _ := strings.Cut(arg, "-")
		found := false
		for _, v := range offered {
			if !slices.Contains(excluded, name) && slices.Contains(kubernetesPackages, name) && (version == "" || glob(version, rpmVersion(v)) || version == v.Number()) {
				todo[name], found = v, true
			}
		}
		if !found {
			return p.fail(1, "No match for argument: %s\nError: Unable to find a match: %[1]s", arg)
		}
	}
	installed := p.rpmInstalled()
	for _, name := range kubernetesPackages {
		v, ok := todo[name]
		if !ok || installed[name] == rpmVersion(v) {
			continue
		}
		if !p.sleep(2*time.Second) || !p.at("rpm: installing "+name) {
			return 1
		}
		for file, f := range packageContent(name, v) {
			if err := p.writeFile(file+";new", f.content, f.mode); err != nil {
				return p.fail(1, "Error: Transaction failed: %s", reason(err))
			}
			_ = p.chmod(file+";new", f.mode)
			if err := p.rename(file+";new", file); err != nil {
				return p.fail(1, "Error: Transaction failed: %s", reason(err))
			}
		}
		installed[name] = rpmVersion(v)
		var database strings.Builder
		for _, pkg := range kubernetesPackages {
			fmt.Fprintf(&database, "%s %s\n", pkg, installed[pkg])
		}
		if err := p.writeFile(rpmDatabase, []byte(database.String()), 0o644); err != nil {
			return p.fail(1, "Error: Transaction failed: %s", reason(err))
		}
		p.printf("Upgraded:\n  %s-%s.x86_64\n", name, installed[name])
	}
	p.printf("Complete!\n")
	return 0
}
