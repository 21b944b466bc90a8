package sudoers

import (
	"slices"
	"strings"
)

// What internal/host runs on nodes of a kubeadm cluster, whatever their package manager is. The lists are those of
// internal/host: its tests hold one against the other.

var (
	controlPlane = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	staticPods   = append(slices.Clone(controlPlane), "etcd")

	kubeletConfig   = "/var/lib/kubelet/config.yaml"
	kubeletInstance = "/var/lib/kubelet/instance-config.yaml"
	kubeletFlags    = "/var/lib/kubelet/kubeadm-flags.env"

	backedUp = []string{"/etc/kubernetes", kubeletConfig, kubeletInstance, kubeletFlags, "/etc/default/kubelet",
		"/etc/systemd/system/kubelet.service.d", "/usr/lib/systemd/system/kubelet.service.d"}
	// backedUpOf are where repositories are configured.
	backedUpOf = map[Kind][]string{
		APT:    {"/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/preferences.d"},
		DNF:    {"/etc/dnf", "/etc/yum.repos.d", "/etc/yum.conf", "/etc/pki/rpm-gpg"},
		Zypper: {"/etc/zypp", "/etc/pki/rpm-gpg"},
	}
)

const (
	manifests     = `/etc/kubernetes/manifests`
	etcdData      = `/var/lib/etcd`
	kubePackages  = `(kubeadm|kubelet|kubectl)`
	packagesOwner = "whoever controls the package repository is root, with or without pawl"
)

// downloadFolder is where a package manager's job has its view of the repository.
func downloadFolder(k Kind) string { return `/run/pawl/` + downloadJob(k) }

func downloadJob(k Kind) string { return `pawl-` + string(k) + `-download-v[0-9][0-9A-Za-z.-]*` }

// view is a folder in which repositories are looked into.
func view(k Kind) string { return `/run/pawl/(look\.[A-Za-z0-9]{8}|` + downloadJob(k) + `)` }

func kubeadm(k Kind, s Site) Table {
	t := Table{
		usr("df", "room for packages and images", "--block-size=1", "--output=avail", "/var/lib"),
		usr("find", "whether there is an etcd", etcdData, "-maxdepth", "0"),
		usr("du", "how large etcd is", "--bytes", "--summarize", "--total", etcdData),
		usr("grep", "flags of the kubelet and the control plane, public certificates", "-Rs",
			lit("--include=kubeadm-flags.env --include=kubelet --include=kubelet.service --include=*.conf --include=config.yaml --include=*.crt --include="+
				strings.Join(staticPods, ".yaml --include=")+".yaml"), "--",
			lit(" "+kubeletFlags+" /etc/default/kubelet /etc/sysconfig/kubelet /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d"+
				" /usr/lib/systemd/system/kubelet.service /usr/lib/systemd/system/kubelet.service.d "+kubeletConfig+" "+manifests+" /etc/kubernetes/pki")),
	}
	t = append(t, kubelet()...)
	t = append(t, controlPlaneNode()...)
	t = append(t, backupOfNode(k)...)
	t = append(t, transaction(k)...)
	own, packageJobs := packages(k, s)
	t = append(t, own...)
	return append(t, jobs(slices.Concat(kubeadmJobs(), packageJobs, hookJobs(s))...)...)
}

func kubelet() Table {
	return Table{
		usr("find", "which files the kubelet reads", leading(oneOf(kubeletConfig, kubeletInstance, kubeletFlags))+"-maxdepth", "0"),
		usr("cat", "the kubelet's configuration and flags", oneOf(kubeletConfig, kubeletFlags)),
		usr("stat", "whether the kubelet runs with what it is configured with", "-c", "%Y"+some(oneOf(kubeletConfig, kubeletInstance, kubeletFlags))),
		usr("readlink", "whether the kubelet that runs is the installed one", "/proc/"+number+"/exe"),
		usr("systemctl", "restart the kubelet", "daemon-reload"),
		usr("systemctl", "restart the kubelet", "restart", `kubelet\.service`),
	}
}

func controlPlaneNode() Table {
	const restore = "put back a manifest that kubeadm was cut off from writing"
	pods := oneOf(staticPods...)
	written := manifests + "/" + pods + `\.yaml`
	backups := `/etc/kubernetes/tmp/kubeadm-backup-manifests[A-Za-z0-9-]*/` + pods + `\.yaml`
	temporary := hidden(manifests, pods+`\.yaml`)
	return Table{
		usr("find", "which components the node runs", leading(manifests+"/"+oneOf(controlPlane...)+`\.yaml`)+"-maxdepth", "0"),
		usr("cat", "the components' versions", manifests+"/"+oneOf(controlPlane...)+`\.yaml`),
		usr("pgrep", "whether another kubeadm runs", "-f", lit("[k]ubeadm (upgrade|init|join|reset)")),
		usr("test", "whether a manifest is missing", "-e", written),
		usr("find", "kubeadm's own backups of manifests", lit("/etc/kubernetes/tmp -mindepth 2 -maxdepth 2 -path /etc/kubernetes/tmp/kubeadm-backup-manifests* -name *.yaml -size +0")),
		usr("cp", restore, "--preserve=mode,ownership", backups, temporary),
		usr("sync", restore, temporary),
		usr("mv", restore, "-T", temporary, written),
		usr("kubectl", "wait for restored components", `--kubeconfig=/etc/kubernetes/admin\.conf`, "--namespace=kube-system", "wait", "--for=condition=Ready", "--timeout=10s"+some(`pod/`+name)),
	}
}

// backupOfNode are backups of files, and of etcd's snapshot, which etcd itself wrote into its folder.
func backupOfNode(k Kind) Table {
	const keep = "keep etcd's snapshot"
	all := slices.Concat(backedUp, backedUpOf[k])
	var relative []string
	for _, file := range all {
		relative = append(relative, strings.TrimPrefix(file, "/"))
	}
	snapshot, kept := etcdData+`/[A-Za-z0-9][A-Za-z0-9._-]*\.db`, backup+`/etcd-snapshot\.db`
	part := hidden(backup, `etcd-snapshot\.db`)
	t := Table{
		usr("find", "what there is to back up", leading(oneOf(all...))+"-maxdepth", "0"),
		usr("du", "room for a backup", "--bytes", "--summarize", "--total"+some(oneOf(all...))),
	}
	t = append(t, backups(oneOf(relative...), "--exclude=etc/kubernetes/tmp")...)
	return append(t,
		usr("test", keep, "-e", either(snapshot, kept)),
		usr("stat", keep, "-c", "%s", either(snapshot, kept)),
		usr("stat", keep, "-c", "%d", snapshot, backup),
		usr("chmod", keep, "600", snapshot),
		usr("chown", keep, "0:0", snapshot),
		usr("sync", keep, either(snapshot, part)),
		usr("mv", keep, "-T", either(snapshot, part), kept),
		usr("install", keep, "-m", "600", "/dev/null", part),
		usr("cp", keep, "--no-preserve=all", snapshot, part),
		usr("cmp", keep, snapshot, part),
		usr("rm", keep, "-f", snapshot),
	)
}

// transaction is what is done with packages, whatever the package manager is.
func transaction(k Kind) Table {
	return Table{
		usr("install", "a folder to look into the repository from", "-d", "-m", "755", "/run/pawl"),
		usr("install", "a folder to look into the repository from", "-d", "-m", "755", "/run/pawl", downloadFolder(k)),
		usr("mktemp", "a folder to look into the repository from", "-d", `/run/pawl/look\.XXXXXXXX`),
		usr("rm", "a folder to look into the repository from", "-rf", view(k)),
	}
}

// packages are what differs between package managers, and their jobs.
func packages(k Kind, s Site) (Table, []job) {
	switch k {
	case DNF:
		return dnf(s)
	case Zypper:
		return zypper(s)
	default:
		return apt(s)
	}
}

// source is how the machine's entry of the repository is found and made to name another minor, which is all that may be
// changed in it.
func source(s Site, folder, file, patterns, looked string) Table {
	const why = "name another minor in the repository's entry"
	i := strings.LastIndexByte(file, '/')
	part := hidden(file[:i], file[i+1:])
	return Table{
		usr("grep", "find the repository's entry", "-RlsE", patterns, lit("/v[0-9]+[.][0-9]+/"+folder), looked),
		usr("cat", "read the repository's entry", file),
		usr("cp", why, "--preserve=all", file, part),
		usr("sed", why, "--in-place", toMinor(s, folder), part),
		usr("sync", why, part),
		usr("mv", why, "-T", part, file),
	}
}

// entry is the pattern of the file that has the repository's entry.
func entry(s Site, usual string) string {
	if s.SourceFile != "" {
		return lit(s.SourceFile)
	}
	return usual
}

// toMinor is the command of sed(1) that makes an entry name another minor.
func toMinor(s Site, folder string) string {
	return lit("--expression=s|") + oldFolder(s, folder) + lit("|"+s.Repository+"/") + minor + "/" + folder + lit("|g")
}

func oldFolder(s Site, folder string) string {
	return lit(sedPattern(s.Repository+"/")) + minorOfSed + "/" + folder
}

// minorOfSed is a minor as a pattern of sed(1): v1[.]37.
const minorOfSed = `v[0-9]+\[\.\][0-9]+`

// sedPattern is an address as a pattern of sed(1).
func sedPattern(text string) string { return strings.ReplaceAll(text, ".", "[.]") }

func kubeadmJobs() []job {
	ignored := `( --ignore-preflight-errors=[A-Za-z0-9,-]+)?`
	return []job{
		{why: "fetch images of the control plane", unit: "pawl-kubeadm-images-pull-" + version,
			argv: words("kubeadm", "config", "images", "pull", "--kubernetes-version="+version+`( --image-repository=[A-Za-z0-9./:_-]+)?`)},
		{why: "upgrade the control plane", unit: "pawl-kubeadm-upgrade-apply-" + version, argv: words("kubeadm", "upgrade", "apply", version, "--yes"+ignored)},
		{why: "upgrade a node", unit: "pawl-kubeadm-upgrade-node-" + version, argv: words("kubeadm", "upgrade", "node"+ignored)},
	}
}

// hookJobs are the commands that a definition adds: just these.
func hookJobs(s Site) []job {
	var env []string
	for _, name := range []string{"CLUSTER", "NODE", "FROM", "TO", "EVENT", "PART"} {
		env = append(env, "PAWL_"+name+"=[A-Za-z0-9._/-]*") // by hand, a part is cp1/etcd-v3.7.0
	}
	var all []job
	for _, argv := range s.Hooks {
		var patterns []string
		for _, arg := range argv {
			patterns = append(patterns, lit(strings.ReplaceAll(arg, "$", "$$"))) // systemd's way to write a dollar
		}
		all = append(all, job{why: "a hook: " + argv[0], unit: "pawl-hook-[0-9a-f]{12}", timed: true,
			env: env, argv: words(patterns...), open: "as much as this program can be made to do"})
	}
	return all
}
