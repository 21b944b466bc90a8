package host

import (
	"bytes"
	"context"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// aptHelper fetches files as apt does: with its proxies, credentials and certificates. It is part of apt.
const aptHelper = "/usr/lib/apt/apt-helper"

func (a apt) source(ctx context.Context, repository string) (packageSource, error) {
	all, err := a.sourcesIn(ctx, "deb", parseSources, []string{"*.list", "*.sources"}, "/etc/apt/sources.list", "/etc/apt/sources.list.d")
	if err != nil {
		return packageSource{}, err
	}
	return a.chooseSource(all, repository, "apt source", "deb", "/etc/apt/sources.list.d/kubernetes.list")
}

// isolate makes apt use lists in dir and nothing else. The machine's own lists, caches and configuration are not touched.
func (a apt) isolate(ctx context.Context, dir string, s packageSource, v upgrade.Version) (view, error) {
	const op = "look into the package repository from"
	minor := v.MinorString()
	edits := []string{s.toMinor(minor)}
	if s.signedBy != "" {
		// The key on the machine may have expired since (they are valid for about two years); the new one may be the
		// only one that counts. When it cannot be fetched, the machine's own is tried.
		key := dir + "/Release.asc"
		if r, err := a.root(ctx, aptHelper, "download-file", s.keyURI(minor), key); err != nil {
			return view{}, err
		} else if r.ExitCode == 0 {
			edits = append(edits, substitution(s.signedBy, key))
		}
	}
	list := dir + "/kubernetes.list"
	if strings.HasSuffix(s.file, ".sources") {
		list = dir + "/kubernetes.sources"
	} else { // one entry on each line
		edits = append([]string{`\|` + sedPattern(s.folderOf(s.minor)) + `|!d`}, edits...)
	}
	// What is in the view comes into the ordinary cache, where apt takes a file of the right size for the right one. So the
	// view's list is made of the machine's own, like its next one (rewriteSource).
	if err := a.edit(ctx, op, s.file, list, "--no-preserve=all", edits...); err != nil {
		return view{}, err
	}
	// Package methods run as user _apt, who must be able to read here.
	if _, err := a.must(ctx, op, "chmod", "755", dir); err != nil {
		return view{}, err
	}
	if _, err := a.must(ctx, op, "install", "-d", "-m", "755", dir+"/lists", dir+"/lists/partial"); err != nil {
		return view{}, err
	}
	options := []string{
		"-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State::Lists=" + dir + "/lists",
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
	}
	err := a.update(ctx, "read the package repository", s.base+"/"+minor, options...)
	return view{source: s, dir: dir, options: options}, err
}

func (a apt) switchTo(ctx context.Context, s packageSource, v upgrade.Version) (view, error) {
	minor := v.MinorString()
	if s.minor != minor {
		if err := a.refreshKey(ctx, s, minor); err != nil {
			return view{}, err
		}
		if err := a.rewriteSource(ctx, s, minor); err != nil {
			return view{}, err
		}
	}
	// Only this file's repositories are read: another one that is down must not stop the upgrade.
	return view{source: s}, a.update(ctx, "read the package lists of", a.node,
		"-o", "Dir::Etc::SourceList="+s.file, "-o", "Dir::Etc::SourceParts=-", "-o", "APT::Get::List-Cleanup=0")
}

// update reads package lists. Error-Mode=any makes a list that could not be fetched an error, where apt would go on
// with the old one.
func (a apt) update(ctx context.Context, op, target string, options ...string) error {
	argv := append([]string{"apt-get", "update", "-o", "APT::Update::Error-Mode=any", "-o", lockTimeout}, options...)
	r, err := a.root(ctx, argv...)
	if err != nil || r.ExitCode == 0 {
		return err
	}
	if strings.Contains(r.Stderr, "/lock") {
		return fault.New(fault.Conflict, op, target, "another package manager is running: "+remote.Tail(r.Stderr), "")
	}
	return fault.New(fault.CommandFailed, op, target, "apt-get update failed: "+remote.Tail(r.Stderr),
		"look whether the repository has that minor and can be reached")
}

// refreshKey puts the repository's present signing key in front of the keyring that the entry names: keys expire, and
// of two copies the first counts. The keyring may hold other repositories' keys, so nothing is taken out of it.
// A key that cannot be fetched is no fault here: apt verifies the repository and says so if it is needed.
func (a apt) refreshKey(ctx context.Context, s packageSource, minor string) error {
	if s.signedBy == "" {
		return nil
	}
	const op = "fetch the signing key for"
	if _, err := a.must(ctx, op, "install", "-d", "-m", "755", "/run/pawl"); err != nil {
		return err
	}
	fetched := "/run/pawl/Release.asc"
	if r, err := a.root(ctx, aptHelper, "download-file", s.keyURI(minor), fetched); err != nil || r.ExitCode != 0 {
		return err
	}
	defer a.remove(ctx, fetched)
	armoured, err := a.read(ctx, fetched)
	if err != nil {
		return err
	}
	key := []byte(armoured)
	if !strings.HasSuffix(s.signedBy, ".asc") {
		if key, err = dearmor(key); err != nil {
			return fault.Wrap(fault.CommandFailed, "read the signing key from "+s.keyURI(minor)+" for", a.node, err, "")
		}
	}
	there, err := a.exists(ctx, s.signedBy)
	if err != nil {
		return err
	}
	var old string
	if there {
		if old, err = a.read(ctx, s.signedBy); err != nil {
			return err
		}
	}
	if bytes.HasPrefix([]byte(old), key) {
		return nil
	}
	return a.write(ctx, s.signedBy, "644", append(key, old...))
}
