package sudoers

import "slices"

// What internal/remote does on every kind of host.

// job is a command that runs as a transient unit.
type job struct {
	why   string
	unit  string   // pattern, without .service
	env   []string // patterns of NAME=value
	timed bool     // it has a time limit
	argv  string   // pattern
	open  string
}

const jobPath = `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`

func (j job) rule() Rule {
	args := []string{"--quiet", "--no-block", "--unit=" + j.unit, "--property=Type=oneshot", "--property=RemainAfterExit=yes",
		"--setenv=HOME=/root", `--setenv=LC_ALL=C\.UTF-8`, "--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=NEEDRESTART_SUSPEND=1",
		"--setenv=PATH=" + jobPath}
	for _, env := range j.env {
		args = append(args, "--setenv="+env)
	}
	if j.timed {
		args = append(args, "--property=TimeoutStartSec="+number+"ms")
	}
	r := usr("systemd-run", j.why, append(args, "--", j.argv)...)
	r.Open = j.open
	return r
}

// jobs are the rules for jobs: to begin each, to read what they said, to forget them.
func jobs(all ...job) []Rule {
	var rules []Rule
	var units []string
	for _, j := range all {
		rules = append(rules, j.rule())
		if !slices.Contains(units, j.unit) {
			units = append(units, j.unit)
		}
	}
	return append(rules,
		usr("journalctl", "what a job said", "--sync"),
		usr("journalctl", "what a job said", "--no-pager", "--output=cat", "--lines=2000", "_SYSTEMD_INVOCATION_ID=[0-9a-f]+"),
		usr("systemctl", "forget a job that has ended", "(stop|reset-failed)", either(units...)+`\.service`),
	)
}

// backups are the rules for backups of files. exclude is what tar leaves out, a pattern of whole arguments.
func backups(sources, exclude string) []Rule {
	const why = "back up into a folder that only root can read"
	archive := hidden(backup, `files\.tar`)
	create := words("--create", "--file="+archive, "--numeric-owner")
	if exclude != "" {
		create = words(create, exclude)
	}
	return append([]Rule{
		usr("test", "whether a backup is complete", "-e", backup+"/SHA256SUMS"),
		usr("cat", "whether a backup is complete", backup+"/SHA256SUMS"),
		usr("sha256sum", "whether a backup is whole", "--"+some(backupFile)),
		usr("install", why, "-d", "-m", "700", pawlFolder, backupFolder, backup),
		usr("df", "room for a backup", "--block-size=1", "--output=avail", backup),
		usr("install", why, "-m", "600", "/dev/null", archive),
		usr("tar", why, words(create, "--directory=/", "--")+some(sources)),
		usr("tar", why, "--list", "--file="+archive),
		usr("sync", why, archive),
		usr("mv", why, "-T", archive, backup+`/files\.tar`),
	}, writes(why, backup, `[A-Za-z0-9][A-Za-z0-9._-]*`, "600")...)
}
