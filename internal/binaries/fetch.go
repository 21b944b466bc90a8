package binaries

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// downloadTime is how long one download may take.
const downloadTime = 30 * time.Minute

// versioned is the name that a version of the file at p has beside it.
func versioned(p string, v upgrade.Version) string { return p + "." + v.String() }

// Fetch brings the new binary of a change, and what goes along with it, beside the one that is in use, under a name with
// the version. Its checksum is compared, and it says its version, before it gets that name. Nothing that runs is touched.
func (h *Host) Fetch(ctx context.Context, source upgrade.BinarySource, change upgrade.BinaryChange) error {
	const op = "fetch"
	c, err := h.one(ctx, op, change.Component)
	if err != nil {
		return err
	}
	if c.OnDisk == change.To {
		return nil
	}
	if err := h.noPackage(ctx, op, c); err != nil {
		return err
	}
	staged, err := h.staged(ctx, op, c, change.To)
	if err != nil || staged {
		return err
	}
	machine, err := h.machine(ctx)
	if err != nil {
		return err
	}
	arch := archs[machine]
	if arch == "" {
		return fault.New(fault.PreflightFailed, op+" "+c.Component+" for", h.node, fmt.Sprintf("there are no binaries for the architecture %q", machine), "")
	}
	want, err := h.wantedSum(ctx, source, change, arch)
	if err != nil {
		return err
	}
	if err := h.roomFor(ctx, op, c); err != nil {
		return err
	}
	if _, err := h.on.Must(ctx, op, "install", "-d", "-m", "700", path.Dir(h.folder), h.folder); err != nil {
		return err
	}
	rel := c.kind.release(change.To, arch)
	if rel.archive {
		return h.fetchArchive(ctx, source, c, change.To, rel, want)
	}
	part := remote.Hidden(versioned(c.Path, change.To))
	if err := h.download(ctx, c.Component, change.To, c.kind.base(source), rel.file, part, want); err != nil {
		return err
	}
	return h.stage(ctx, c, c.Path, change.To, part)
}

// noPackage returns nil when no package brought the binary.
func (h *Host) noPackage(ctx context.Context, op string, c component) error {
	problem, err := h.packaged(ctx, c)
	if err == nil && problem != "" {
		err = fault.New(fault.PreflightFailed, op+" "+c.Component+" on", h.node, problem, "upgrade it by its package manager")
	}
	return err
}

// packaged says which package brought the binary, if one did: it would come back with the package's next upgrade.
func (h *Host) packaged(ctx context.Context, c component) (problem string, err error) {
	for _, argv := range [][]string{{"dpkg-query", "--search", "--"}, {"rpm", "--query", "--file", "--"}} {
		for _, file := range []string{c.Path, c.LinksTo} {
			if file == "" {
				continue
			}
			r, err := h.on.User(ctx, append(argv, file)...)
			if err != nil {
				return "", err
			}
			if r.ExitCode == 0 {
				return file + " belongs to a package: " + remote.Tail(r.Stdout), nil
			}
		}
	}
	return "", nil
}

// roomFor returns nil when the new binary fits beside the old one, even if it has grown by half.
func (h *Host) roomFor(ctx context.Context, op string, c component) error {
	size, err := h.on.Size(ctx, c.Path)
	if err != nil {
		return err
	}
	return h.on.Room(ctx, op+" "+c.Component+" for", path.Dir(c.Path), size*3/2)
}

// wantedSum asks the source for the checksum of a release, and so whether there is such a release.
func (h *Host) wantedSum(ctx context.Context, source upgrade.BinarySource, change upgrade.BinaryChange, arch string) (string, error) {
	const op = "look for"
	k, known := kindOf(change.Component)
	if !known {
		return "", fault.New(fault.InvalidInput, op, change.Component, "it is no component that pawl replaces", "")
	}
	rel := k.release(change.To, arch)
	from, err := address(k.base(source), rel.sums)
	if err != nil {
		return "", err
	}
	r, err := h.on.Root(ctx, append(curl(), "--max-time", "60", "--", from)...)
	if err != nil {
		return "", err
	}
	switch {
	case r.ExitCode == 127:
		return "", fault.New(fault.PreflightFailed, op+" "+change.Component+" on", h.node, "there is no curl to download with", "install curl")
	case r.ExitCode == 22 || r.ExitCode == 37: // the server said no; there is no such file
		return "", fault.New(fault.PreflightFailed, op, from, remote.Tail(r.Stderr), "look whether the source has that version for "+arch)
	case r.ExitCode != 0:
		return "", fault.New(fault.Unreachable, op, from, remote.Tail(r.Stderr), "look whether the host reaches it")
	}
	sum, ok := sumOf(r.Stdout, rel.file)
	if !ok {
		return "", fault.New(fault.VerificationFailed, op, from, "it has no SHA-256 sum of "+path.Base(rel.file), "")
	}
	return sum, nil
}

// curl is its command line up to where each use differs. A source's address may lead to others, but never to other
// protocols than these.
func curl() []string {
	return []string{"curl", "--fail", "--silent", "--show-error", "--location", "--proto", "=https,http,file", "--proto-redir", "=https,http", "--retry", "3"}
}

// address is that of a file below a base.
func address(base, file string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http" && (u.Scheme != "file" || u.Host != "")) {
		return "", fault.New(fault.InvalidInput, "use the source", "of binaries", "its address is none of https, http or file:/// without a user, a query and a fragment", "")
	}
	return u.JoinPath(strings.Split(file, "/")...).String(), nil
}

// download downloads a file to part, as a job of the host, and compares its checksum.
func (h *Host) download(ctx context.Context, name string, v upgrade.Version, base, file, part, want string) error {
	op := "download " + name + " " + v.String()
	from, err := address(base, file)
	if err != nil {
		return err
	}
	j := remote.Job{Unit: "pawl-fetch-" + name + "-" + v.String(), Argv: append(curl(), "--output", part, "--", from), Most: downloadTime}
	if _, _, err := h.on.AwaitJob(ctx, j); err != nil { // of an attempt that was cut off
		return err
	}
	if !h.hasSum(ctx, part, want) {
		end, err := h.on.RunJob(ctx, j)
		if err != nil {
			return err
		}
		if end.Failure != "" {
			return fault.New(fault.CommandFailed, op+" on", h.node, "curl failed ("+end.Failure+"): "+remote.Tail(end.Output), "")
		}
	}
	have, err := h.sum(ctx, part)
	if err != nil {
		return err
	}
	if have != want {
		if _, err := h.on.Must(ctx, op, "rm", "-f", part); err != nil {
			return err
		}
		return fault.New(fault.VerificationFailed, op+" on", h.node, fmt.Sprintf("%s has the SHA-256 sum %s, wanted %s", from, have, want),
			"find out who changed it before going on")
	}
	return nil
}

func (h *Host) hasSum(ctx context.Context, file, want string) bool {
	have, err := h.sum(ctx, file)
	return err == nil && have == want
}

func (h *Host) sum(ctx context.Context, file string) (string, error) {
	out, err := h.on.Must(ctx, "read "+file, "sha256sum", "--", file)
	sum, _, _ := strings.Cut(strings.TrimPrefix(out, `\`), " ")
	return sum, err
}

// fetchArchive downloads a release's archive and stages what of it the host has.
func (h *Host) fetchArchive(ctx context.Context, source upgrade.BinarySource, c component, v upgrade.Version, rel release, want string) error {
	const op = "unpack"
	archive := h.folder + "/" + path.Base(rel.file)
	if !h.hasSum(ctx, archive, want) { // other components of the same archive may have brought it
		part := remote.Hidden(archive)
		if err := h.download(ctx, path.Base(rel.file), v, c.kind.base(source), rel.file, part, want); err != nil {
			return err
		}
		if _, err := h.on.Must(ctx, op, "mv", "-T", part, archive); err != nil {
			return err
		}
	}
	targets, err := h.along(ctx, c)
	if err != nil {
		return err
	}
	list, err := h.on.Must(ctx, op, "tar", "--list", "--file="+archive)
	if err != nil {
		return err
	}
	members := strings.Split(list, "\n")
	for _, target := range targets {
		if target != c.Path && !slices.Contains(members, rel.in+path.Base(target)) {
			continue // this version lacks it
		}
		// In a folder of its own beside the target, so that a rename brings it there.
		folder := remote.Hidden(versioned(target, v))
		member := rel.in + path.Base(target)
		for _, argv := range [][]string{
			{"install", "-d", "-m", "700", folder},
			{"tar", "--extract", "--file=" + archive, "--directory=" + folder, "--no-same-owner", "--transform=s,.*/,,", "--", member},
		} {
			if _, err := h.on.Must(ctx, op, argv...); err != nil {
				return err
			}
		}
		if err := h.stage(ctx, c, target, v, folder+"/"+path.Base(target)); err != nil {
			return err
		}
		if _, err := h.on.Must(ctx, op, "rmdir", folder); err != nil {
			return err
		}
	}
	return nil
}

// along are the paths that change together: the component's own, last, and before it those of its release that are there.
func (h *Host) along(ctx context.Context, c component) ([]string, error) {
	var paths []string
	for _, name := range c.kind.along {
		paths = append(paths, path.Dir(c.Path)+"/"+name)
	}
	return h.on.Existing(ctx, append(paths, c.Path)...)
}

// stage gives a file that was verified its name beside target. Only the component itself is asked for its version: not
// everything that goes along has one to say.
func (h *Host) stage(ctx context.Context, c component, target string, v upgrade.Version, part string) error {
	op := "stage " + path.Base(target)
	for _, argv := range [][]string{{"chown", "0:0", part}, {"chmod", "755", part}} {
		if _, err := h.on.Must(ctx, op, argv...); err != nil {
			return err
		}
	}
	if target == c.Path {
		have, problem, err := h.saysVersion(ctx, c.kind, part, false)
		if err != nil {
			return err
		}
		if have != v {
			if problem == "" {
				problem = "it says that it is " + have.String() + ", wanted " + v.String()
			}
			return fault.New(fault.VerificationFailed, op+" on", h.node, problem, "look whether the source has a binary of this host's architecture under that version")
		}
	}
	sum, err := h.sum(ctx, part)
	if err != nil {
		return err
	}
	file := versioned(target, v)
	// The sum goes first: a staged file without one is never taken for a good one.
	if err := h.on.Write(ctx, h.sumFile(file), "600", []byte(sum+"\n")); err != nil {
		return err
	}
	for _, argv := range [][]string{{"sync", part}, {"mv", "-T", part, file}} {
		if _, err := h.on.Must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// sumFile is where the checksum of a staged file is kept.
func (h *Host) sumFile(file string) string {
	return h.folder + "/" + strings.ReplaceAll(strings.TrimPrefix(file, "/"), "/", "-") + ".sha256"
}

// staged reports whether Fetch has done its work: everything that changes together lies there, unchanged since; the
// component itself is brought last. A file of that name that Fetch did not put there is fault.VerificationFailed.
func (h *Host) staged(ctx context.Context, op string, c component, v upgrade.Version) (bool, error) {
	targets, err := h.along(ctx, c)
	if err != nil {
		return false, err
	}
	for _, target := range targets {
		file := versioned(target, v)
		there, err := h.on.Existing(ctx, file, h.sumFile(file))
		if err != nil {
			return false, err
		}
		if len(there) == 0 || there[0] != file {
			if target != c.Path { // a version may lack some of what goes along
				continue
			}
			return false, nil
		}
		want := ""
		if len(there) == 2 {
			if want, err = h.on.Read(ctx, h.sumFile(file)); err != nil {
				return false, err
			}
		}
		have, err := h.sum(ctx, file)
		if err != nil {
			return false, err
		}
		if have != strings.TrimSpace(want) {
			return false, fault.New(fault.VerificationFailed, op+" "+c.Component+" on", h.node, file+" is not what was verified when it was fetched",
				"find out who put it there; then remove it, and it is fetched again")
		}
	}
	return true, nil
}
