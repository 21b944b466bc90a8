package sudoers

import "slices"

// What internal/binaries runs on hosts whose Kubernetes was installed by hand.

var (
	unitComponents = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "etcd", "containerd"}
	programs       = slices.Concat(unitComponents, []string{"kubectl", "etcdctl", "etcdutl", "runc", "containerd-shim-runc-v2", "ctr", "containerd-stress",
		"loopback", "bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan", "macvlan", "portmap", "ptp", "sbr", "static",
		"tap", "tuning", "vlan", "vrf"})
)

const (
	own        = pawlFolder + `/binaries`
	sumFile    = own + `/[A-Za-z0-9][A-Za-z0-9._+-]*\.sha256`
	archive    = own + `/[A-Za-z0-9][A-Za-z0-9._-]*(\.tar\.gz|\.tgz)`
	part       = own + `/\.[A-Za-z0-9][A-Za-z0-9._-]*\.pawl`
	unitFolder = `(/etc|/run|/usr/lib|/usr/local/lib|/lib)/systemd/system`
	mirrorIsIt = "whoever controls the mirror is root, with or without pawl"
)

func byHand(s Site) Table {
	t := slices.Concat(lookAtUnits(s), lookAtPrograms(s), fetch(s), swap(s), gates(s), etcd(s))
	t = append(t,
		usr("find", "what of it is to be backed up", "-L"+some(anyFile), lit("-maxdepth 0 ( -type f -size -1024k -o -path /etc/kubernetes )")),
		usr("du", "room for a backup or a program", "--bytes", "--summarize", "--total"+some(anyFile)))
	t = append(t, backups(`[A-Za-z0-9_][A-Za-z0-9._/@:+-]*`, "")...)
	return append(t, jobs(slices.Concat(fetchJobs(s), snapshotJobs(s), hookJobs(s))...)...)
}

// lookAtUnits: what units are made of.
func lookAtUnits(s Site) Table {
	const why = "units of components, and the files that they name"
	component := oneOf(unitComponents...)
	files := []string{unitFolder + `/(` + name + `\.d/)?` + name + `\.(service|conf)`,
		`/etc/(default|sysconfig|kubernetes|etcd)/` + component,
		`/(etc|var/lib)/(kubernetes|etcd|containerd|kubelet|kube-proxy|kube-scheduler|kube-controller-manager)/(config/)?(` + component + `[A-Za-z0-9._-]*|config)\.(yaml|yml|json|env)`}
	for _, file := range s.Files {
		files = append(files, lit(file))
	}
	return Table{
		usr("cat", why, either(files...)),
		usr("find", "drop-ins of units", leading(unitFolder+"/"+name+`\.service\.d`)+lit("-maxdepth 1 -name *.conf")),
		// ? and * apart: side by side sudo takes them for an operator that POSIX lacks, and with it the rule for none at all.
		usr("find", "environment files by a pattern", anyFile, "-maxdepth", "1", "-name", `[?A-Za-z0-9._*@+]([][?A-Za-z0-9._*@+-])*`),
		usr("find", "whether files are there", "(/|"+anyFile+")( /| "+anyFile+")*", "-maxdepth", "0"),
		usr("test", "whether files are there", "-e", anyFile),
	}
}

// places are patterns of where programs are.
type places struct {
	folder    string
	program   string // in a folder
	versioned string // the same, or a version of it beside it
	staged    string // a version that is being brought, or the folder that it is unpacked in
	any       string // all of these, written once, as a pattern may not be long
}

func placesOf(s Site) places {
	folder, program := oneOf(s.Folders...), oneOf(programs...)
	staged := folder + `/\.[a-z0-9-]+\.` + version + `\.pawl`
	return places{
		folder: folder, program: folder + "/" + program, versioned: folder + "/" + program + `(\.` + version + `)?`,
		staged: staged,
		any:    folder + `/\.?` + program + `(\.` + version + `)?(\.pawl)?(/[a-z0-9-]+)?`,
	}
}

func lookAtPrograms(s Site) Table {
	const why = "which program a process is of"
	p := placesOf(s)
	return Table{
		usr("readlink", why, "-f", anyFile),
		usr("readlink", why, "/proc/"+number+"/exe"),
		usr("stat", why, "-L", "-c", lit("%d:%i"), anyFile, anyFile),
		usr("timeout", "a program's version, where not everybody may run it", "20", p.any+`( --version| version| version --client)?`),
		usr("timeout", "which flags a new program knows, where not everybody may run it", "20", p.versioned+`( --help( --?[A-Za-z][^[:space:]]*)*|( --?[A-Za-z][^[:space:]]*)* --help)`),
	}
}

// fetch: new programs beside those in use.
func fetch(s Site) Table {
	const why = "bring a new program beside the one in use"
	p := placesOf(s)
	both := p.staged + `(/[a-z0-9-]+)?`
	t := Table{
		usr("curl", "a release's checksum", curl(), "--max-time", "60", "--", mirror(s)),
		usr("df", "room for a new program", "--block-size=1", "--output=avail", p.folder),
		usr("install", why, "-d", "-m", "700", pawlFolder, own),
		usr("install", why, "-d", "-m", "700", p.staged),
		usr("sha256sum", "whether it is what was released", "--", either(p.any, archive, part)),
		usr("rm", why, "-f", either(p.staged, part)),
		usr("mv", why, "-T", part, archive),
		usr("tar", why, "--list", "--file="+archive),
		usr("tar", why, "--extract", "--file="+archive, "--directory="+p.staged, "--no-same-owner", lit("--transform=s,.*/,,"), "--", `[A-Za-z0-9.][A-Za-z0-9._-]*(/`+oneOf(programs...)+`)?`),
		usr("chown", why, "0:0", both),
		usr("chmod", why, "755", both),
		usr("sync", why, both),
		usr("mv", why, "-T", both, p.versioned),
		usr("rmdir", why, p.staged),
		usr("cat", "whether it is what was fetched", sumFile),
	}
	return append(t, writes("whether it is what was fetched", own, `[A-Za-z0-9][A-Za-z0-9._+-]*\.sha256`, "600")...)
}

// curl is the part that its command lines share.
func curl() string {
	return lit("--fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http --retry 3")
}

// mirror is a file of a mirror; no part of its path begins with a dot.
func mirror(s Site) string {
	return oneOf(s.Mirrors...) + `(/[A-Za-z0-9_][A-Za-z0-9._+-]*)+`
}

func fetchJobs(s Site) []job {
	to := either(placesOf(s).staged, part)
	return []job{{why: "download a program", unit: "pawl-fetch-[A-Za-z0-9._-]+-" + version, timed: true, open: mirrorIsIt,
		argv: words("curl", curl(), "--output", to, "--", mirror(s))}}
}

// swap: by one rename, the old one keeping a name of its own.
func swap(s Site) Table {
	const why = "put a program into its place, and the old one beside it"
	p := placesOf(s)
	next := p.folder + `/\.` + oneOf(programs...) + `(\.` + version + `)?\.pawl`
	components := oneOf(unitComponents...) + `(@[A-Za-z0-9_-]*)?\.service`
	return Table{
		usr("rm", why, "-f", next),
		usr("ln", why, "--no-target-directory", "--physical", p.versioned, next),
		usr("mv", why, "-T", "--force", next, p.versioned),
		usr("sync", why, p.folder),
		usr("systemctl", "restart a component", "daemon-reload"),
		usr("systemctl", "restart a component", "reset-failed", components),
		usr("systemctl", "restart a component", "restart", "--no-block", components),
	}
}

// gates: whether components serve.
func gates(s Site) Table {
	folder := placesOf(s).folder
	return Table{
		usr("curl", "an API server that answers nobody without a certificate", lit(`--silent --show-error --max-time 10 --noproxy * --insecure --write-out \n%{http_code}`),
			"--cert", anyFile, "--key", anyFile, endpoint+`/(readyz|version|healthz)`),
		usr("timeout", "whether containerd answers", "20", folder+`/ctr( --address /run/[A-Za-z0-9._/-]+\.sock)?`, "version"),
		usr("journalctl", "what a component said last", "--no-pager", "--output=cat", "--lines=40", "_SYSTEMD_UNIT="+oneOf(unitComponents...)+`(@[A-Za-z0-9_-]*)?\.service`+
			"( _SYSTEMD_INVOCATION_ID=[0-9a-f]{32})?"),
	}
}

const etcdTLS = `( --cacert=` + anyFile + `)?( --cert=` + anyFile + `)?( --key=` + anyFile + `)?`

func etcd(s Site) Table {
	const keep = "keep etcd's snapshot"
	folder := placesOf(s).folder
	snapshot := `etcd-snapshot\.db`
	written := hidden(backup, snapshot)
	t := Table{
		usr("env", "whether etcd is well", "ETCDCTL_API=3", folder+"/etcdctl", "--endpoints="+endpoint, "--dial-timeout=3s", "--command-timeout=8s"+etcdTLS,
			`(endpoint health --cluster|member list --write-out=json|endpoint status --cluster --write-out=json)`),
		usr("test", keep, "-e", backup+"/"+snapshot),
		usr("chown", keep, "0:0", written),
		usr("chmod", keep, "600", written),
		usr("sync", keep, written),
		usr("mv", keep, "-T", written, backup+"/"+snapshot),
	}
	for _, folder := range s.Folders {
		t = append(t, Rule{Program: folder + "/etcdutl", Why: "whether etcd's snapshot is whole",
			Args: words("snapshot", "status", either(written, backup+"/"+snapshot), "--write-out=json")})
	}
	return t
}

func snapshotJobs(s Site) []job {
	folder := placesOf(s).folder
	return []job{{why: "take a snapshot of etcd", unit: "pawl-etcd-snapshot-[A-Za-z0-9][A-Za-z0-9._-]*-[0-9]", env: []string{"ETCDCTL_API=3"}, timed: true,
		argv: words(folder+"/etcdctl", "--endpoints="+endpoint+etcdTLS, "snapshot", "save", hidden(backup, `etcd-snapshot\.db`))}}
}
