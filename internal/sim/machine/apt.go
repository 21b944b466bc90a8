package machine

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// aptPrograms are apt 2.6.1 and dpkg 1.21.22 (Debian 12), as far as pawl and the tests use them.
var aptPrograms = map[string]program{
	"apt-get": aptGet, "apt-cache": aptCache, "apt-mark": aptMark, "apt-helper": aptHelper, "dpkg": dpkg, "dpkg-query": dpkgQuery,
}

const (
	frontendLock = "/var/lib/dpkg/lock-frontend"
	archives     = "/var/cache/apt/archives"
	keyring      = "/etc/apt/keyrings/kubernetes-apt-keyring.gpg"
)

// kubernetesPackages are what the repositories offer.
var kubernetesPackages = []string{"kubeadm", "kubectl", "kubelet"}

// signingKey is the repositories' key in its binary form; that it is in a keyring is all that counts here.
var signingKey = []byte("\x99\x02simulated key of the package repositories\n")

// releaseKey is signingKey as Release.key has it.
func releaseKey() string {
	return "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: GnuPG v2.0.15 (GNU/Linux)\n\n" + encode64(signingKey) + "\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
}

func debVersion(v upgrade.Version) string { return v.Number() + "-1.1" }

// packageFiles are the package manager's part of the disk.
func (m *Machine) packageFiles() map[string]diskFile {
	if m.opts.Distro != Debian {
		return m.rpmFiles()
	}
	minor := m.opts.Version.MinorString()
	files := map[string]diskFile{
		"/etc/apt/sources.list":                   file0644("deb http://deb.debian.org/debian bookworm main\n"),
		"/etc/apt/sources.list.d/kubernetes.list": file0644("deb [signed-by=" + keyring + "] " + m.opts.Repository + "/" + minor + "/deb/ /\n"),
		keyring:                   {signingKey, 0o644},
		"/var/lib/dpkg/status":    file0644(m.initialPackages().String()),
		frontendLock:              {nil, 0o640},
		"/var/lib/apt/lists/lock": {nil, 0o640},
		archives + "/lock":        {nil, 0o640},
	}
	for name, text := range m.lists("/var/lib/apt/lists", m.opts.Repository, minor) {
		files[name] = file0644(text)
	}
	for _, pkg := range kubernetesPackages {
		for name, f := range packageContent(pkg, m.opts.Version) {
			files[name] = f
		}
	}
	return files
}

// packageContent are the files of a package of Kubernetes.
func packageContent(pkg string, v upgrade.Version) map[string]diskFile {
	files := map[string]diskFile{"/usr/bin/" + pkg: {binary(pkg, v), 0o755}}
	switch pkg {
	case "kubelet":
		files[kubeletUnitFile] = file0644("[Unit]\nDescription=kubelet: The Kubernetes Node Agent\n\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\nStartLimitInterval=0\nRestartSec=10\n\n[Install]\nWantedBy=multi-user.target\n")
	case "kubeadm":
		files["/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"] = file0644("[Service]\nEnvironmentFile=-" + kubeletFlags + "\nEnvironmentFile=-/etc/default/kubelet\n")
	}
	return files
}

// lists are the files that apt keeps of a repository of a minor, below dir.
func (m *Machine) lists(dir, base, minor string) map[string]string {
	var text strings.Builder
	offered := slices.Clone(m.opts.Offered)
	slices.SortFunc(offered, func(a, b upgrade.Version) int { return b.Compare(a) })
	for _, v := range offered {
		if v.MinorString() != minor {
			continue
		}
		for _, pkg := range kubernetesPackages {
			fmt.Fprintf(&text, "Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: amd64/%[1]s_%[2]s_amd64.deb\nSize: 12345678\n\n", pkg, debVersion(v))
		}
	}
	stem := dir + "/" + listName(base+"/"+minor+"/deb")
	return map[string]string{stem + "_InRelease": "Origin: simulated\n", stem + "_Packages": text.String()}
}

// listName is how apt names the files of a flat repository.
func listName(uri string) string {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		rest = strings.TrimPrefix(uri, "file:")
	}
	return strings.ReplaceAll(strings.Trim(rest, "/"), "/", "_")
}

// aptConfig are the -o options of one call.
type aptConfig map[string]string

func (c aptConfig) get(key, otherwise string) string {
	if v, ok := c[strings.ToLower(key)]; ok {
		return v
	}
	return otherwise
}

// aptOptions parses what apt's programs have in common. flags are the options that they know besides -o.
func (p *process) aptOptions(flags ...string) (config aptConfig, set map[string]bool, args []string, code int) {
	config, set = aptConfig{}, map[string]bool{}
	list := p.argv[1:]
	for i := 0; i < len(list); i++ {
		arg := list[i]
		switch {
		case arg == "-o" || arg == "--option":
			if i++; i == len(list) {
				return nil, nil, nil, p.fail(100, "E: Command line option 'o' [from -o] requires an argument.")
			}
			key, value, ok := strings.Cut(list[i], "=")
			if !ok {
				return nil, nil, nil, p.fail(100, "E: Option -o: Configuration item specification must have an =<val>.")
			}
			config[strings.ToLower(key)] = value
		case strings.HasPrefix(arg, "--"):
			if !slices.Contains(flags, arg) {
				return nil, nil, nil, p.fail(100, "E: Command line option %s is not understood in combination with the other options", arg)
			}
			set[arg] = true
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			for _, letter := range arg[1:] {
				if !slices.Contains(flags, "-"+string(letter)) {
					return nil, nil, nil, p.fail(100, "E: Command line option '%c' [from %s] is not understood in combination with the other options.", letter, arg)
				}
				set["-"+string(letter)] = true
			}
		default:
			args = append(args, arg)
		}
	}
	return config, set, args, 0
}

// aptSource is one entry of a source file.
type aptSource struct {
	uri      string // without slash at the end
	trusted  bool
	signedBy string
}

var oneLine = regexp.MustCompile(`^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+\S+`)

// aptSources reads the source files that the configuration names.
func (p *process) aptSources(c aptConfig) ([]aptSource, error) {
	files := []string{c.get("Dir::Etc::SourceList", "/etc/apt/sources.list")}
	if parts := c.get("Dir::Etc::SourceParts", "/etc/apt/sources.list.d"); parts != "-" && parts != "/dev/null" {
		entries, err := p.readDir(parts)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), ".list") && !strings.HasSuffix(e.Name(), ".sources") {
				continue
			}
			files = append(files, parts+"/"+e.Name())
		}
	}
	var all []aptSource
	for _, name := range files {
		if !p.exists(name) {
			continue
		}
		content, err := p.readFile(name)
		if err != nil {
			return nil, fmt.Errorf("opening %s - ifstream::ifstream (13: Permission denied)", name)
		}
		found, err := parseSources(name, string(content))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func parseSources(name, content string) ([]aptSource, error) {
	var all []aptSource
	if strings.HasSuffix(name, ".sources") {
		for _, stanza := range regexp.MustCompile(`\n[ \t]*\n`).Split(content, -1) {
			f := stanzaFields(stanza)
			if f["enabled"] == "no" || f["uris"] == "" {
				continue
			}
			for _, uri := range strings.Fields(f["uris"]) {
				all = append(all, aptSource{uri: strings.TrimRight(uri, "/"), trusted: f["trusted"] == "yes", signedBy: f["signed-by"]})
			}
		}
		return all, nil
	}
	n := 0
	for line := range strings.Lines(content) {
		n++
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if line == "" || strings.HasPrefix(line, "deb-src") {
			continue
		}
		match := oneLine.FindStringSubmatch(line)
		if match == nil {
			return nil, fmt.Errorf("malformed entry %d in list file %s (Type)", n, name)
		}
		s := aptSource{uri: strings.TrimRight(match[2], "/")}
		for _, option := range strings.Fields(match[1]) {
			key, value, _ := strings.Cut(option, "=")
			switch key {
			case "trusted":
				s.trusted = value == "yes"
			case "signed-by":
				s.signedBy = value
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func stanzaFields(stanza string) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(stanza) {
		if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
			f[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
	return f
}

// minorOf is the minor that a repository's address names; known is false when this is none of our repositories.
func (m *Machine) minorOf(uri string) (minor string, known bool) {
	rest, ok := strings.CutPrefix(uri, m.opts.Repository+"/")
	if !ok {
		return "", false
	}
	return strings.TrimSuffix(rest, "/deb"), true
}

func (m *Machine) offersMinor(minor string) bool {
	return slices.ContainsFunc(m.opts.Offered, func(v upgrade.Version) bool { return v.MinorString() == minor })
}

func aptGet(p *process) int {
	c, set, args, code := p.aptOptions("--yes", "-y", "--assume-yes", "--download-only", "-d", "--allow-change-held-packages", "--no-remove",
		"--no-install-recommends", "--allow-downgrades", "--quiet", "-q", "--reinstall", "--purge")
	if code != 0 {
		return code
	}
	if len(args) == 0 {
		return p.fail(1, "apt 2.6.1 (amd64)\nUsage: apt-get [options] command")
	}
	switch args[0] {
	case "update":
		return p.aptUpdate(c)
	case "install":
		return p.aptInstall(c, set, args[1:])
	case "clean":
		return p.aptClean()
	case "remove", "purge":
		return p.aptRemove(c, set, args[1:])
	}
	return p.fail(100, "E: Invalid operation %s", args[0])
}

func (p *process) aptClean() int {
	entries, err := p.readDir(archives)
	if err != nil {
		return p.fail(100, "E: Unable to read %s: %s", archives, reason(err))
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".deb") {
			if err := p.remove(archives + "/" + e.Name()); err != nil {
				return p.fail(100, "E: Could not remove %s - %s", e.Name(), reason(err))
			}
		}
	}
	return 0
}

// aptUpdate reads the package lists of the configured repositories into the folder for them.
func (p *process) aptUpdate(c aptConfig) int {
	dir := strings.TrimRight(c.get("Dir::State::Lists", "/var/lib/apt/lists"), "/")
	if p.user != "root" {
		return p.fail(100, "Reading package lists...\nE: Could not open lock file %s/lock - open (13: Permission denied)\nE: Unable to lock directory %s/", dir, dir)
	}
	if !p.lock(dir+"/lock", 0) {
		return p.fail(100, "E: Could not get lock %s/lock. It is held by process %d (apt-get)\nE: Unable to lock directory %s/", dir, p.m.holder(dir+"/lock"), dir)
	}
	sources, err := p.aptSources(c)
	if err != nil {
		return p.fail(100, "E: %v\nE: The list of sources could not be read.", err)
	}
	var problems []string
	for i, s := range sources {
		if !p.sleep(400 * time.Millisecond) {
			return 100
		}
		minor, known := p.m.minorOf(s.uri)
		switch {
		case !known && (strings.Contains(s.uri, "debian.org") || strings.Contains(s.uri, "ubuntu.com")):
			p.printf("Hit:%d %s bookworm InRelease\n", i+1, s.uri)
		case !known:
			host := s.uri
			if u, err := url.Parse(s.uri); err == nil && u.Host != "" {
				host = u.Host
			}
			p.printf("Err:%d %s  InRelease\n  Could not resolve '%s'\n", i+1, s.uri, host)
			problems = append(problems, fmt.Sprintf("Failed to fetch %s/InRelease  Could not resolve '%s'", s.uri, host))
		case !p.m.offersMinor(minor):
			p.printf("Ign:%d %s  InRelease\nErr:%d %s  Release\n  404  Not Found [IP: 10.0.0.1 443]\n", i+1, s.uri, i+2, s.uri)
			problems = append(problems, fmt.Sprintf("The repository '%s  Release' does not have a Release file.", s.uri))
		case !s.trusted && !p.signed(s):
			p.printf("Err:%d %s  InRelease\n  The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 234654DA9A296436\n", i+1, s.uri)
			problems = append(problems, fmt.Sprintf("The repository '%s  InRelease' is not signed.", s.uri))
		default:
			p.printf("Get:%d %s  InRelease [1,186 B]\nGet:%d %s  Packages [11.1 kB]\n", i+1, s.uri, i+2, s.uri)
			for name, text := range p.m.lists(dir, p.m.opts.Repository, minor) {
				if old, err := p.readFile(name); err == nil && string(old) == text {
					continue
				}
				if err := p.writeFile(name, []byte(text), 0o644); err != nil {
					problems = append(problems, fmt.Sprintf("Failed to fetch %s/InRelease  Error writing to file - write (%d: %s)", s.uri, 28, reason(err)))
				}
			}
		}
	}
	if c.get("APT::Get::List-Cleanup", "1") != "0" && len(problems) == 0 {
		p.cleanLists(dir, sources)
	}
	p.printf("Reading package lists...\n")
	if len(problems) == 0 {
		return 0
	}
	fatal := c.get("APT::Update::Error-Mode", "") == "any" || slices.ContainsFunc(problems, func(s string) bool { return strings.HasPrefix(s, "The repository") })
	for _, problem := range problems {
		if fatal {
			fmt.Fprintf(p.err, "E: %s\n", problem)
		} else {
			fmt.Fprintf(p.err, "W: %s\n", problem)
		}
	}
	if fatal {
		return 100
	}
	return 0
}

// cleanLists removes the lists of repositories that are not configured any more.
func (p *process) cleanLists(dir string, sources []aptSource) {
	entries, err := p.readDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() || e.Name() == "lock" || slices.ContainsFunc(sources, func(s aptSource) bool { return strings.HasPrefix(e.Name(), listName(s.uri)) }) {
			continue
		}
		_ = p.remove(dir + "/" + e.Name())
	}
}

// signed reports whether the keyring of the entry holds the repository's key.
func (p *process) signed(s aptSource) bool {
	content, err := p.readFile(s.signedBy)
	if err != nil || s.signedBy == "" {
		return false
	}
	if strings.HasSuffix(s.signedBy, ".asc") {
		return strings.Contains(string(content), encode64(signingKey))
	}
	return strings.Contains(string(content), string(signingKey))
}

// offer is one version of a package in the lists.
type offer struct{ pkg, version, uri string }

func (p *process) offers(c aptConfig) ([]offer, error) {
	sources, err := p.aptSources(c)
	if err != nil {
		return nil, err
	}
	dir := strings.TrimRight(c.get("Dir::State::Lists", "/var/lib/apt/lists"), "/")
	var all []offer
	for _, s := range sources {
		content, err := p.readFile(dir + "/" + listName(s.uri) + "_Packages")
		if err != nil {
			continue
		}
		for _, stanza := range strings.Split(string(content), "\n\n") {
			if f := stanzaFields(stanza); f["package"] != "" {
				all = append(all, offer{f["package"], f["version"], s.uri})
			}
		}
	}
	return all, nil
}

func aptCache(p *process) int {
	c, _, args, code := p.aptOptions()
	if code != 0 {
		return code
	}
	if len(args) == 0 {
		return p.fail(1, "apt 2.6.1 (amd64)\nUsage: apt-cache [options] command")
	}
	offers, err := p.offers(c)
	if err != nil {
		return p.fail(100, "E: %v\nE: The list of sources could not be read.", err)
	}
	switch args[0] {
	case "madison":
		for _, pkg := range args[1:] {
			for _, o := range offers { // of a package that is not known nothing is said
				if o.pkg == pkg {
					p.printf("%10s | %10s | %s  Packages\n", o.pkg, o.version, o.uri)
				}
			}
		}
		return 0
	case "policy":
		for _, pkg := range args[1:] {
			p.policy(pkg, offers)
		}
		return 0
	}
	return p.fail(100, "E: Invalid operation %s", args[0])
}

func (p *process) policy(pkg string, offers []offer) {
	installed, candidate := "(none)", "(none)"
	if i := p.status().find(pkg); i != nil && i.status != "not-installed" {
		installed, candidate = i.version, i.version
	}
	var table []string
	for _, o := range offers {
		if o.pkg != pkg {
			continue
		}
		if candidate == "(none)" || compareDeb(o.version, candidate) > 0 {
			candidate = o.version
		}
		mark := "    "
		if o.version == installed {
			mark = "*** "
		}
		table = append(table, fmt.Sprintf(" %s%s 500\n        500 %s  Packages", mark, o.version, o.uri))
	}
	if installed == "(none)" && len(table) == 0 {
		return
	}
	p.printf("%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n", pkg, installed, candidate)
	for _, line := range table {
		p.printf("%s\n", line)
	}
}

func compareDeb(a, b string) int {
	number := func(s string) []int {
		var all []int
		for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
			n, _ := strconv.Atoi(part)
			all = append(all, n)
		}
		return all
	}
	return slices.CompareFunc(number(a), number(b), cmp.Compare[int])
}

// aptHelper downloads a file of a repository; only Release.key is there.
func aptHelper(p *process) int {
	args := p.argv[1:]
	if len(args) != 3 || args[0] != "download-file" {
		return p.fail(100, "E: Must specify at least one pair url/filename")
	}
	uri, to := args[1], args[2]
	if !p.sleep(300 * time.Millisecond) {
		return 100
	}
	minor, known := p.m.minorOf(strings.TrimSuffix(uri, "/Release.key"))
	if !known || !strings.HasSuffix(uri, "/Release.key") {
		return p.fail(100, "E: Failed to fetch %s  Could not resolve host", uri)
	}
	if !p.m.offersMinor(minor) {
		p.printf("Err:1 %s\n  404  Not Found [IP: 10.0.0.1 443]\n", uri)
		return p.fail(100, "E: Failed to fetch %s  404  Not Found [IP: 10.0.0.1 443]\nE: Download Failed", uri)
	}
	if err := p.writeFile(to, []byte(releaseKey()), 0o644); err != nil {
		return p.fail(100, "E: Failed to fetch %s  Could not open file %s - open (%s)\nE: Download Failed", uri, to, reason(err))
	}
	p.printf("Get:1 %s [1,713 B]\nFetched 1,713 B in 0s (6,203 B/s)\n", uri)
	return 0
}

// lock takes a lock file for this process, within patience of a real node's time. It is given back when the process ends.
func (p *process) lock(name string, patience time.Duration) bool {
	deadline := time.Now().Add(p.m.scale(patience))
	for {
		p.m.mu.Lock()
		holder, held := p.m.locks[name]
		if !held || holder == p.pid {
			p.m.locks[name] = p.pid
			p.m.mu.Unlock()
			return true
		}
		p.m.mu.Unlock()
		if !time.Now().Before(deadline) || !p.sleep(500*time.Millisecond) {
			return false
		}
	}
}

// holderName is "process PID (NAME)". A process that is not there is unattended-upgrades, which LockPackages stands for.
func (m *Machine) holderName(lock string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := "unattended-upgr"
	if p := m.processes[m.locks[lock]]; p != nil {
		name = path.Base(p.argv[0])
	}
	return fmt.Sprintf("process %d (%s)", m.locks[lock], name)
}

// upgrader is the process that LockPackages stands for, as ps(1) names it; "" when there is none.
func (m *Machine) upgrader() (string, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pid := m.locks[m.packageLock()]; pid != 0 && m.processes[pid] == nil {
		if m.opts.Distro != Debian {
			return "packagekitd", pid
		}
		return "unattended-upgr", pid
	}
	return "", 0
}

func (m *Machine) holder(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.locks[name]
}

// lockFrontend takes dpkg's frontend lock as apt does.
func (p *process) lockFrontend(c aptConfig) int {
	if p.user != "root" {
		return p.fail(100, "E: Could not open lock file %s - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (%s), are you root?", frontendLock, frontendLock)
	}
	seconds, _ := strconv.Atoi(c.get("DPkg::Lock::Timeout", "0"))
	if !p.lock(frontendLock, 0) {
		if seconds > 0 {
			p.printf("Waiting for cache lock: Could not get lock %s. It is held by %s...\n", frontendLock, p.m.holderName(frontendLock))
		}
		if !p.lock(frontendLock, time.Duration(seconds)*time.Second) {
			if p.ctx.Err() != nil {
				return 100
			}
			return p.fail(100, "E: Could not get lock %s. It is held by %s\n"+
				"N: Be aware that removing the lock file is not a solution and may break your system.\n"+
				"E: Unable to acquire the dpkg frontend lock (%[1]s), is another process using it?", frontendLock, p.m.holderName(frontendLock))
		}
	}
	return 0
}

// wanted is one package of an installation.
type wanted struct{ pkg, version, before, uri string }

func (p *process) aptInstall(c aptConfig, set map[string]bool, args []string) int {
	if code := p.lockFrontend(c); code != 0 {
		return code
	}
	state := p.status()
	if code := p.dpkgInterrupted(); code != 0 {
		return code
	}
	offers, err := p.offers(c)
	if err != nil {
		return p.fail(100, "E: %v\nE: The list of sources could not be read.", err)
	}
	p.printf("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	var list []wanted
	var held, down []string
	for _, arg := range args {
		name, version, _ := strings.Cut(arg, "=")
		have := state.find(name)
		matches := slices.DeleteFunc(slices.Clone(offers), func(o offer) bool { return o.pkg != name })
		if len(matches) == 0 && have == nil {
			return p.fail(100, "E: Unable to locate package %s", name)
		}
		i := slices.IndexFunc(matches, func(o offer) bool {
			ok, _ := path.Match(version, o.version)
			return ok || version == ""
		})
		switch {
		case have != nil && (version == "" && i < 0 || have.version == version || i >= 0 && matches[i].version == have.version) && have.status == "installed":
			p.printf("%s is already the newest version (%s).\n", name, have.version)
			continue
		case i < 0:
			return p.fail(100, "E: Version '%s' for '%s' was not found", version, name)
		}
		w := wanted{pkg: name, version: matches[i].version, uri: matches[i].uri}
		if have != nil && have.status != "not-installed" {
			w.before = have.version
			if have.want == "hold" {
				held = append(held, name)
			}
			if compareDeb(w.version, w.before) < 0 {
				down = append(down, name)
			}
		}
		list = append(list, w)
	}
	if len(held) > 0 {
		p.printf("The following held packages will be changed:\n  %s\n", strings.Join(held, " "))
	}
	if len(down) > 0 {
		p.printf("The following packages will be DOWNGRADED:\n  %s\n", strings.Join(down, " "))
	}
	yes := set["--yes"] || set["-y"] || set["--assume-yes"]
	switch {
	case len(list) == 0:
		p.printf("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
		return 0
	case len(held) > 0 && !set["--allow-change-held-packages"]:
		return p.fail(100, "E: Held packages were changed and -y was used without --allow-change-held-packages.")
	case len(down) > 0 && !set["--allow-downgrades"]:
		return p.fail(100, "E: Packages were downgraded and -y was used without --allow-downgrades.")
	}
	p.printf("%d upgraded, 0 newly installed, %d downgraded, 0 to remove and 0 not upgraded.\n", len(list)-len(down), len(down))
	if !yes {
		p.printf("Do you want to continue? [Y/n] Abort.\n")
		return 1
	}
	if code := p.fetch(list); code != 0 || set["--download-only"] || set["-d"] {
		if code == 0 {
			p.printf("Download complete and in download only mode\n")
		}
		return code
	}
	return p.installArchives(list)
}

// dpkgInterrupted refuses to work on what an interrupted dpkg left in its journal.
func (p *process) dpkgInterrupted() int {
	entries, _ := p.readDir(dpkgUpdates)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			return p.fail(100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ")
		}
	}
	return 0
}

func archive(w wanted) string { return archives + "/" + w.pkg + "_" + w.version + "_amd64.deb" }

// fetch brings the archives that are not there yet.
func (p *process) fetch(list []wanted) int {
	for i, w := range list {
		if p.exists(archive(w)) {
			continue
		}
		if p.room(archives) != nil {
			return p.fail(100, "E: You don't have enough free space in %s/.", archives)
		}
		minor, known := p.m.minorOf(w.uri)
		if !known || !p.m.offersMinor(minor) {
			return p.fail(100, "E: Failed to fetch %s/amd64/%s  404  Not Found [IP: 10.0.0.1 443]\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?", w.uri, path.Base(archive(w)))
		}
		p.printf("Get:%d %s  %s %s [12.3 MB]\n", i+1, w.uri, w.pkg, w.version)
		if !p.sleep(900 * time.Millisecond) {
			return 100
		}
		if err := p.writeFile(archive(w), []byte("simulated package "+w.pkg+" "+w.version+"\n"), 0o644); err != nil {
			return p.fail(100, "E: Failed to fetch %s/amd64/%s  Error writing to file - write (28: %s)", w.uri, path.Base(archive(w)), reason(err))
		}
	}
	return 0
}

// installArchives unpacks and configures with dpkg, and writes the history.
func (p *process) installArchives(list []wanted) int {
	var changes []string
	for _, w := range list {
		changes = append(changes, fmt.Sprintf("%s:amd64 (%s, %s)", w.pkg, w.before, w.version))
	}
	start := time.Now().UTC()
	_ = p.appendFile("/var/log/apt/history.log", fmt.Sprintf("\nStart-Date: %s\nCommandline: %s\nUpgrade: %s\n",
		start.Format("2006-01-02  15:04:05"), p.commandLine(), strings.Join(changes, ", ")))
	p.printf("(Reading database ... 14312 files and directories currently installed.)\n")
	var err error
	for _, w := range list {
		if err = p.unpack(w); err != nil {
			break
		}
	}
	for _, w := range list {
		if err == nil {
			err = p.configure(w.pkg)
		}
	}
	if err == nil {
		err = p.clearJournal()
	}
	if p.ctx.Err() != nil {
		return 100
	}
	_ = p.appendFile("/var/log/apt/history.log", "End-Date: "+time.Now().UTC().Format("2006-01-02  15:04:05")+"\n")
	if err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			fmt.Fprintln(p.err, "dpkg: error processing archive (--unpack):\n cannot copy extracted data: failed to write (No space left on device)")
		}
		return p.fail(100, "E: Sub-process /usr/bin/dpkg returned an error code (1)")
	}
	return 0
}

func (p *process) aptRemove(c aptConfig, set map[string]bool, args []string) int {
	if code := p.lockFrontend(c); code != 0 {
		return code
	}
	state := p.status()
	for _, name := range args {
		pkg := state.find(name)
		switch {
		case pkg == nil:
			return p.fail(100, "E: Unable to locate package %s", name)
		case pkg.want == "hold" && !set["--allow-change-held-packages"]:
			return p.fail(100, "E: Held packages were changed and -y was used without --allow-change-held-packages.")
		}
		if err := p.remove("/usr/bin/" + name); err != nil {
			return p.fail(100, "E: Sub-process /usr/bin/dpkg returned an error code (1)")
		}
		pkg.want, pkg.status = "deinstall", "config-files"
	}
	if err := p.writeStatus(state); err != nil {
		return p.fail(100, "E: Sub-process /usr/bin/dpkg returned an error code (1)")
	}
	return 0
}

func aptMark(p *process) int {
	_, _, args, code := p.aptOptions()
	if code != 0 {
		return code
	}
	if len(args) == 0 {
		return p.fail(1, "apt 2.6.1 (amd64)\nUsage: apt-mark [options] {auto|manual} pkg1 [pkg2 ...]")
	}
	verb, names := args[0], args[1:]
	state := p.status()
	switch verb {
	case "showhold":
		for _, pkg := range state {
			if pkg.want == "hold" && (len(names) == 0 || slices.Contains(names, pkg.name)) {
				p.printf("%s\n", pkg.name)
			}
		}
		return 0
	case "hold", "unhold":
	default:
		return p.fail(100, "E: Invalid operation %s", verb)
	}
	if len(names) == 0 {
		return p.fail(100, "E: No packages found")
	}
	for _, name := range names {
		if state.find(name) == nil {
			return p.fail(100, "E: Unable to locate package %s\nE: No packages found", name)
		}
	}
	// dpkg takes the lock here, not apt, and dpkg does not wait, whatever DPkg::Lock::Timeout says (seen with apt 2.6.1).
	if code := p.lockDpkg(); code != 0 {
		return p.fail(100, "E: Sub-process dpkg --set-selections returned an error code (2)\nE: Executing dpkg failed. Are you root?")
	}
	for _, name := range names {
		pkg := state.find(name)
		switch {
		case verb == "hold" && pkg.want == "hold":
			p.printf("%s was already set on hold.\n", name)
		case verb == "hold":
			pkg.want = "hold"
			p.printf("%s set on hold.\n", name)
		case pkg.want != "hold":
			p.printf("%s was already not on hold.\n", name)
		default:
			pkg.want = "install"
			p.printf("Canceled hold on %s.\n", name)
		}
	}
	if err := p.writeStatus(state); err != nil {
		return p.fail(100, "E: Sub-process dpkg --set-selections returned an error code (2)")
	}
	return 0
}
