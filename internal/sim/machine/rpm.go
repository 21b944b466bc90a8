package machine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// rpmPrograms are rpm 4.16 and dnf 4 (Rocky Linux 9), rpm 4.14 and zypper 1.14 (openSUSE Leap 15), as far as pawl and the
// tests use them. The words are those of rpm 4.18, dnf 4.14 and zypper 1.14.42.
var rpmPrograms = map[string]program{"rpm": rpm, "dnf": dnf, "yum": dnf, "zypper": zypper}

const (
	rpmDatabase = "/var/lib/rpm/packages"
	rpmLock     = "/var/lib/rpm/.rpm.lock"
	dnfRepos    = "/etc/yum.repos.d"
	zypperRepos = "/etc/zypp/repos.d"
)

func rpmVersion(v upgrade.Version) string { return v.Number() + "-150500.1.1" }

// rpmFiles are the part of the disk of a machine with dnf, whose repository excludes what must not move by itself, or with
// zypper, where it is locked.
func (m *Machine) rpmFiles() map[string]diskFile {
	base := m.opts.Repository + "/" + m.opts.Version.MinorString() + "/rpm/"
	repo := "[kubernetes]\nname=Kubernetes\nbaseurl=" + base + "\nenabled=1\ngpgcheck=1\ngpgkey=" + base + "repodata/repomd.xml.key\n"
	files := map[string]diskFile{
		dnfRepos + "/kubernetes.repo": file0644(repo + "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n"),
		rpmLock:                       {nil, 0o644},
	}
	if m.opts.Distro == SUSE {
		delete(files, dnfRepos+"/kubernetes.repo")
		files[zypperRepos+"/kubernetes.repo"] = file0644(repo)
		files["/etc/zypp/zypp.conf"] = file0644("[main]\n")
		files[zypperLocks] = file0644(lockText(kubernetesPackages...))
	}
	database := rpmRecords{{"curl", "7.76.1-29"}, {"kubernetes-cni", "1.5.0-150500.1.1"}}
	for _, pkg := range kubernetesPackages {
		database = append(database, rpmRecord{pkg, rpmVersion(m.opts.Version)})
		for name, f := range packageContent(pkg, m.opts.Version) {
			files[name] = f
		}
	}
	files[rpmDatabase] = file0644(database.String())
	return files
}

// rpmRecord is one of an installed package. A package has two while it is being upgraded.
type rpmRecord struct{ name, version string }

type rpmRecords []rpmRecord

func (all rpmRecords) String() string {
	var text strings.Builder
	for _, r := range all {
		fmt.Fprintf(&text, "%s %s\n", r.name, r.version)
	}
	return text.String()
}

// newest is the record that counts; empty when there is none.
func (all rpmRecords) newest(name string) string {
	var newest string
	for _, r := range all {
		if r.name == name && (newest == "" || compareDeb(r.version, newest) > 0) {
			newest = r.version
		}
	}
	return newest
}

func (m *Machine) rpmRecords() rpmRecords {
	content, _ := m.ReadFile(rpmDatabase)
	var all rpmRecords
	for line := range strings.Lines(string(content)) {
		if f := strings.Fields(line); len(f) == 2 {
			all = append(all, rpmRecord{f[0], f[1]})
		}
	}
	return all
}

// record changes the database in one rename.
func (p *process) record(change func(rpmRecords) rpmRecords) error {
	if err := p.writeFile(rpmDatabase+"-new", []byte(change(p.m.rpmRecords()).String()), 0o644); err != nil {
		return err
	}
	return p.rename(rpmDatabase+"-new", rpmDatabase)
}

// rpm is rpm --query, --verify, and --erase of a record.
func rpm(p *process) int {
	o, code := p.options("rpm", optSpec{short: "qaVe", exit: 1,
		long: "query,all,queryformat=,qf=,verify,erase,justdb,noscripts,nodeps,nomtime,nomode,nouser,nogroup"})
	if o == nil {
		return code
	}
	switch {
	case o.has("q", "query"):
		return p.rpmQuery(o)
	case o.has("V", "verify"):
		return p.rpmVerify(o)
	case o.has("e", "erase") && o.has("justdb"):
		return p.rpmForget(o.args)
	}
	return p.fail(1, "RPM version 4.16.1.3\nUsage: rpm [OPTION...]")
}

func (p *process) rpmQuery(o *opts) int {
	records, names, code := p.m.rpmRecords(), o.args, 0
	if o.has("a", "all") {
		for _, r := range records {
			if !slices.Contains(names, r.name) {
				names = append(names, r.name)
			}
		}
	}
	for _, name := range names {
		found := false
		for _, r := range records {
			if r.name != name && r.name+"-"+r.version != name {
				continue
			}
			found = true
			number, release, _ := strings.Cut(r.version, "-")
			if format := o.value("queryformat", "qf"); format != "" {
				p.printf("%s", strings.NewReplacer("%{NAME}", r.name, "%{VERSION}", number, "%{RELEASE}", release, "%{EVR}", r.version,
					"%{ARCH}", "x86_64", `\n`, "\n").Replace(format))
			} else {
				p.printf("%s-%s.x86_64\n", r.name, r.version)
			}
		}
		if !found {
			p.printf("package %s is not installed\n", name)
			code++
		}
	}
	return code
}

// rpmVerify compares the programs with their packages'.
func (p *process) rpmVerify(o *opts) int {
	code := 0
	for _, name := range o.args {
		version := p.m.rpmRecords().newest(name)
		v, err := upgrade.ParseVersion(strings.TrimSuffix(version, "-150500.1.1"))
		if version == "" {
			p.printf("package %s is not installed\n", name)
			code++
		}
		if err != nil {
			continue
		}
		content, err := p.readFile("/usr/bin/" + name)
		switch {
		case err != nil:
			p.printf("missing     /usr/bin/%s\n", name)
			code++
		case !bytes.Equal(content, packageContent(name, v)["/usr/bin/"+name].content):
			p.printf("S.5......    /usr/bin/%s\n", name)
			code++
		}
	}
	return code
}

func (p *process) rpmForget(args []string) int {
	if p.user != "root" {
		return p.fail(1, "error: can't create transaction lock on %s (Permission denied)", rpmLock)
	}
	for _, arg := range args {
		err := p.record(func(all rpmRecords) rpmRecords {
			return slices.DeleteFunc(all, func(r rpmRecord) bool { return r.name+"-"+r.version == arg })
		})
		if err != nil {
			return p.fail(1, "error: %s", reason(err))
		}
	}
	return 0
}

// rpmUpgrade is rpm's part of an installation: first all that is new is put in place and recorded, then what was before is
// taken away. What is killed in between leaves two records.
func (p *process) rpmUpgrade(todo map[string]upgrade.Version) error {
	var done []string
	for _, name := range kubernetesPackages {
		v, ok := todo[name]
		if !ok {
			continue
		}
		if !p.sleep(2*time.Second) || !p.at("rpm: installing "+name) {
			return errPower
		}
		for file, f := range packageContent(name, v) {
			if err := p.writeFile(file+";new", f.content, f.mode); err != nil {
				return err
			}
			_ = p.chmod(file+";new", f.mode)
			if err := p.rename(file+";new", file); err != nil {
				return err
			}
		}
		err := p.record(func(all rpmRecords) rpmRecords { return append(all, rpmRecord{name, rpmVersion(v)}) })
		if err != nil {
			return err
		}
		if !p.at("rpm: " + name + " installed") {
			return errPower
		}
		done = append(done, name)
	}
	for _, name := range done {
		if !p.at("rpm: cleaning up " + name) {
			return errPower
		}
		err := p.record(func(all rpmRecords) rpmRecords {
			return slices.DeleteFunc(all, func(r rpmRecord) bool { return r.name == name && r.version != rpmVersion(todo[name]) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}
