package sudoers

// What internal/host does with packages of RPM: with dnf, and with zypper.

// section is the name of a repository in a .repo file.
const section = `[A-Za-z0-9_][A-Za-z0-9._:-]*`

// rpm is what both have in common.
func rpm(k Kind, s Site, folder string) Table {
	const look = "look into the repository"
	repositories := view(k) + `/repos\.d`
	t := Table{
		usr("rpm", "whether packages are whole", "--verify", "--nodeps", "--noscripts", "--nomtime", "--nomode", "--nouser", "--nogroup"+some(kubePackages)),
		usr("pgrep", "whether a package manager is at work", "-x", lit("dnf|dnf5|yum|rpm|zypper|packagekitd")),
		usr("rpm", "take back what an interrupted installation left", "--erase", "--justdb", "--noscripts", "--nodeps"+some(kubePackages+"-"+release)),
		usr("install", look, "-d", "-m", "755", view(k), repositories),
	}
	t = append(t, writes(look, repositories, `kubernetes\.repo`, "600")...)
	return append(t, source(s, "rpm", entry(s, folder+`/kubernetes[A-Za-z0-9._-]*\.repo`), lit("--include=*.repo"), folder)...)
}

func dnf(s Site) (Table, []job) {
	const (
		look  = "look into the repository"
		locks = "let version locks follow the packages"
	)
	v := view(DNF)
	cache := "--setopt=cachedir=" + v + "/cache( --setopt=system_cachedir=" + v + "/cache)?"
	isolated := words("--setopt=reposdir="+v+`/repos\.d`, "--repo="+section)
	own := words("--enablerepo="+section, lit("--setopt=*.skip_if_unavailable=True"))
	unlocked := `(--setopt=disable_excludes=main,` + section + ` --disableplugin=versionlock|--setopt=disable_excludes=\*)`
	lock := `/etc/dnf/(plugins/versionlock\.list|versionlock\.toml)`

	t := Table{
		usr("dnf", look, "makecache", "--refresh", isolated, cache),
		usr("dnf", "read the repository", "makecache", "--refresh", "--assumeyes", "--repo="+section, "--setopt="+section+`\.skip_if_unavailable=False`),
		usr("dnf", look, "repoquery", "--quiet", lit(`--queryformat=%{name} %{version}-%{release}\n`), either(isolated, own), unlocked, either(cache, "--repo="+section)+some(kubePackages)),
		usr("find", locks, lock, "-maxdepth", "0"),
		usr("cat", locks, lock),
	}
	t = append(t, rpm(DNF, s, lit("/etc/yum.repos.d"))...)
	t = append(t, writes(locks, "/etc/dnf/plugins", `versionlock\.list`, "644")...)
	t = append(t, writes(locks, "/etc/dnf", `versionlock\.toml`, "644")...)
	chosen := some(kubePackages + "-" + release)
	return t, []job{
		{why: "fetch packages", unit: "pawl-dnf-download-" + version,
			argv: words("dnf", "install", "--assumeyes", "--downloadonly", "--setopt=keepcache=True", "--setopt=install_weak_deps=False", isolated, unlocked) + chosen},
		{why: "install packages", unit: "pawl-dnf-install(-" + kubePackages + ")+-" + version, open: packagesOwner,
			argv: words("dnf", "install", "--assumeyes", "--setopt=keepcache=True", "--setopt=install_weak_deps=False", own, unlocked) + chosen},
	}
}

func zypper(s Site) (Table, []job) {
	const (
		look  = "look into the repository"
		locks = "pass over locks on the packages"
	)
	v, own := view(Zypper), "/run/pawl/zypper"
	isolated := words("--reposd-dir", v+`/repos\.d`, "--cache-dir", v+"/cache", "--pkg-cache-dir", "/var/cache/zypp/packages")
	conf := `ZYPP_CONF=` + either(v, own) + `/zypp\.conf`
	begin := "ZYPP_LOCK_TIMEOUT=300( " + conf + ")? zypper --non-interactive"
	template := `((/usr)?/etc/zypp/zypp\.conf|/etc/zypp/locks)`
	named := lit("--expression=$alocksfile.path=") + either(v, own) + "/locks"
	part := hidden(either(v, own), `zypp\.conf`)

	t := Table{
		usr("env", look, begin, isolated, "refresh", "--force", "--repo", section),
		usr("env", "read the repository", begin, "--gpg-auto-import-keys", "refresh", "--force", "--repo", section),
		usr("env", look, begin, "--no-refresh", "--xmlout( "+isolated+")?", "search", "--details", "--match-exact", "--type", "package", "--repo", section+some(kubePackages)),
		usr("install", locks, "-d", "-m", "755", "/run/pawl", own),
		usr("test", locks, "-e", own),
		usr("rm", locks, "-rf", own),
		usr("find", locks, "/etc/zypp/locks( /etc/zypp/zypp\\.conf /usr/etc/zypp/zypp\\.conf)?", "-maxdepth", "0"),
		usr("cat", locks, "/etc/zypp/locks"),
		usr("cp", locks, "--no-preserve=all", template, part),
		usr("sed", locks, "--in-place", lit("--expression=$a[main]"), named, part),
		usr("sed", locks, "--in-place", named, lit("--expression=1!d --expression=s|.*|[main]|g"), part),
		usr("sync", locks, part),
		usr("mv", locks, "-T", part, either(v, own)+`/zypp\.conf`),
	}
	t = append(t, rpm(Zypper, s, lit("/etc/zypp/repos.d"))...)
	t = append(t, writes(locks, either(v, own), "locks", "644")...)
	chosen := some(kubePackages + "=" + release)
	install := func(options ...string) string {
		return words("zypper", "--non-interactive", "--no-refresh") + words(options...) + chosen
	}
	// Both with and without a configuration of its own: only where packages are locked has zypper one.
	var all []job
	for _, env := range [][]string{{"ZYPP_LOCK_TIMEOUT=300"}, {"ZYPP_LOCK_TIMEOUT=300", conf}} {
		all = append(all,
			job{why: "fetch packages", unit: "pawl-zypper-download-" + version, env: env, argv: install(" "+isolated, "install", "--no-recommends", "--download-only")},
			job{why: "install packages", unit: "pawl-zypper-install(-" + kubePackages + ")+-" + version, env: env, open: packagesOwner, argv: install(" install", "--no-recommends")})
	}
	return t, all
}
