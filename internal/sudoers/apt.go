package sudoers

import "path"

// apt is what internal/host does with packages on Debian and its relatives.
func apt(s Site) (Table, []job) {
	const (
		holds  = "write down what is on hold, and put it back"
		look   = "look into the repository"
		keyWhy = "take in the key that the repository has now"
	)
	v := view(APT)
	list := v + `/kubernetes\.(list|sources)`
	isolated := words("-o", "Dir::Etc::SourceList="+list, "-o", "Dir::Etc::SourceParts=-", "-o", "Dir::State::Lists="+v+"/lists",
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
	file := entry(s, `/etc/apt/sources\.list\.d/kubernetes[A-Za-z0-9._-]*\.(list|sources)`)
	keyFolder, key := `(/etc/apt|/usr/share)/keyrings`, `kubernetes[A-Za-z0-9._-]*\.(gpg|asc)`
	sedKey := `kubernetes[A-Za-z0-9_-]*(\[\.\][A-Za-z0-9_-]+)*\[\.\](gpg|asc)`
	if s.Keyring != "" {
		sedKey = lit(sedPattern(path.Base(s.Keyring)))
		keyFolder, key = lit(path.Dir(s.Keyring)), lit(path.Base(s.Keyring))
	}
	update := words("update", "-o", "APT::Update::Error-Mode=any", "-o", "DPkg::Lock::Timeout=300")
	chosen := some(kubePackages + "=" + release)

	t := Table{
		usr("pgrep", "whether a package manager is at work", "-x", lit("apt|apt-get|aptitude|dpkg|unattended-upgr")),
		usr("find", "whether an installation was cut off", lit("/var/lib/dpkg/updates -type f -name [0-9]*")),
		{Program: "/usr/lib/apt/apt-helper", Why: keyWhy,
			Args: words("download-file", lit(s.Repository)+"/"+minor+`/deb/Release\.key`, "("+v+"|/run/pawl)"+`/Release\.asc`)},
		usr("chmod", look, "755", v),
		usr("install", look, "-d", "-m", "755", v+"/lists", v+"/lists/partial"),
		usr("apt-get", look, update, isolated),
		usr("apt-cache", look, "madison( "+isolated+")?"+some(kubePackages)),
		usr("cat", keyWhy, `/run/pawl/Release\.asc`),
		usr("test", keyWhy, "-e", keyFolder+"/"+key),
		usr("cat", keyWhy, keyFolder+"/"+key),
		usr("rm", keyWhy, "-rf", `/run/pawl/Release\.asc`),
		usr("apt-get", "read the package lists", update, "-o", "Dir::Etc::SourceList="+file, "-o", "Dir::Etc::SourceParts=-", "-o", "APT::Get::List-Cleanup=0"),
		usr("install", holds, "-d", "-m", "700", pawlFolder),
		usr("test", holds, "-e", pawlFolder+"/apt-holds"),
		usr("cat", holds, pawlFolder+"/apt-holds"),
		usr("apt-mark", holds, "hold"+some(`[a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?`)),
		usr("rm", holds, "-f", pawlFolder+"/apt-holds"),
	}
	t = append(t, source(s, "deb", file, lit("--include=*.list --include=*.sources"), lit("/etc/apt/sources.list /etc/apt/sources.list.d"))...)
	part := hidden(v, `kubernetes\.(list|sources)`)
	t = append(t,
		usr("cp", look, "--no-preserve=all", file, part),
		usr("sed", look, "--in-place( --expression="+lit(`\|`)+oldFolder(s, "deb")+lit(`|!d`)+")?", toMinor(s, "deb")+
			"( --expression="+lit("s|")+keyFolder+"/"+sedKey+lit("|")+v+`/Release\.asc`+lit("|g")+")?", part),
		usr("sync", look, part),
		usr("mv", look, "-T", part, list))
	t = append(t, writes(keyWhy, keyFolder, key, "644")...)
	t = append(t, writes(holds, pawlFolder, "apt-holds", "600")...)
	return t, []job{
		{why: "fetch packages", unit: "pawl-apt-download-" + version,
			argv: words("apt-get", "install", "--yes", "--download-only", "--allow-change-held-packages", "-o", "DPkg::Lock::Timeout=300", isolated) + chosen},
		{why: "install packages", unit: "pawl-apt-install(-" + kubePackages + ")+-" + version, open: packagesOwner,
			argv: words("apt-get", "install", "--yes", "--allow-change-held-packages", "--no-remove", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300",
				"-o", "Dpkg::Options::=--force-confold") + chosen},
		{why: "complete an installation that was cut off", unit: "pawl-dpkg-configure", argv: words("dpkg", "--force-confold", "--configure", "-a")},
	}
}
